// Passes and their runner. A pass is a plain function on a module; the runner verifies after each one, times, prints,
// skips, stops, limits and round-trips through text. Pipelines are arrays of rows (passes/passes.def). Adding a pass:
// one file, one row.
#ifndef NNC_PASSES_PASS_H
#define NNC_PASSES_PASS_H

#include "ir/graph.h"
#include "ir/target.h"

// How weights lie in memory: as the model declares them, or narrow (passes/weights.c).
typedef enum weights_form { WEIGHTS_f32, WEIGHTS_bf16, WEIGHTS_f16, WEIGHTS_q8, WEIGHTS_q4 } weights_form;
bool weights_form_find(const char *name, weights_form *out); // by its name on the command line

// How tensors between kernels lie in memory: as the model declares them, or f32 ones as bf16 (passes/precision.c), and
// what products with weights multiply as bytes (passes/quantize.c).
typedef enum precision_form { PRECISION_f32, PRECISION_bf16, PRECISION_int8 } precision_form;
bool precision_find(const char *name, precision_form *out);

typedef struct pass_context {
  arena *a;
  diag_list *diags;
  const target *target;
  strbuf *explain; // `--explain`: numeric rewrites are listed here; NULL = off
  weights_form weights;
  precision_form precision;
} pass_context;

// Changes the module's graphs; false after diagnostics.
typedef bool (*pass_fn)(pass_context *c, ir_module *m);

typedef struct pass_info {
  const char *name, *doc;
  pass_fn run;
} pass_info;

size_t pass_count(void);
const pass_info *pass_at(size_t i); // in pipeline order
const pass_info *pass_find(const char *name);

typedef struct pass_options {
  const char *const *print_after; // names, or "all"
  size_t n_print_after;
  const char *const *skip;
  size_t n_skip;
  const char *stop_after; // NULL = run all
  int64_t limit;          // run at most this many passes; < 0 = all
  bool round_trip;        // print and parse the module between passes, and compare
  bool verify;            // verify after each pass
  strbuf *dump;           // where --print-after goes
} pass_options;
#define PASS_OPTIONS_INIT ((pass_options){NULL, 0, NULL, 0, NULL, -1, false, true, NULL})

typedef struct pass_time {
  const char *name;
  double ms;
  uint32_t nodes; // after the pass, all graphs
} pass_time;

typedef struct pass_report {
  VEC(pass_time) times;
} pass_report;

bool pass_run_all(pass_context *c, ir_module *m, const pass_options *opt, pass_report *report);

// The passes, in the order of passes/passes.def.
#define P(name, doc) bool pass_##name(pass_context *c, ir_module *m);
#include "passes/passes.def"
#undef P

#endif
