// Built-ins that are one contraction, or a chain of them: matmul, einsum. Index maps are written as text, in the
// notation of ir/graph.h; a label on two operands has one extent, proved or checked at run time.
#include "frontend/builtin.h"

#include <string.h>

// Both tensors, of one numeric dtype.
static bool two_operands(call *c, size_t i, size_t k, ir_value **a, ir_value **b) {
  if (!arg_tensor(c, i, a) || !arg_tensor(c, k, b)) return false;
  if ((*a)->type.dt != (*b)->type.dt) {
    diag *d = elab_error(c->e, c->span, operand_types, c->fn->name, value_describe(c->e->a, value_tensor(*a)),
                         value_describe(c->e->a, value_tensor(*b)));
    diag_note_to(c->e->l, d, "types never change by themselves: convert one side: `cast(..., f32)`");
    elab_note_origins(c->e, d, c->arg[i], c->arg[k]);
    return false;
  }
  if ((*a)->type.dt == DT_bool) return arg_fail(c, i, "a tensor of numbers"), false;
  return true;
}

// Where the operands of a contraction come from, whatever has been done to them since.
typedef struct operands {
  value left, right;
} operands;

// Axis `k` of b seen with the extent of axis `i` of a. NULL after a diagnostic.
static ir_value *share(call *c, ir_value *a, uint32_t i, ir_value *b, uint32_t k, operands from, const char *where) {
  elab *e = c->e;
  const idx *x = a->type.dim[i], *y = b->type.dim[k];
  if (elab_same_dim(e, x, y, where) != SAME_no) return elab_axis_as(e, b, k, x);
  call_clash(c, from.left, from.right, "%s: %s against %s", where, value_idx_text(e->a, x), value_idx_text(e->a, y));
  return NULL;
}

// -- matmul --

static ir_value *without_axis(elab *e, ir_value *x, uint32_t axis) {
  const idx *dim[IR_MAX_RANK];
  uint32_t n = 0;
  for (uint32_t i = 0; i < x->type.rank; i++) {
    if (i != axis) dim[n++] = x->type.dim[i];
  }
  return ir_reshape(elab_nodes(e), x, n, dim);
}

// Batch axes align from the right; an extent of 1 against another is dropped from its operand.
value builtin_matmul(call *c) {
  ir_value *x[2];
  if (!two_operands(c, 0, 1, &x[0], &x[1])) return value_error();
  if (!x[0]->type.rank || !x[1]->type.rank) return call_fail(c, "needs tensors of at least one dim");
  bool vector[2] = {x[0]->type.rank == 1, x[1]->type.rank == 1};
  operands from = {c->arg[0], c->arg[1]};
  uint32_t ka = x[0]->type.rank - 1, kb = vector[1] ? 0 : x[1]->type.rank - 2;
  x[1] = share(c, x[0], ka, x[1], kb, from, "the inner extents differ");
  if (!x[1]) return value_error();
  uint32_t batch[2] = {vector[0] ? 0 : x[0]->type.rank - 2, vector[1] ? 0 : x[1]->type.rank - 2};
  uint32_t n = batch[0] > batch[1] ? batch[0] : batch[1];
  strbuf text[3];
  for (size_t i = 0; i < 3; i++) sb_init(&text[i], c->e->a);
  for (uint32_t back = n; back >= 1; back--) { // x[s] loses axes as we go, so count from where its batch ends
    bool has[2] = {batch[0] >= back, batch[1] >= back};
    for (size_t s = 0; s < 2 && has[0] && has[1]; s++) {
      uint32_t mine = x[s]->type.rank - (vector[s] ? 1 : 2) - back,
               other = x[!s]->type.rank - (vector[!s] ? 1 : 2) - back;
      if (!idx_equals_int(x[s]->type.dim[mine], 1) || idx_equals_int(x[!s]->type.dim[other], 1)) continue;
      x[s] = without_axis(c->e, x[s], mine);
      has[s] = false;
    }
    if (has[0] && has[1]) {
      uint32_t i = x[0]->type.rank - 2 - back, k = x[1]->type.rank - 2 - back;
      x[1] = share(c, x[0], i, x[1], k, from, "the batch extents differ");
      if (!x[1]) return value_error();
    }
    for (size_t s = 0; s < 2; s++) {
      if (has[s]) sb_fmt(&text[s], "b%u ", back);
    }
    sb_fmt(&text[2], "b%u ", back);
  }
  if (!vector[0]) sb_z(&text[0], "m "), sb_z(&text[2], "m ");
  sb_z(&text[0], "k");
  sb_z(&text[1], vector[1] ? "k" : "k n");
  if (!vector[1]) sb_z(&text[2], "n");
  const char *text_of_map = str_fmt(c->e->a, "%s, %s -> %s", sb_cstr(&text[0]), sb_cstr(&text[1]), sb_cstr(&text[2]));
  return value_tensor(ir_contract(elab_nodes(c->e), x[0], x[1], text_of_map));
}

