// Lowering, what depends on weights alone: constants, what `prepare` computes, and packed forms.
//
// A constant is a weight or array as it is, or what a group or a packing kernel of `prepare` makes, each once for all
// entries. One that is packed as panels of columns is read there by others too (a table whose rows are also multiplied,
// as a tied head is), so that it lies in memory once.
#include "passes/lower.h"
#include <stdio.h>

typedef struct panels { // the packed form of a constant
  uint32_t constant;
  const idx *count;
  int64_t inner, columns;
} panels;

static uint32_t add_constant(lowering *l, prog_constant k) {
  vec_push(l->c->a, &l->out->constants, k);
  return (uint32_t)l->out->constants.n - 1;
}

bool lower_constant(lowering *l, const ir_value *v, uint32_t *index) {
  const void *known = map_get_ptr(l->constant_of, v);
  if (!known && v->def && v->def->op == OP_weight) {
    const char *name = ir_attr_str(v->def, "name", "");
    known = map_get(l->constant_by_name, str_of(name));
    if (!known) {
      prog_constant k = {
          .name = name, .dt = v->type.dt, .count = ir_type_count(l->m, v->type), .weight = ir_weight_find(l->m, name)};
      known = lower_pointer(add_constant(l, k));
      map_put(l->constant_by_name, str_of(name), (void *)(uintptr_t)known);
    }
  } else if (!known && v->def && v->def->op == OP_const) {
    prog_constant k = {.name = "constant", .dt = v->type.dt, .count = ir_type_count(l->m, v->type), .data = v};
    known = lower_pointer(add_constant(l, k));
  }
  if (!known) return false;
  map_put_ptr(l->constant_of, v, (void *)(uintptr_t)known);
  *index = (uint32_t)lower_index(known);
  return true;
}

uint32_t lower_prepare_buffer(lowering *l, uint32_t constant) {
  const void *known = map_get_ptr(l->prepare_buffer, lower_pointer(constant));
  if (known) return (uint32_t)lower_index(known);
  const prog_constant *k = &l->out->constants.at[constant];
  prog_buffer b = {.cls = k->computed ? PROG_output : PROG_input, .index = constant, .dt = k->dt, .count = k->count};
  if (!k->computed) {
    b.index = (uint32_t)l->out->sources.n;
    vec_push(l->c->a, &l->out->sources, constant);
  }
  uint32_t index = lower_add_buffer(l, &l->out->prepare, b);
  map_put_ptr(l->prepare_buffer, lower_pointer(constant), lower_pointer(index));
  return index;
}

bool lower_param_is_constant(void *user, const ir_value *param) {
  lower_user *u = user;
  const ir_value *v = lower_outer(u, param, KIR_in);
  uint32_t constant;
  return v && lower_constant(u->l, v, &constant);
}

bool lower_is_prepared(lowering *l, const ir_node *n) {
  uint32_t constant;
  if (!n->n_in) return false;
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!lower_constant(l, n->in[i], &constant)) return false;
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (!idx_is_const(ir_type_count(l->m, n->out[i].type), NULL) || map_get_ptr(l->written, &n->out[i])) return false;
    for (uint32_t k = 0; k < l->graph->body->n_yields; k++)
      if (l->graph->body->yields[k] == &n->out[i]) return false;
  }
  for (const ir_node *q = n->regions[0]->first; q; q = q->next)
    for (uint32_t i = 0; i < q->n_out; i++)
      if (!idx_is_const(ir_type_count(l->m, q->out[i].type), NULL)) return false;
  return true;
}

// A value of lowering's own that stands for a constant of `count` elements.
static const ir_value *stand_in(lower_user *u, dtype dt, const idx *count, uint32_t constant) {
  lowering *l = u->l;
  ir_value *v = ARENA_NEW(l->c->a, ir_value);
  v->id = l->m->next_value_id++;
  v->type = ir_type_make(l->m, dt, 1, &count);
  map_put_ptr(u->packed, v, lower_pointer(constant));
  return v;
}

