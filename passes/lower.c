// Lowering: a fused module becomes kernels and programs. Groups that depend on weights alone run once, in `prepare`;
// equal kernels are kept once.
#include "passes/lower.h"
#include "passes/value_range.h"
#include <stdio.h>
#include <string.h>

uint32_t lower_add_buffer(lowering *l, program *p, prog_buffer b) {
  vec_push(l->c->a, &p->buffers, b);
  return (uint32_t)p->buffers.n - 1;
}

uint32_t lower_buffer(lowering *l, const ir_value *v) {
  const void *known = map_get_ptr(l->buffer_of, v);
  if (known) return (uint32_t)lower_index(known);
  prog_buffer b = {
      .cls = PROG_arena, .dt = v->type.dt, .count = lower_count(l, v->type), .first = (uint32_t)l->p->steps.n};
  uint32_t constant;
  if (lower_constant(l, v, &constant)) b.cls = PROG_constant, b.index = constant;
  for (uint32_t i = 0; i < l->graph->body->n_params; i++)
    if (v == &l->graph->body->params[i]) b.cls = PROG_input, b.index = i;
  for (uint32_t i = 0; i < l->graph->body->n_yields; i++)
    if (v == l->graph->body->yields[i]) b.cls = PROG_output, b.index = i;
  const void *wanted = b.cls == PROG_arena ? map_get_ptr(l->wanted, v) : NULL;
  bool taken = wanted && !map_get_ptr(l->shared, wanted);
  uint32_t index = taken ? (uint32_t)lower_index(wanted) : lower_add_buffer(l, l->p, b);
  map_put_ptr(l->buffer_of, v, lower_pointer(index));
  return index;
}

const ir_value *lower_fresh(lowering *l, ir_type t, prog_class cls, uint32_t index) {
  ir_value *v = ARENA_NEW(l->c->a, ir_value);
  v->id = l->m->next_value_id++;
  v->type = t;
  prog_buffer b = {.cls = cls, .index = index, .dt = t.dt, .count = lower_count(l, t)};
  if (cls == PROG_arena) b.first = b.last = (uint32_t)l->p->steps.n;
  map_put_ptr(l->buffer_of, v, lower_pointer(lower_add_buffer(l, l->p, b)));
  return v;
}

void lower_add_step(lowering *l, program *p, prog_step s) {
  for (uint32_t i = 0; i < s.n_buffers; i++) p->buffers.at[s.buffers[i]].last = (uint32_t)p->steps.n;
  vec_push(l->c->a, &p->steps, s);
}

const char *lower_label(const lowering *l, const ir_node *n, const char *what) {
  return n->scope && *n->scope ? str_fmt(l->c->a, "%s %s", what, n->scope) : what;
}

uint32_t lower_add_kernel(lowering *l, kir_kernel *k, const char *what) {
  str text = kir_fingerprint(k, l->c->a);
  const void *known = map_get(l->kernel_by_text, text);
  if (known) return (uint32_t)lower_index(known);
  char name[96];
  snprintf(name, sizeof name, "k%zu_%s", l->out->kernels.n, what);
  k->name = intern_z(k->names, name);
  vec_push(l->c->a, &l->out->kernels, k);
  map_put(l->kernel_by_text, text, lower_pointer(l->out->kernels.n - 1));
  return (uint32_t)l->out->kernels.n - 1;
}

// -- what schedules ask of lowering --

const ir_value *lower_outer(const lower_user *u, const ir_value *v, kir_space space) {
  const ir_region *r = u->node->regions[0];
  if (space == KIR_out)
    for (uint32_t i = 0; i < r->n_yields; i++)
      if (r->yields[i] == v) return &u->node->out[i];
  return v->param_of == r ? u->node->in[v->index] : NULL;
}

