// An update of a part of a tensor, put back where the part was: `update keys[i]: cache_append(keys[i], new, at)`.
//
// The inner update writes its rows into a copy of the part, and the outer one copies the whole part back. Where the
// index form proves that each element of the part comes from the place to which it returns, one update of the whole
// with the starts of both says the same, and moves the rows alone. Movement between the two may add and drop dims of 1;
// an axis may start in one of them only.
#include "passes/update_part.h"
#include "passes/place.h"

typedef struct parts {
  ir_builder *b;
  const ir_node *inner;
  const ir_value *x, *part;
  domain part_at;                // of the part
  const idx *value[IR_MAX_RANK]; // where an element of the part stands in the outer update's value
  const int64_t *axes, *inner_axes;
  const idx *const *sizes, *const *inner_sizes;
  size_t n, n_inner;
} parts;

// Where in x an element of the part was.
static bool read_from(const parts *p, const idx **at) {
  const ir_value *v = p->part;
  for (uint32_t i = 0; i < v->type.rank; i++) at[i] = p->part_at.at[i];
  for (; v != p->x; v = v->def->in[0]) {
    const idx *next[IR_MAX_RANK];
    if (!v->def || op_get(v->def->op)->cls != OPC_movement || !index_through(p->b->m, v->def, at, next)) return false;
    for (uint32_t i = 0; i < v->def->in[0]->type.rank; i++) at[i] = next[i];
  }
  return true;
}

// Does the outer update write each element where it was read, and where the inner starts nowhere else?
static bool returns(const parts *p, ir_value *const *in) {
  const idx *at[IR_MAX_RANK], *to[IR_MAX_RANK];
  if (!read_from(p, at)) return false;
  for (uint32_t a = 0; a < p->x->type.rank; a++) to[a] = p->value[a];
  for (size_t k = 0; k < p->n; k++) {
    scalar start;
    if (!ir_is_splat(in[2 + k], &start)) return false;
    to[p->axes[k]] = idx_addi(p->b->m->ix, to[p->axes[k]], start.v.i);
  }
  for (uint32_t a = 0; a < p->x->type.rank; a++)
    if (to[a] != at[a]) return false;
  return true;
}

// The axis of the outer value that an axis of the part is, or -1: not one of its own, or one that starts there too.
static int outer_axis(const parts *p, int64_t axis) {
  int found = -1;
  for (uint32_t a = 0; a < p->x->type.rank; a++)
    if (domain_label(&p->part_at, p->value[a]) == axis) found = (int)a;
  for (size_t k = 0; k < p->n; k++)
    if (p->axes[k] == found) return -1;
  return found >= 0 && p->x->type.dim[found] == p->part->type.dim[axis] ? found : -1;
}

// A start of the inner update with the dims of the outer value; those of other axes are 1.
static ir_value *start_of(const parts *p, ir_value *start) {
  const idx *dim[IR_MAX_RANK], *one = idx_int(p->b->m->ix, 1), *count = one;
  if (start->type.rank == 0) return start;
  for (uint32_t a = 0; a < p->x->type.rank; a++) {
    int axis = domain_label(&p->part_at, p->value[a]);
    dim[a] = axis < 0 ? one : start->type.dim[axis];
    count = idx_mul(p->b->m->ix, count, dim[a]);
  }
  return count == ir_type_count(p->b->m, start->type) ? ir_reshape(p->b, start, p->x->type.rank, dim) : NULL;
}

static ir_value *joined(const parts *p, ir_value *const *in) {
  ir_module *m = p->b->m;
  const idx *dim[IR_MAX_RANK], *sizes[IR_MAX_RANK];
  int64_t axes[IR_MAX_RANK];
  ir_value *operand[IR_MAX_RANK + 2] = {in[0]};
  uint32_t n = 0;
  for (uint32_t a = 0; a < p->x->type.rank; a++) dim[a] = in[1]->type.dim[a];
  for (size_t k = 0; k < p->n; k++) axes[n] = p->axes[k], sizes[n] = p->sizes[k], operand[2 + n++] = in[2 + k];
  for (size_t k = 0; k < p->n_inner; k++) {
    int a = outer_axis(p, p->inner_axes[k]);
    ir_value *start = a < 0 ? NULL : start_of(p, p->inner->in[2 + k]);
    if (!start) return NULL;
    dim[a] = sizes[n] = p->inner_sizes[k];
    axes[n] = a;
    operand[2 + n++] = start;
  }
  operand[1] = ir_reshape(p->b, p->inner->in[1], p->x->type.rank, dim);
  p->b->scope = p->inner->scope;
  p->b->spans = p->inner->spans; // what finds no room is the append
  ir_attr attrs[] = {attr_ints(m, "axes", n, axes), attr_idxs(m, "sizes", n, sizes)};
  ir_node *u = operand[1] ? ir_build(p->b, OP_update, n + 2, operand, 2, attrs, 0, NULL, 0, NULL) : NULL;
  return u ? &u->out[0] : NULL;
}

ir_value *update_of_part(ir_builder *b, const ir_node *n, ir_value *const *in) {
  parts p = {.b = b, .x = in[0]};
  const ir_value *v = in[1];
  while (v->def && v->def->op == OP_reshape) v = v->def->in[0];
  p.inner = v->def;
  if (!p.inner || p.inner->op != OP_update || p.inner->n_in == 2 || ir_attr_int(n, "step", 1) != 1 ||
      ir_attr_int(p.inner, "step", 1) != 1)
    return NULL;
  p.part = p.inner->in[0];
  domain_init(b->m, &p.part_at, p.part->type.rank, p.part->type.dim);
  index_reshape(b->m, v->type.rank, v->type.dim, p.part_at.at, in[1]->type.rank, in[1]->type.dim, p.value);
  p.n = ir_attr_ints(n, "axes", &p.axes);
  p.n_inner = ir_attr_ints(p.inner, "axes", &p.inner_axes);
  ir_attr_idxs(b->m, n, "sizes", &p.sizes);
  ir_attr_idxs(b->m, p.inner, "sizes", &p.inner_sizes);
  return returns(&p, in) ? joined(&p, in) : NULL;
}
