// What a step computes and moves: see plan_work.h.
//
// Method. Multiply-adds: of each contraction in the step's group, the product of its labels' extents. Of d places along
// an exactly divided axis (a transposed convolution) one is read. Keys that a mask hides count, though the kernel may
// leave them out: so do those who publish rates.
//
// Bytes: an operand counts once, however often the kernel reads it, and only as far as the group asks for it. What is
// seen through movement (a slice, a row of a table) is no more than the movement's result; what anything else reads
// counts whole. Rows of a table that several indices name are counted for each of them, but never more than the table.
#include "codegen/plan/plan_work.h"

static const idx *contraction_macs(ir_module *m, const ir_node *n) {
  idx_ctx *c = m->ix;
  const ir_map *labels = ir_map_of(m, n);
  const idx *macs = idx_int(c, labels ? 1 : 0);
  for (uint32_t i = 0; labels && i < labels->n_labels; i++) macs = idx_mul(c, macs, labels->labels[i].extent);
  for (uint32_t k = 0; labels && k < labels->n_operands; k++)
    for (uint32_t i = 0; i < labels->operand[k].rank; i++)
      macs = idx_floordiv(c, macs, idx_int(c, labels->operand[k].axes[i].exact_div));
  return macs;
}

static const idx *region_macs(ir_module *m, const ir_region *r) {
  const idx *macs = idx_int(m->ix, 0);
  for (const ir_node *n = r->first; n; n = n->next) {
    if (n->op == OP_contract) macs = idx_add(m->ix, macs, contraction_macs(m, n));
    for (uint32_t i = 0; i < n->n_regions; i++) macs = idx_add(m->ix, macs, region_macs(m, n->regions[i]));
  }
  return macs;
}

static bool is_used(const ir_region *r, const ir_value *v) {
  for (const ir_node *n = r->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_in; i++)
      if (n->in[i] == v) return true;
    for (uint32_t i = 0; i < n->n_regions; i++)
      if (is_used(n->regions[i], v)) return true;
  }
  for (uint32_t i = 0; i < r->n_yields; i++)
    if (r->yields[i] == v) return true;
  return false;
}

static const idx *elements_read(ir_module *m, const ir_region *r, const ir_value *v);

// Of v, as operand i of n.
static const idx *elements_used(ir_module *m, const ir_region *r, const ir_node *n, uint32_t i, const ir_value *v) {
  bool moved = op_get(n->op)->cls == OPC_movement && (i == 0 || n->op == OP_concat);
  if (moved || (n->op == OP_gather && i == 0)) return elements_read(m, r, &n->out[0]);
  if (n->op == OP_update && i == 0) return ir_type_count(m, n->in[1]->type); // what is put aside before it
  return ir_type_count(m, v->type);
}

static const idx *elements_read(ir_module *m, const ir_region *r, const ir_value *v) {
  const idx *whole = ir_type_count(m, v->type), *sum = idx_int(m->ix, 0);
  for (uint32_t i = 0; i < r->n_yields; i++)
    if (r->yields[i] == v) return whole;
  for (const ir_node *n = r->first; n; n = n->next) {
    for (uint32_t i = 0; i < n->n_in; i++)
      if (n->in[i] == v) sum = idx_add(m->ix, sum, elements_used(m, r, n, i, v));
    for (uint32_t i = 0; i < n->n_regions; i++)
      if (is_used(n->regions[i], v)) return whole;
  }
  return idx_min(m->ix, whole, sum);
}

static const idx *elements_written(ir_module *m, const ir_value *v, prog_part part) {
  const idx *whole = ir_type_count(m, v->type);
  if (v->def && v->def->op == OP_update) return ir_type_count(m, v->def->in[1]->type);
  if (part == PROG_PART_all || !v->def || v->def->op != OP_pad) return whole;
  const idx *inside = ir_type_count(m, v->def->in[0]->type);
  return part == PROG_PART_inside ? inside : idx_sub(m->ix, whole, inside);
}

plan_work plan_work_of(arena *a, const program_set *set, const program *p, const prog_step *s) {
  ir_module *m = set->m;
  idx_ctx *c = m->ix;
  const idx **bytes = ARENA_ARRAY(a, const idx *, s->n_buffers + 1);
  const idx *share = s->share ? s->share : idx_int(c, 1);
  const ir_region *r = s->group ? s->group->regions[0] : NULL;
  for (uint32_t i = 0; i < s->n_buffers; i++) {
    const prog_buffer *b = &p->buffers.at[s->buffers[i]];
    const ir_value *v = r ? s->values[i] : NULL;
    bytes[i] = idx_scale(c, b->count, (int64_t)dtype_size(b->dt));
    if (!v) continue;
    const idx *count = v->param_of == r ? idx_mul(c, elements_read(m, r, v), share) : elements_written(m, v, s->part);
    bytes[i] = idx_min(c, bytes[i], idx_scale(c, count, (int64_t)dtype_size(b->dt)));
  }
  bool computes = r && s->part != PROG_PART_border;
  return (plan_work){computes ? idx_mul(c, region_macs(m, r), share) : idx_int(c, 0), bytes};
}
