// What fusion gives to nobody: values that whoever reads them computes again, because that costs less than memory.
//
// Leaves, movement, cheap arithmetic on positions and constants, and the arithmetic that widens a narrow weight: casts
// of what depends on weights alone to a wider type, and what is made of those.
#include "passes/fuse.h"

bool fuse_is_cheap(op_code op) {
  switch ((int)op) {
  case OP_neg:
  case OP_abs:
  case OP_not:
  case OP_add:
  case OP_sub:
  case OP_mul:
  case OP_min:
  case OP_max:
  case OP_eq:
  case OP_lt:
  case OP_le:
  case OP_and:
  case OP_or:
  case OP_where:
  case OP_cast: return true;
  default: return false;
  }
}

// What a reader of a free value computes again. Bounded: under picks nothing is shared, so that a chain of
// concatenations of a value with itself would double with each of them.
typedef struct free_tree {
  uint32_t nodes, picks; // operators and the values they read; picks inside each other
} free_tree;

enum { FREE_MAX_NODES = 256 };

static const free_tree *tree_of(const fuse_plan *p, const ir_value *v) {
  return v->def && !map_get_ptr(p->pinned, v->def) ? map_get_ptr(p->free, v->def) : NULL;
}

bool fuse_is_free(const fuse_plan *p, const ir_node *n) {
  return map_get_ptr(p->free, n) && !map_get_ptr(p->pinned, n);
}

const ir_value *fuse_behind(const fuse_plan *p, const ir_value *v, bool *repeats) {
  while (v->def && op_get(v->def->op)->cls == OPC_movement && v->def->n_in == 1 && fuse_is_free(p, v->def)) {
    if (repeats) *repeats = *repeats || v->def->op == OP_broadcast;
    v = v->def->in[0];
  }
  return v;
}

bool fuse_reads(const fuse_plan *p, const ir_value *v, const ir_value *x) {
  if (v == x) return true;
  if (!v->def || !fuse_is_free(p, v->def)) return false;
  for (uint32_t i = 0; i < v->def->n_in; i++)
    if (fuse_reads(p, v->def->in[i], x)) return true;
  return false;
}

// Cheap arithmetic on positions and constants.
static bool is_positional(const fuse_plan *p, const ir_node *n) {
  if (!fuse_is_cheap(n->op) || !op_is_elementwise(n->op)) return false;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const ir_node *d = fuse_behind(p, n->in[i], NULL)->def;
    scalar s;
    if (!d || (d->op != OP_iota && !(d->op == OP_const && ir_is_splat(&d->out[0], &s)) &&
               !(op_is_elementwise(d->op) && fuse_is_free(p, d))))
      return false;
  }
  return true;
}

static uint32_t own_picks(const ir_node *n) {
  uint32_t picks = 0;
  if (n->op == OP_pad) return 2 * n->in[0]->type.rank;
  for (uint32_t i = 1; n->op == OP_concat && i < n->n_in; i *= 2) picks++;
  return picks;
}

// Notes that a node is free; one whose tree grows too large is stored instead.
void fuse_make_free(fuse_plan *p, const ir_node *n) {
  free_tree *t = ARENA_NEW(p->a, free_tree);
  t->nodes = 1;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const free_tree *in = tree_of(p, n->in[i]);
    t->nodes += in ? in->nodes : 1;
    if (in && in->picks > t->picks) t->picks = in->picks;
  }
  t->picks += own_picks(n);
  map_put_ptr(p->free, n, t);
  if (n->n_in && (t->nodes > FREE_MAX_NODES || t->picks > GROUP_MAX_PICKS)) map_put_ptr(p->pinned, n, p);
}

// Notes whether a node depends on weights and constants alone; operands have been noted before.
static void note_fixed(fuse_plan *p, const ir_node *n) {
  bool all = n->op != OP_state && n->op != OP_random && n->n_regions == 0;
  for (uint32_t i = 0; i < n->n_in; i++) all = all && map_get_ptr(p->fixed, n->in[i]);
  for (uint32_t i = 0; i < n->n_out && all; i++) map_put_ptr(p->fixed, &n->out[i], (void *)(uintptr_t)n);
}

static bool is_fixed(const fuse_plan *p, const ir_value *v) { return map_get_ptr(p->fixed, v) != NULL; }

// The value that cheap arithmetic by constants makes another of; NULL: it is something else.
static const ir_value *source_of(const fuse_plan *p, const ir_node *n) {
  const ir_value *source = NULL;
  scalar s;
  if (!n || !op_is_elementwise(n->op) || !fuse_is_cheap(n->op) || !is_fixed(p, &n->out[0])) return NULL;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (ir_is_splat(n->in[i], &s)) continue;
    if (source) return NULL;
    source = n->in[i];
  }
  return source;
}

static bool is_widened(const fuse_plan *p, const ir_value *v) {
  scalar s;
  const ir_node *d = fuse_behind(p, v, NULL)->def;
  if (!d || ir_is_splat(&d->out[0], &s)) return d != NULL;
  if (d->op == OP_concat && fuse_is_free(p, d)) {
    for (uint32_t i = 0; i < d->n_in; i++)
      if (source_of(p, d->in[i]->def) && fuse_is_free(p, d->in[i]->def)) return true;
    return false;
  }
  return op_is_elementwise(d->op) && is_fixed(p, &d->out[0]) && fuse_is_free(p, d);
}

// Arithmetic that makes a wide weight of a narrow one: casts to a wider type, and what is made of them. It is left to
// the readers, so that the weight lies in memory, and comes from there, in its narrow form.
static bool is_widening(const fuse_plan *p, const ir_node *n) {
  if (n->op == OP_cast && n->in[0]->type.dt == DT_u8 && n->out[0].type.dt == DT_i32) return true; // of --precision int8
  if (!op_is_elementwise(n->op) || !fuse_is_cheap(n->op) || !is_fixed(p, &n->out[0])) return false;
  if (n->op == OP_cast && dtype_size(n->in[0]->type.dt) < dtype_size(n->out[0].type.dt)) return true;
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!is_widened(p, n->in[i])) return false;
  return true;
}

// A concatenation of several things that constants make of one fixed value takes that value apart: it is what is kept.
static void free_parts(fuse_plan *p, const ir_node *n) {
  const ir_value *whole = source_of(p, n->in[0]->def);
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!whole || n->n_in < 2 || (n->in[i] != whole && source_of(p, n->in[i]->def) != whole)) return;
  for (uint32_t i = 0; i < n->n_in; i++)
    if (n->in[i] != whole) fuse_make_free(p, n->in[i]->def);
}

void fuse_find_free(fuse_plan *p, const ir_node *n) {
  note_fixed(p, n);
  op_class cls = op_get(n->op)->cls;
  if (n->op == OP_concat) free_parts(p, n);
  if (n->op == OP_slice && n->n_in > 1) return; // reads through its start, as a gather does
  if (fuse_has_schedule(p->m, n) &&
      (cls == OPC_leaf || cls == OPC_movement || is_positional(p, n) || is_widening(p, n)))
    fuse_make_free(p, n);
}