// A state such as `keys: f32[layers, ...]`: each layer has a kernel that differs in nothing but the layer.
static bool param_is_stack(void *user, const ir_value *param, kir_space space) {
  lower_user *u = user;
  const ir_value *v = u->node ? lower_outer(u, param, space) : NULL;
  if (!v) v = param;
  int64_t n;
  return v->type.rank > 1 && map_get_ptr(u->l->state_of, v) && idx_is_const(v->type.dim[0], &n) && n > 1;
}

static const char *fault_text(op_code op) {
  switch ((int)op) {
  case OP_update: return "an update begins out of range: there is no room for it";
  case OP_slice: return "a slice begins out of range";
  default: return "index out of range";
  }
}

int64_t lower_fault_site(lowering *l, op_code op, diag_span at) {
  const char *text = fault_text(op);
  for (size_t i = 0; i < l->out->faults.n; i++) {
    const prog_fault *f = &l->out->faults.at[i];
    if (f->span.begin == at.begin && f->span.file == at.file && f->text == text) return (int64_t)i;
  }
  vec_push(l->c->a, &l->out->faults, ((prog_fault){text, at}));
  return (int64_t)l->out->faults.n - 1;
}

static int64_t fault_site(void *user, op_code op, diag_span at) {
  const lower_user *u = user;
  return lower_fault_site(u->l, op, at);
}

static form_stop classify(void *user, const ir_value *v) {
  const ir_region *r = user;
  if (v->param_of == r || !v->def) return FORM_LOAD; // a parameter, or memory that lowering made
  op_class cls = v->def ? op_get(v->def->op)->cls : OPC_leaf;
  return cls == OPC_reduce || cls == OPC_contract || cls == OPC_scan ? FORM_ACC : FORM_OPEN;
}

static bool is_inside(void *user, const ir_value *v, const idx *last) {
  const lower_user *u = user;
  const value_scope in = {u->node, NULL};
  return value_is_inside(u->l->m, v, u->node ? &in : NULL, last);
}

static bool run_schedule(lower_group *g, lower_work work, const ir_value *from, const ir_value *to) {
  if (work == WORK_save) return schedule_save(g, to);
  if (work == WORK_restore) return schedule_restore(g, from);
  if (work == WORK_copy) return schedule_copy(g, from, to);
  const char *kind = ir_attr_str(g->node, "kind", "");
  if (!strcmp(kind, "update")) return schedule_update(g);
  if (!places_of_group(&g->place, &g->dom, g->node)) return false;
  if (work == WORK_border) return schedule_border(g, from);
  if (work == WORK_parts) return schedule_attention_parts(g);
  if (!strcmp(kind, "contract")) return schedule_contract(g);
  if (!strcmp(kind, "row")) return schedule_row(g);
  if (!strcmp(kind, "scan")) return schedule_scan(g);
  if (!strcmp(kind, "attention")) return schedule_attention(g);
  return schedule_elem(g);
}

// The grid over the module's dims: the kernel's extents, with its facts replaced by the symbols they stand for.
static const idx *grid_over_dims(lower_group *g, const idx *e) {
  int64_t n;
  if (idx_is_const(e, &n)) return idx_int(g->m->ix, n);
  const idx *sum = idx_int(g->m->ix, 0);
  for (uint32_t t = 0; t < e->n_terms; t++) {
    const idx *term = idx_int(g->m->ix, e->terms[t].coef);
    for (uint32_t f = 0; f < e->terms[t].n_factors; f++) {
      const atom *x = e->terms[t].factors[f];
      const idx *factor;
      if (x->kind == ATOM_sym) {
        size_t i = 0;
        while (i < g->symbols.n && g->k->facts.at[i].symbol != x->symbol) i++;
        factor = g->symbols.at[i];
      } else {
        const idx *a = grid_over_dims(g, x->a), *b = grid_over_dims(g, x->b);
        factor = x->kind == ATOM_floordiv ? idx_floordiv(g->m->ix, a, b)
                 : x->kind == ATOM_mod    ? idx_mod(g->m->ix, a, b)
                 : x->kind == ATOM_min    ? idx_min(g->m->ix, a, b)
                                          : idx_max(g->m->ix, a, b);
      }
      term = idx_mul(g->m->ix, term, factor);
    }
    sum = idx_add(g->m->ix, sum, term);
  }
  return sum;
}