const ir_value *lower_pack(void *user, lower_group *g, const ir_value *param, kir_kernel *pack, const idx *count,
                           const lower_panels *form) {
  (void)g;
  lower_user *u = user;
  lowering *l = u->l;
  uint32_t from;
  dtype dt = pack->params.at[1]->dt; // what it writes, after what it reads
  lower_constant(l, lower_outer(u, param, KIR_in), &from);
  uint32_t kernel = lower_add_kernel(l, pack, "pack");
  char recipe[64];
  snprintf(recipe, sizeof recipe, "%u|%u", from, kernel);
  const void *known = map_get(l->constant_by_name, str_of(recipe));
  if (!known) {
    prog_constant k = {.name = str_fmt(l->c->a, "packed %s", l->out->constants.at[from].name),
                       .dt = dt,
                       .count = count,
                       .computed = true};
    known = lower_pointer(add_constant(l, k));
    map_put(l->constant_by_name, str_of(recipe), (void *)(uintptr_t)known);
    uint32_t *buffers = ARENA_ARRAY(l->c->a, uint32_t, 2);
    buffers[0] = lower_prepare_buffer(l, from);
    buffers[1] = lower_prepare_buffer(l, (uint32_t)lower_index(known));
    const idx **grid = ARENA_ARRAY(l->c->a, const idx *, pack->n_grid);
    for (uint32_t i = 0; i < pack->n_grid; i++) { // packing depends on constants alone
      int64_t n = 0;
      idx_is_const(pack->grid_extent[i], &n);
      grid[i] = idx_int(l->m->ix, n);
    }
    prog_step s = {.what = kernel,
                   .n_buffers = 2,
                   .n_grid = pack->n_grid,
                   .buffers = buffers,
                   .grid = grid,
                   .label = k.name,
                   .cost_ns = 1000};
    lower_add_step(l, &l->out->prepare, s);
  }
  uint32_t constant = (uint32_t)lower_index(known);
  if (form && !map_get_ptr(l->panels_of, lower_pointer(from))) {
    const panels p = {constant, count, form->inner, form->columns};
    map_put_ptr(l->panels_of, lower_pointer(from), arena_copy(l->c->a, &p, sizeof p));
  }
  return stand_in(u, dt, count, constant);
}

bool lower_find_panels(void *user, const ir_value *param, lower_panels *out) {
  lower_user *u = user;
  const ir_value *v = u->node ? lower_outer(u, param, KIR_in) : NULL;
  uint32_t constant;
  if (u->prepared || !v || !lower_constant(u->l, v, &constant)) return false;
  const panels *p = map_get_ptr(u->l->panels_of, lower_pointer(constant));
  if (!p) return false;
  const lower_panels *known = map_get_ptr(u->in_panels, param);
  if (!known) {
    const lower_panels made = {stand_in(u, param->type.dt, p->count, p->constant), p->inner, p->columns};
    known = arena_copy(u->l->c->a, &made, sizeof made);
    map_put_ptr(u->in_panels, param, (void *)(uintptr_t)known);
  }
  *out = *known;
  return true;
}

bool lower_make_constants(lowering *l, const lower_user *u, const lower_group *g, uint32_t kernel, const char *name) {
  const ir_node *n = u->node;
  strbuf recipe;
  sb_init(&recipe, l->c->a);
  sb_fmt(&recipe, "group|%u", kernel);
  for (size_t i = 0; i < g->params.n; i++) {
    const ir_value *param = g->params.at[i].value;
    const void *packed = map_get_ptr(u->packed, param);
    uint32_t from = packed ? (uint32_t)lower_index(packed) : 0;
    if (g->params.at[i].buf->space != KIR_in) continue;
    if (!packed) lower_constant(l, lower_outer(u, param, KIR_in), &from);
    sb_fmt(&recipe, "|%u", from);
  }
  const void *known = map_get(l->constant_by_name, sb_str(&recipe));
  uint32_t first = known ? (uint32_t)lower_index(known) : (uint32_t)l->out->constants.n;
  for (uint32_t i = 0; i < n->n_out; i++) {
    prog_constant k = {
        .name = name, .dt = n->out[i].type.dt, .count = ir_type_count(l->m, n->out[i].type), .computed = true};
    if (!known) add_constant(l, k);
    map_put_ptr(l->constant_of, &n->out[i], lower_pointer(first + i));
  }
  map_put(l->constant_by_name, sb_str(&recipe), lower_pointer(first));
  return !known;
}