// x[..., i] by w[o, i]: what a linear layer computes.
value builtin_project(call *c) {
  ir_value *x, *w;
  if (!two_operands(c, 0, 1, &x, &w)) return value_error();
  uint32_t lead = x->type.rank - 1;
  w = share(c, x, lead, w, 1, (operands){c->arg[0], c->arg[1]}, "the widths differ");
  if (!w) return value_error();
  strbuf b;
  sb_init(&b, c->e->a);
  for (uint32_t i = 0; i < lead; i++) sb_fmt(&b, "b%u ", i);
  const char *rows = sb_cstr(&b);
  return value_tensor(ir_contract(elab_nodes(c->e), x, w, str_fmt(c->e->a, "%si, o i -> %so", rows, rows)));
}

// -- einsum --

enum { MAX_OPERANDS = 16 };

typedef struct einsum {
  call *c;
  size_t n;
  char labels[MAX_OPERANDS + 1][IR_MAX_RANK + 1]; // of each operand; the last row is the result's
  ir_value *x[MAX_OPERANDS];
  size_t first[128]; // the first operand that has the label
} einsum;

static bool is_label(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool read_labels(einsum *s, str spec) {
  size_t operand = 0, k = 0;
  bool arrow = false;
  for (size_t i = 0; i < spec.n; i++) {
    char c = spec.p[i];
    if (c == ' ') continue;
    if (c == ',' && !arrow && operand + 1 < s->n) {
      operand++, k = 0;
    } else if (c == '-' && i + 1 < spec.n && spec.p[i + 1] == '>' && !arrow && operand + 1 == s->n) {
      arrow = true, operand = s->n, k = 0, i++;
    } else if (is_label(c) && k < IR_MAX_RANK && !strchr(s->labels[operand], c)) {
      s->labels[operand][k++] = c;
    } else {
      return false;
    }
  }
  return arrow;
}

static bool occurs_after(const einsum *s, size_t from, char label) {
  for (size_t i = from; i <= s->n; i++) {
    if (strchr(s->labels[i], label)) return true;
  }
  return false;
}

// Sums away the labels of operand i that nothing else has.
static bool drop_lonely(einsum *s, size_t i) {
  int64_t axes[IR_MAX_RANK];
  size_t n = 0, kept = 0;
  for (size_t k = 0; s->labels[i][k]; k++) {
    char label = s->labels[i][k];
    bool elsewhere = false;
    for (size_t j = 0; j <= s->n; j++) elsewhere |= j != i && strchr(s->labels[j], label);
    if (elsewhere) s->labels[i][kept++] = label;
    else axes[n++] = (int64_t)k;
  }
  s->labels[i][kept] = 0;
  if (n) s->x[i] = ir_reduce(elab_nodes(s->c->e), OP_sum, s->x[i], n, axes);
  return s->x[i] != NULL;
}

static void put_labels(strbuf *b, const char *labels) {
  for (size_t i = 0; labels[i]; i++) sb_fmt(b, i ? " %c" : "%c", labels[i]);
}

// Operands 0 and `i` become operand 0, with the labels that are still needed, in the result's order where it has them.
static bool contract_with(einsum *s, size_t i) {
  char out[2 * IR_MAX_RANK + 1] = "";
  size_t n = 0;
  const char *sources[] = {s->labels[s->n], s->labels[0], s->labels[i]};
  for (size_t k = 0; k < 3; k++) {
    for (const char *p = sources[k]; *p; p++) {
      bool here = strchr(s->labels[0], *p) || strchr(s->labels[i], *p);
      if (here && occurs_after(s, i + 1, *p) && !strchr(out, *p)) out[n++] = *p;
    }
  }
  if (n > IR_MAX_RANK) return call_fail(s->c, "an intermediate result has too many dims"), false;
  for (const char *p = s->labels[i]; *p; p++) {
    const char *both = strchr(s->labels[0], *p);
    if (!both) continue;
    const value *xs = s->c->arg[1].v.tuple->at;
    s->x[i] =
        share(s->c, s->x[0], (uint32_t)(both - s->labels[0]), s->x[i], (uint32_t)(p - s->labels[i]),
              (operands){xs[s->first[(unsigned char)*p]], xs[i]}, str_fmt(s->c->e->a, "label %c has two extents", *p));
    if (!s->x[i]) return false;
  }
  strbuf b;
  sb_init(&b, s->c->e->a);
  put_labels(&b, s->labels[0]);
  sb_z(&b, ", ");
  put_labels(&b, s->labels[i]);
  sb_z(&b, " -> ");
  put_labels(&b, out);
  s->x[0] = ir_contract(elab_nodes(s->c->e), s->x[0], s->x[i], sb_cstr(&b));
  memcpy(s->labels[0], out, n + 1);
  return s->x[0] != NULL;
}

static value in_order(einsum *s) {
  int64_t perm[IR_MAX_RANK];
  bool same = true;
  for (size_t k = 0; s->labels[s->n][k]; k++) {
    perm[k] = strchr(s->labels[0], s->labels[s->n][k]) - s->labels[0];
    same &= perm[k] == (int64_t)k;
  }
  return value_tensor(same ? s->x[0] : ir_transpose(elab_nodes(s->c->e), s->x[0], perm));
}

value builtin_einsum(call *c) {
  str spec;
  const value_tuple *xs = c->arg[1].v.tuple;
  einsum s = {.c = c, .n = xs->n};
  if (!arg_string(c, 0, &spec)) return value_error();
  if (!xs->n || xs->n > MAX_OPERANDS || !read_labels(&s, spec))
    return call_fail(c, "'" STR_FMT "' does not fit %zu operands: write 'ij,jk->ik', no label twice in one operand",
                     STR_ARG(spec), xs->n);
  for (size_t i = s.n; i-- > 0;) {
    for (const char *p = s.labels[i]; *p; p++) s.first[(unsigned char)*p] = i;
  }
  for (size_t i = 0; i < s.n; i++) {
    if (xs->at[i].kind != V_tensor) return call_fail(c, "needs tensors, found %s", value_describe(c->e->a, xs->at[i]));
    s.x[i] = xs->at[i].v.tensor;
    if (s.x[i]->type.rank != strlen(s.labels[i]))
      return call_clash(c, xs->at[i], value_none(), "'%s' stands for %s", s.labels[i],
                        value_describe(c->e->a, xs->at[i]));
    if (s.x[i]->type.dt != s.x[0]->type.dt || s.x[i]->type.dt == DT_bool)
      return call_clash(c, xs->at[0], xs->at[i], "needs numbers of one type, found %s and %s",
                        value_describe(c->e->a, xs->at[0]), value_describe(c->e->a, xs->at[i]));
  }
  for (const char *p = s.labels[s.n]; *p; p++) {
    bool found = false;
    for (size_t i = 0; i < s.n; i++) found |= strchr(s.labels[i], *p) != NULL;
    if (!found) return call_fail(c, "label %c of the result is in no operand", *p);
  }
  for (size_t i = 0; i < s.n; i++) {
    if (!drop_lonely(&s, i)) return value_error();
  }
  for (size_t i = 1; i < s.n; i++) {
    if (!contract_with(&s, i)) return value_error();
  }
  return in_order(&s);
}