// `u` must live as long as the group is worked on.
static lower_group begin_group(lower_user *u) {
  lowering *l = u->l;
  arena *a = l->c->a;
  const ir_node *n = u->node;
  u->packed = map_new(a);
  u->in_panels = map_new(a);
  lower_group g = {.c = l->c,
                   .m = l->m,
                   .node = n,
                   .region = n ? n->regions[0] : NULL,
                   .place = places_new(a, l->m),
                   .known = map_new(a),
                   .fault_site = fault_site,
                   .fault_user = u,
                   .is_constant = lower_param_is_constant,
                   .pack = lower_pack,
                   .panels = lower_find_panels,
                   .is_stack = param_is_stack,
                   .user = u};
  g.form = form_new(a, l->m, classify, (void *)(uintptr_t)g.region);
  form_trust_index(g.form, is_inside, u);
  g.k = kir_kernel_new(a, l->c->diags, "k");
  return g;
}

// Packs what a product reads before another group reads it: that one then finds it in panels. The product's own kernel
// is made again when its turn comes.
static void pack_first(lowering *l, const ir_node *n) {
  uint32_t constant;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const ir_node *product = map_get_ptr(l->product_of, n->in[i]);
    if (!product || product == n || !lower_constant(l, n->in[i], &constant)) continue;
    lower_user u = {.l = l, .node = product};
    lower_group g = begin_group(&u);
    run_schedule(&g, WORK_group, NULL, NULL);
    for (uint32_t k = 0; k < product->n_in; k++) map_put_ptr(l->product_of, product->in[k], NULL);
  }
}

// What a kernel's parameter is in the group's region: a parameter, also where it is read in its packed form, or a
// result; NULL: lowering's own.
static const ir_value *value_in_region(const lower_user *u, const lower_group *g, const ir_value *v) {
  const ir_region *r = g->region;
  for (uint32_t i = 0; r && i < r->n_params; i++) {
    const lower_panels *p = map_get_ptr(u->in_panels, &r->params[i]);
    if (v == &r->params[i] || (p && p->value == v)) return &r->params[i];
  }
  for (uint32_t i = 0; r && i < r->n_yields; i++)
    if (v == r->yields[i]) return v;
  return NULL;
}

