// The reference vectors tests/ref/*.safetensors as cases, for the interpreter and every back end alike. What a file
// holds, and what the bounds mean: tests/ref/make_refs.py.
#ifndef NNC_TESTS_REF_CASES_H
#define NNC_TESTS_REF_CASES_H

#include "frontend/safetensors.h"

typedef struct ref_case {
  const char *file, *name;
  const char *text; // `contract(%0, %1) {…}`, or an expression of the model language when is_prelude
  bool is_prelude;
  const char *bound; // "exact", "ulp:N", or a number
  uint32_t n_in, n_out;
  const ir_tensor *const *in, *const *out;
  const st_file *store; // weights of a layer: `<name>.m.<weight>`
} ref_case;

typedef struct ref_totals {
  size_t n_files, n_passed, n_failed, n_skipped;
} ref_totals;

typedef enum ref_verdict { REF_passed, REF_failed, REF_skipped } ref_verdict;

// Judges every case of every file of the folder, in the order of their names. Each case has an arena of its own, freed
// after the call. A file or case that cannot be read is printed and counts as failed.
ref_totals ref_for_each(const char *folder, ref_verdict (*judge)(void *user, arena *a, const ref_case *c), void *user);

// The module of one graph `forward` that applies the operator of a case (not a prelude one) to its operands; NULL after
// a diagnostic.
ir_module *ref_module(arena *a, diag_list *l, const ref_case *c);

// Are the results within the case's bound? If not, `why` names the worst element.
bool ref_compare(const ref_case *c, const ir_tensor *const *got, strbuf *why);

// The operator of a case in operator form that this run asks for (NNC_CASE: a part of its name); false for the others.
bool ref_operator(const ref_case *c, op_code *op);
// The case with the bound that sums have in f32 (the interpreter computes in f64): they accumulate lane by lane, and of
// 4096 terms that are each below the last place of one lane's sum, that lane loses its share.
ref_case ref_in_f32(const ref_case *c, op_code op);

#endif