bool lower_kernel(lowering *l, const ir_node *n, lower_work work, const ir_value *from, const ir_value *to,
                  prog_step *s) {
  arena *a = l->c->a;
  bool prepared = work == WORK_group && lower_is_prepared(l, n);
  lower_user u = {.l = l, .node = n, .prepared = prepared};
  lower_group g = begin_group(&u);
  if (n && !prepared) pack_first(l, n);
  if (work == WORK_group) g.parts = l->parts; // the first kernel's, which it merges
  const char *name = work == WORK_group    ? ir_attr_str(n, "name", "group")
                     : work == WORK_parts  ? "parts"
                     : work == WORK_border ? "border"
                                           : "copy";
  diag_span span = n && n->spans.n ? n->spans.at[0] : NO_SPAN;
  if (!run_schedule(&g, work, from, to)) {
    diag_at(l->c->diags, span, group_not_lowered, name);
    return false;
  }
  l->parts = g.parts;
  if (work == WORK_parts && !g.parts) return true; // one kernel does it all
  if (!kir_verify(g.k, l->c->diags)) {
    diag_at(l->c->diags, span, group_not_lowered, name);
    return false;
  }
  *s = (prog_step){.what = lower_add_kernel(l, g.k, name)};
  if (prepared && !lower_make_constants(l, &u, &g, s->what, name)) return true;
  uint32_t *buffers = ARENA_ARRAY(a, uint32_t, g.params.n + 1);
  const ir_value **values = ARENA_ARRAY(a, const ir_value *, g.params.n + 1);
  for (size_t i = 0; i < g.params.n; i++) {
    const ir_value *param = g.params.at[i].value;
    values[i] = value_in_region(&u, &g, param);
    const void *packed = map_get_ptr(u.packed, param);
    const ir_value *v = packed || !n ? NULL : lower_outer(&u, param, g.params.at[i].buf->space);
    if (!v) v = param; // made by lowering
    if (packed) map_put_ptr(l->constant_of, v, (void *)(uintptr_t)packed);
    uint32_t constant;
    if (prepared && lower_constant(l, v, &constant)) buffers[i] = lower_prepare_buffer(l, constant);
    else buffers[i] = lower_buffer(l, v);
  }
  const idx **symbols = ARENA_ARRAY(a, const idx *, g.symbols.n + 1), **grid = ARENA_ARRAY(a, const idx *, 3);
  for (size_t i = 0; i < g.symbols.n; i++) symbols[i] = g.symbols.at[i];
  for (uint32_t i = 0; i < g.k->n_grid; i++) grid[i] = grid_over_dims(&g, g.k->grid_extent[i]);
  *s = (prog_step){.what = s->what,
                   .n_buffers = (uint32_t)g.params.n,
                   .n_symbols = (uint32_t)g.symbols.n,
                   .n_grid = g.k->n_grid,
                   .buffers = buffers,
                   .symbols = symbols,
                   .grid = grid,
                   .span = span,
                   .group = n,
                   .values = values,
                   .cost_ns = g.k->cost_ns};
  s->label = n ? lower_label(l, n, name) : name;
  return true;
}

// Does a group store the inside of a padded value alone? Not one that copies: it is over the padded dims itself.
static bool is_padded(const ir_node *group, const ir_value *yield) {
  int64_t root = ir_attr_int(group, "root", 0), at = 0;
  for (const ir_node *q = group->regions[0]->first; q && q != yield->def; q = q->next) at++;
  return yield->def && yield->def->op == OP_pad && at > root;
}

static bool lower_group_node(lowering *l, const ir_node *n) {
  prog_step s;
  lower_trace(l, n);
  if (!strcmp(ir_attr_str(n, "kind", ""), "update")) return lower_update(l, n);
  bool prepared = lower_is_prepared(l, n);
  const idx *rest = NULL; // of attention in two kernels: the second's share
  if (!strcmp(ir_attr_str(n, "kind", ""), "attention") && !prepared) {
    if (!lower_kernel(l, n, WORK_parts, NULL, NULL, &s)) return false;
    if (l->parts) {
      idx_ctx *c = l->m->ix;
      s.share = idx_min(c, ir_type_count(l->m, l->parts->type), idx_int(c, 1)); // without parts, all is the second's
      rest = idx_sub(c, idx_int(c, 1), s.share);
      lower_add_step(l, l->p, s);
    }
  }
  const ir_region *r = n->regions[0];
  prog_part part = PROG_PART_all;
  for (uint32_t i = 0; i < r->n_yields && !prepared; i++) {
    if (!is_padded(n, r->yields[i])) continue;
    if (!lower_kernel(l, n, WORK_border, r->yields[i], NULL, &s)) return false;
    s.part = PROG_PART_border;
    lower_add_step(l, l->p, s);
    part = PROG_PART_inside;
  }
  bool ok = lower_kernel(l, n, WORK_group, NULL, NULL, &s);
  s.share = rest;
  s.part = part;
  l->parts = NULL;
  if (!ok) return false;
  if (s.n_buffers) lower_add_step(l, prepared ? &l->out->prepare : l->p, s);
  return true;
}

bool lower_node(lowering *l, const ir_node *n, bool nested) {
  switch ((int)n->op) {
  case OP_group: return lower_group_node(l, n);
  case OP_state: return lower_state(l, n, nested);
  case OP_check: lower_check(l, n, nested); return true;
  case OP_bind: return lower_bind(l, n);
  case OP_if:
  case OP_loop:
  case OP_while: return lower_control(l, n);
  case OP_sort:
  case OP_topk:
  case OP_scatter:
  case OP_compact:
  case OP_nms: lower_routine(l, n); return true;
  default: return true; // leaves are constants
  }
}

static void find_products(lowering *l, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (fuse_is_control(n))
      for (uint32_t i = 0; i < n->n_regions; i++) find_products(l, n->regions[i]);
    bool product = n->op == OP_group && !strcmp(ir_attr_str(n, "kind", ""), "contract");
    for (uint32_t i = 0; product && i < n->n_in; i++) map_put_ptr(l->product_of, n->in[i], (void *)(uintptr_t)n);
  }
}

static bool lower_graph(lowering *l, const ir_graph *g) {
  program *p = ARENA_NEW(l->c->a, program);
  p->name = g->name;
  p->graph = g;
  l->p = p;
  l->graph = g;
  l->buffer_of = map_new(l->c->a);
  l->wanted = map_new(l->c->a);
  l->shared = map_new(l->c->a);
  l->uses = last_uses_of(l->c->a, g->body);
  l->product_of = map_new(l->c->a);
  find_products(l, g->body);
  bool ok = lower_states_begin(l);
  for (const ir_node *n = g->body->first; n; n = n->next) ok = lower_node(l, n, false) && ok;
  ok = ok && lower_states_end(l);
  vec_push(l->c->a, &l->out->entries, p);
  return ok;
}

typedef struct uncompiled { // what keeps a module from being lowered
  lowering *l;
  bool seen[OP_COUNT], found, named;
} uncompiled;

static void find_uncompiled(uncompiled *u, const ir_region *r) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (fuse_is_control(n))
      for (uint32_t i = 0; i < n->n_regions; i++) find_uncompiled(u, n->regions[i]);
    if (n->op == OP_group || fuse_is_step(n) || (op_get(n->op)->cls == OPC_leaf && fuse_has_schedule(u->l->m, n)))
      continue;
    u->found = true; // compiled operators outside groups feed, or stand beside, the ones that are named
    if (!fuse_has_schedule(u->l->m, n) && !u->seen[n->op]) {
      diag_at(u->l->c->diags, n->spans.n ? n->spans.at[0] : NO_SPAN, op_not_compiled, op_get(n->op)->name);
      u->seen[n->op] = u->named = true;
    }
  }
}

// Every operator that no schedule covers, each once with its first line.
static bool all_compiled(lowering *l) {
  uncompiled u = {.l = l};
  const ir_node *first = NULL;
  for (size_t g = 0; g < l->m->graphs.n; g++) {
    find_uncompiled(&u, l->m->graphs.at[g]->body);
    if (!first) first = l->m->graphs.at[g]->body->first;
  }
  if (!u.found) return true;
  if (!u.named && first) // fusion left out what it should have taken
    diag_at(l->c->diags, first->spans.n ? first->spans.at[0] : NO_SPAN, group_not_lowered, op_get(first->op)->name);
  return false;
}

program_set *lower_module(pass_context *c, ir_module *m) {
  lowering l = {.c = c, .m = m, .out = ARENA_NEW(c->a, program_set)};
  l.kernel_by_text = map_new(c->a);
  l.constant_by_name = map_new(c->a);
  l.constant_of = map_new(c->a);
  l.prepare_buffer = map_new(c->a);
  l.panels_of = map_new(c->a);
  l.out->m = m;
  l.out->target = c->target;
  l.out->prepare.name = "prepare";
  if (!all_compiled(&l)) return NULL;
  bool ok = true;
  for (size_t g = 0; g < m->graphs.n; g++) ok = lower_graph(&l, m->graphs.at[g]) && ok;
  return ok ? l.out : NULL;
}
