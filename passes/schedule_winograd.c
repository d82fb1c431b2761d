// Schedule of a 3x3 convolution by minimal filtering: see winograd.h for the method, winograd.c for the choice.
//
//   prepare: U[group, point, panel of columns, channel, column] = G w Gt
//   grid: blocks of T tiles, groups of columns
//     for each tile, vector of channels     V[point, tile, channel] = Bt d B, read through the operand's index form
//     for each point                        M[point, tile, column] = sum over channels of V · U, by register tiles
//     for each tile, vector of columns      At M A: one result of the tile after the other goes through the epilogue
//
// V and M are a block's scratch, sized to stay in the second cache; U streams through once a block, the next panel
// fetched while rows of tiles pass over this one. Tiles past the last one are computed like it and not stored; so are
// positions past the image's edge.
#include "passes/winograd.h"

enum { LEAST_TILES = 24, LINE_BYTES = 64, GROUPS = 4, STEP = 4 };

typedef struct filtering {
  contract *x;
  const winograd_form *f;
  const sym *n, *oy, *ox, *ky, *kx, *c, *o;           // labels; ky, kx and c are reduced
  int64_t in, out;                                    // channels
  const idx *height, *width, *rows, *columns, *tiles; // of an image: positions, tiles; tiles of all images (module)
  int64_t block, group;                               // tiles and columns of a grid point
  int64_t step;                                       // channels of an inner step
  uint32_t lanes;
  bool whole_rows, whole_columns; // no tile reaches over the image's edge
  const ir_value *packed;
  kir_buffer *u, *v, *products, *half; // half: one side transformed
  const idx *first, *end, *part, *o0;  // tiles [first, end), columns from o0 (kernel)
} filtering;

static scalar f32(double v) { return scalar_f(DT_f32, v); }

// The sum of coef[i]·t[i]. A term that is added as it is comes first.
static kir_tile *combine(kir_builder *b, uint32_t n, const float *coef, kir_tile *const *t) {
  uint32_t first = 0;
  for (uint32_t i = n; i-- > 0;)
    if (coef[i] != 0 && coef[first] != 1) first = i;
  kir_tile *sum = coef[first] == 1 ? t[first] : kir_op2(b, OP_mul, t[first], kir_const(b, f32(coef[first]), 1, 1));
  for (uint32_t i = 0; i < n; i++) {
    if (i == first || coef[i] == 0) continue;
    if (coef[i] == 1 || coef[i] == -1) sum = kir_op2(b, coef[i] == 1 ? OP_add : OP_sub, sum, t[i]);
    else sum = kir_fma(b, t[i], kir_const(b, f32(coef[i]), 1, 1), sum);
  }
  return sum;
}

// -- the weights, once --

// The weights where they lie, f32 or widened to it; NULL: they are something else.
static const sx *weights_load(const contract *x) {
  const sx *e = x->n.root[1];
  if (e->kind == SX_op && e->op == OP_cast) e = e->in[0];
  return e->kind == SX_load ? e : NULL;
}

static int64_t points_of(const filtering *w) { return w->f->p * w->f->p; }
static int64_t groups_of(const filtering *w) { return (w->out + w->group - 1) / w->group; }

// Where panel `panel` (of a group) of a point begins.
static const idx *panel_at(const filtering *w, idx_ctx *kc, const idx *group, const idx *point, const idx *panel) {
  int64_t panels = w->group / w->x->cols;
  const idx *at = idx_add(kc, idx_scale(kc, group, points_of(w)), point);
  return idx_scale(kc, idx_add(kc, idx_scale(kc, at, panels), panel), w->in * w->x->cols);
}

// U of one panel (of all groups') and channel.
static void transform_weights(const filtering *w, splice *s, kir_builder *b, kir_buffer *to, const idx *panel,
                              const idx *channel) {
  idx_ctx *kc = s->g->k->ix;
  const idx *panels = idx_int(kc, w->group / w->x->cols);
  const idx *group = idx_floordiv(kc, panel, panels), *in_group = idx_mod(kc, panel, panels);
  uint32_t p = w->f->p, cols = w->x->cols;
  kir_tile *half[WINOGRAD_MAX][WINOGRAD_TAPS], *tap[WINOGRAD_TAPS];
  s->b = b;
  for (uint32_t j = 0; j < WINOGRAD_TAPS; j++) {
    for (uint32_t i = 0; i < WINOGRAD_TAPS; i++) {
      splice here = *s;
      splice_bind(&here, w->ky, idx_int(kc, i));
      splice_bind(&here, w->kx, idx_int(kc, j));
      tap[i] = splice_tile(&here, w->x->n.root[1]);
    }
    for (uint32_t i = 0; i < p; i++) half[i][j] = combine(b, WINOGRAD_TAPS, w->f->g[i], tap);
  }
  for (uint32_t i = 0; i < p; i++)
    for (uint32_t j = 0; j < p; j++) {
      const idx *at[] = {idx_add(kc, panel_at(w, kc, group, idx_int(kc, i * p + j), in_group),
                                 idx_add(kc, idx_scale(kc, channel, cols), idx_of(kc, s->g->k->c)))};
      kir_store(b, to, at, combine(b, WINOGRAD_TAPS, w->f->g[j], half[i]), 1, cols, kir_always);
    }
}

static void pack(filtering *w) {
  lower_group *g = w->x->g, p = contract_pack_group(g, "winograd");
  idx_ctx *kc = p.k->ix;
  const sx *load = weights_load(w->x);
  int64_t columns = groups_of(w) * w->group, total = points_of(w) * w->in * columns;
  const sym *panel = kir_grid(p.k, "panel", idx_int(kc, columns / w->x->cols));
  splice s = {.g = &p, .rows = 1, .cols = w->x->cols};
  lower_in(&p, load->value);
  const idx *count[] = {idx_int(kc, total)};
  kir_buffer *to = kir_param(p.k, "packed", KIR_out, DT_f32, 1, count);
  kir_builder b = kir_begin(p.k);
  kir_stmt *loop = kir_for(&b, "k", idx_int(kc, 0), idx_int(kc, w->in), 1, 1, 0, NULL);
  kir_builder body = kir_for_body(&b, loop);
  const idx *column = idx_add(kc, idx_scale(kc, idx_of(kc, panel), w->x->cols), idx_of(kc, p.k->c));
  splice_bind(&s, w->o, column);
  splice_bind(&s, w->c, idx_of(kc, loop->var));
  s.col_tail = w->out < columns ? idx_addi(kc, idx_sub(kc, idx_int(kc, w->out), column), -1) : NULL;
  transform_weights(w, &s, &body, to, idx_of(kc, panel), idx_of(kc, loop->var));
  kir_for_end(loop, NULL);
  w->packed = g->pack(g->user, g, load->value, p.k, idx_int(g->m->ix, total), NULL);
}

// -- tiles --

typedef struct tile_place { // of one tile, in the kernel
  const idx *image, *y, *x; // its first position
} tile_place;

static tile_place place_of(const filtering *w, kir_builder *b, const idx *tile) {
  lower_group *g = w->x->g;
  idx_ctx *kc = g->k->ix;
  const idx *rows = lower_dim_expr(g, w->rows), *columns = lower_dim_expr(g, w->columns);
  const idx *line = kir_let(b, "line", idx_floordiv(kc, tile, columns));
  const idx *x = kir_let(b, "x", idx_scale(kc, idx_mod(kc, tile, columns), w->f->m));
  const idx *y = kir_let(b, "y", idx_scale(kc, idx_mod(kc, line, rows), w->f->m));
  return (tile_place){kir_let(b, "n", idx_floordiv(kc, line, rows)), y, x};
}

// Binds a label of the result and its tap so that they stand for position `at` of the operand.
static void bind_position(splice *s, const sym *label, const sym *tap, const idx *at, const idx *extent, bool whole) {
  idx_ctx *kc = s->g->k->ix;
  const idx *last = idx_addi(kc, lower_dim_expr(s->g, extent), -1);
  if (!whole) at = idx_min(kc, at, idx_addi(kc, last, WINOGRAD_TAPS - 1));
  const idx *position = idx_min(kc, at, last);
  splice_bind(s, label, position);
  splice_bind(s, tap, idx_sub(kc, at, position));
}

// half[line, side] = line of matrix · t: one side transformed.
static void store_half(const filtering *w, kir_builder *b, uint32_t n, const float (*matrix)[WINOGRAD_MAX],
                       kir_tile *const *t, const idx *side) {
  idx_ctx *kc = w->x->g->k->ix;
  for (uint32_t i = 0; i < n; i++) {
    const idx *at[] = {idx_int(kc, i), side, idx_of(kc, w->x->g->k->c)};
    kir_store(b, w->half, at, combine(b, w->f->p, matrix[i], t), 1, w->lanes, kir_always);
  }
}

static void load_half(const filtering *w, kir_builder *b, const idx *line, kir_tile **t) {
  idx_ctx *kc = w->x->g->k->ix;
  for (uint32_t j = 0; j < w->f->p; j++) {
    const idx *at[] = {line, idx_int(kc, j), idx_of(kc, w->x->g->k->c)};
    t[j] = kir_load(b, w->half, at, 1, w->lanes, kir_always, f32(0));
  }
}

static kir_stmt *loop_to(kir_builder *b, const char *name, int64_t end, int64_t step) {
  return kir_for(b, name, idx_int(b->k->ix, 0), idx_int(b->k->ix, end), step, 1, 0, NULL);
}

// V of one tile and vector of channels.
static void transform_vector(const filtering *w, const splice *outer, kir_builder *b, const tile_place *at,
                             const idx *tile, const idx *channel) {
  idx_ctx *kc = w->x->g->k->ix;
  uint32_t p = w->f->p;
  kir_tile *t[WINOGRAD_MAX];
  const idx *c = idx_add(kc, channel, idx_of(kc, w->x->g->k->c));
  kir_stmt *sides = loop_to(b, "j", p, 1);
  kir_builder body = kir_for_body(b, sides);
  splice s = *outer;
  s.b = &body;
  s.cols = w->lanes;
  splice_bind(&s, w->n, at->image);
  splice_bind(&s, w->c, c);
  s.col_tail = w->in % w->lanes ? idx_addi(kc, idx_sub(kc, idx_int(kc, w->in), c), -1) : NULL;
  bind_position(&s, w->ox, w->kx, idx_add(kc, at->x, idx_of(kc, sides->var)), w->width, w->whole_columns);
  for (uint32_t i = 0; i < p; i++) {
    splice line = s;
    bind_position(&line, w->oy, w->ky, idx_addi(kc, at->y, i), w->height, w->whole_rows);
    t[i] = splice_tile(&line, w->x->n.root[0]);
  }
  store_half(w, &body, p, w->f->bt, t, idx_of(kc, sides->var));
  kir_for_end(sides, NULL);
  kir_stmt *lines = loop_to(b, "i", p, 1);
  body = kir_for_body(b, lines);
  load_half(w, &body, idx_of(kc, lines->var), t);
  for (uint32_t j = 0; j < p; j++) {
    const idx *to[] = {idx_addi(kc, idx_scale(kc, idx_of(kc, lines->var), p), j), tile, c};
    kir_store(&body, w->v, to, combine(&body, p, w->f->bt[j], t), 1, w->lanes, kir_always);
  }
  kir_for_end(lines, NULL);
}

static void transform_input(const filtering *w, const splice *s, kir_builder *b, const idx *used) {
  idx_ctx *kc = w->x->g->k->ix;
  kir_stmt *tiles = kir_for(b, "t", idx_int(kc, 0), used, 1, 1, 0, NULL);
  kir_builder in_tiles = kir_for_body(b, tiles);
  const idx *t = idx_of(kc, tiles->var);
  tile_place at = place_of(w, &in_tiles, idx_min(kc, idx_add(kc, w->first, t), idx_addi(kc, w->end, -1)));
  kir_stmt *channels = loop_to(&in_tiles, "c", w->in, w->lanes);
  kir_builder body = kir_for_body(&in_tiles, channels);
  transform_vector(w, s, &body, &at, t, idx_of(kc, channels->var));
  kir_for_end(channels, NULL);
  kir_for_end(tiles, NULL);
}

// -- products --

// Step k.. of a row of tiles at i asks for its share of the panel after this one.
static void fetch_next(const filtering *w, kir_builder *b, const idx *panel, const idx *i, const idx *k) {
  idx_ctx *kc = w->x->g->k->ix;
  int64_t line = LINE_BYTES / 4, size = w->in * w->x->cols, steps = w->in / w->step, rows = w->block / w->x->rows;
  int64_t lines = (size / line + steps * rows - 1) / (steps * rows); // a step
  const idx *row = idx_floordiv(kc, i, idx_int(kc, w->x->rows));
  const idx *step = idx_add(kc, idx_scale(kc, row, steps), idx_floordiv(kc, k, idx_int(kc, w->step)));
  const idx *from = idx_add(kc, idx_addi(kc, panel, size), idx_scale(kc, step, lines * line));
  for (int64_t l = 0; l < lines; l++) {
    const idx *at[] = {idx_addi(kc, from, l * line)};
    kir_prefetch(b, w->u, at);
  }
}

static void multiply(const filtering *w, kir_builder *b, const idx *used) {
  contract *x = w->x;
  idx_ctx *kc = x->g->k->ix;
  const idx *r = idx_of(kc, x->g->k->r), *c = idx_of(kc, x->g->k->c);
  kir_stmt *points = loop_to(b, "p", w->f->p * w->f->p, 1);
  kir_builder in_points = kir_for_body(b, points);
  const idx *p = idx_of(kc, points->var);
  kir_stmt *panels = loop_to(&in_points, "o", w->group / x->cols, 1);
  kir_builder in_panels = kir_for_body(&in_points, panels);
  const idx *o = idx_of(kc, panels->var), *panel = kir_let(&in_panels, "u", panel_at(w, kc, w->part, p, o));
  kir_stmt *tiles = kir_for(&in_panels, "i", idx_int(kc, 0), used, x->rows, 1, 0, NULL);
  kir_builder body = kir_for_body(&in_panels, tiles);
  const idx *i = idx_of(kc, tiles->var), *row = idx_add(kc, i, r);
  kir_tile *acc = kir_const(&body, f32(0), x->rows, x->cols);
  kir_stmt *dot = kir_for(&body, "k", idx_int(kc, 0), idx_int(kc, w->in), w->step, 1, 1, &acc);
  kir_builder in_dot = kir_for_body(&body, dot);
  kir_tile *sum = dot->carry[0];
  fetch_next(w, &in_dot, panel, i, idx_of(kc, dot->var));
  for (int64_t e = 0; e < w->step; e++) {
    const idx *k = idx_addi(kc, idx_of(kc, dot->var), e), *v_at[] = {p, row, k},
              *u_at[] = {idx_add(kc, panel, idx_add(kc, idx_scale(kc, k, x->cols), c))};
    kir_tile *v = kir_load(&in_dot, w->v, v_at, x->rows, 1, kir_always, f32(0)),
             *u = kir_load(&in_dot, w->u, u_at, 1, x->cols, kir_always, f32(0));
    sum = kir_dot(&in_dot, sum, v, u, "fma");
  }
  kir_for_end(dot, &sum);
  const idx *to[] = {p, row, idx_add(kc, idx_scale(kc, o, x->cols), c)};
  kir_store(&body, w->products, to, dot->result[0], x->rows, x->cols, kir_always);
  kir_for_end(tiles, NULL);
  kir_for_end(panels, NULL);
  kir_for_end(points, NULL);
}

// -- results --

// Positions of a tile that lie in the image, along one side.
static const idx *inside(const filtering *w, const idx *extent, const idx *at, bool whole) {
  idx_ctx *kc = w->x->g->k->ix;
  const idx *m = idx_int(kc, w->f->m);
  return whole ? m : idx_min(kc, m, idx_sub(kc, lower_dim_expr(w->x->g, extent), at));
}

static void finish_vector(const filtering *w, const splice *outer, kir_builder *b, const tile_place *at,
                          const idx *tile, const idx *column) {
  contract *x = w->x;
  lower_group *g = x->g;
  idx_ctx *kc = g->k->ix;
  uint32_t p = w->f->p;
  kir_tile *t[WINOGRAD_MAX];
  const idx *c = idx_of(kc, g->k->c), *o = idx_add(kc, column, c);
  kir_stmt *sides = loop_to(b, "j", p, 1);
  kir_builder body = kir_for_body(b, sides);
  for (uint32_t i = 0; i < p; i++) {
    const idx *from[] = {idx_addi(kc, idx_of(kc, sides->var), i * p), tile, o};
    t[i] = kir_load(&body, w->products, from, 1, w->lanes, kir_always, f32(0));
  }
  store_half(w, &body, w->f->m, w->f->at, t, idx_of(kc, sides->var));
  kir_for_end(sides, NULL);
  kir_stmt *lines = kir_for(b, "i", idx_int(kc, 0), inside(w, w->height, at->y, w->whole_rows), 1, 1, 0, NULL);
  body = kir_for_body(b, lines);
  load_half(w, &body, idx_of(kc, lines->var), t);
  const idx *columns = inside(w, w->width, at->x, w->whole_columns), *o_at = idx_add(kc, w->o0, o);
  for (uint32_t j = 0; j < w->f->m; j++) {
    kir_builder here = body;
    if (!w->whole_columns && j > 0) here = kir_then(&body, kir_if(&body, idx_addi(kc, columns, -(int64_t)j - 1)));
    splice s = *outer;
    s.b = &here;
    s.cols = w->lanes;
    splice_bind(&s, w->n, at->image);
    splice_bind(&s, w->oy, idx_add(kc, at->y, idx_of(kc, lines->var)));
    splice_bind(&s, w->ox, idx_addi(kc, at->x, j));
    splice_bind(&s, w->o, o_at);
    s.col_tail = w->out % w->lanes ? idx_addi(kc, idx_sub(kc, idx_int(kc, w->out), o_at), -1) : NULL;
    s.acc = map_new(g->c->a);
    map_put_ptr(s.acc, x->anchor, combine(&here, p, w->f->at[j], t));
    for (uint32_t k = 2; k < x->n.n_roots; k++)
      splice_store(&s, g->region->yields[k - 2], x->n.store[k], splice_tile(&s, x->n.root[k]));
  }
  kir_for_end(lines, NULL);
}

static void finish(const filtering *w, const splice *s, kir_builder *b) {
  idx_ctx *kc = w->x->g->k->ix;
  kir_stmt *tiles = kir_for(b, "t", idx_int(kc, 0), idx_sub(kc, w->end, w->first), 1, 1, 0, NULL);
  kir_builder in_tiles = kir_for_body(b, tiles);
  const idx *t = idx_of(kc, tiles->var);
  tile_place at = place_of(w, &in_tiles, idx_add(kc, w->first, t));
  const idx *columns = idx_min(kc, idx_int(kc, w->group), idx_sub(kc, idx_int(kc, w->out), w->o0));
  kir_stmt *vectors = kir_for(&in_tiles, "o", idx_int(kc, 0), columns, w->lanes, 1, 0, NULL);
  kir_builder body = kir_for_body(&in_tiles, vectors);
  finish_vector(w, s, &body, &at, t, idx_of(kc, vectors->var));
  kir_for_end(vectors, NULL);
  kir_for_end(tiles, NULL);
}

// -- shape --

static const sym *tap_of(const idx *axis, const sym *label, idx_ctx *c) {
  const idx *coef, *rest;
  return idx_linear(c, axis, label, &coef, &rest) ? idx_is_symbol(rest) : NULL;
}

// Labels as pass winograd left them; the operand must depend on a position and its tap by their sum alone.
static bool find_labels(filtering *w, const ir_node *dot) {
  contract *x = w->x;
  lower_group *g = x->g;
  idx_ctx *c = g->m->ix;
  const ir_map *labels = ir_map_of(g->m, dot);
  if (!labels || labels->out_rank != 4 || g->dom.rank != 4 || labels->operand[0].rank != 4) return false;
  const ir_axis *axis = labels->operand[0].axes;
  w->n = g->dom.label[0], w->oy = g->dom.label[1], w->ox = g->dom.label[2], w->o = g->dom.label[3];
  w->ky = tap_of(axis[1].at, labels->labels[labels->out_label[1]].symbol, c);
  w->kx = tap_of(axis[2].at, labels->labels[labels->out_label[2]].symbol, c);
  w->c = idx_is_symbol(axis[3].at);
  w->height = g->dom.dim[1], w->width = g->dom.dim[2];
  if (!w->ky || !w->kx || !w->c || idx_equals_int(w->height, 1) || idx_equals_int(w->width, 1)) return false;
  if (!idx_is_const(dot->in[0]->type.dim[3], &w->in) || !idx_is_const(g->dom.dim[3], &w->out)) return false;
  const idx_binding turn[] = {{w->oy, idx_addi(c, idx_of(c, w->oy), 1)},
                              {w->ky, idx_addi(c, idx_of(c, w->ky), -1)},
                              {w->ox, idx_addi(c, idx_of(c, w->ox), 1)},
                              {w->kx, idx_addi(c, idx_of(c, w->kx), -1)}};
  return form_subst(g->form, x->n.root[0], 4, turn) == x->n.root[0] && weights_load(x) &&
         contract_is_constant(x, x->n.root[1]);
}

static const idx *tiles_along(const filtering *w, const idx *extent, bool *whole) {
  idx_ctx *c = w->x->g->m->ix;
  *whole = idx_divides(c, w->f->m, extent) == TRI_yes;
  return idx_ceildiv(c, extent, w->f->m);
}

static void choose_shape(filtering *w) {
  contract *x = w->x;
  idx_ctx *c = x->g->m->ix;
  const target *t = x->g->c->target;
  w->lanes = t->vector_bytes / 4;
  w->step = w->in % STEP == 0 ? STEP : 1;
  w->rows = tiles_along(w, w->height, &w->whole_rows);
  w->columns = tiles_along(w, w->width, &w->whole_columns);
  w->tiles = idx_mul(c, x->g->dom.dim[0], idx_mul(c, w->rows, w->columns));
  x->m = w->tiles, x->nn = x->g->dom.dim[3], x->row = w->oy, x->col = w->o;
  contract_choose_tile(x);
  int64_t tile_bytes = (int64_t)(w->f->p * w->f->p) * (w->in + w->out) * 4, rows = x->rows;
  int64_t most = extent_max(x->g, w->tiles), fits = (int64_t)t->l2_bytes / tile_bytes;
  if (fits < LEAST_TILES) fits = LEAST_TILES;
  w->block = (most < fits ? most + rows - 1 : fits) / rows * rows;
  if (w->block < rows) w->block = rows;
  // Few blocks: their columns are shared out as well, and each share transforms the input for itself.
  int64_t blocks = (extent_hint(x->g, w->tiles) + w->block - 1) / w->block, panels = (w->out + x->cols - 1) / x->cols;
  int64_t groups = blocks < GROUPS ? GROUPS / blocks : 1;
  if (groups > panels) groups = panels;
  w->group = (panels + groups - 1) / groups * x->cols;
}

static kir_buffer *scratch(const filtering *w, const char *name, int64_t a, int64_t b, int64_t c) {
  return kir_group(w->x->g->k, name, DT_f32, 3, (int64_t[]){a, b, c});
}

bool schedule_winograd(contract *x, const ir_node *dot) {
  lower_group *g = x->g;
  filtering w = {.x = x, .f = winograd_find(ir_attr_int(dot, "winograd", 0))};
  if (!w.f || x->acc_dt != DT_f32 || !find_labels(&w, dot)) return false;
  choose_shape(&w);
  pack(&w);
  idx_ctx *kc = g->k->ix;
  int64_t points = points_of(&w), vectors = (w.in + w.lanes - 1) / w.lanes;
  w.u = lower_in(g, w.packed);
  w.v = scratch(&w, "input", points, w.block, vectors * w.lanes);
  w.products = scratch(&w, "products", points, w.block, w.group);
  w.half = scratch(&w, "half", w.f->p, w.f->p, w.lanes);
  splice s = {.g = g, .rows = 1, .cols = w.lanes};
  const idx *tiles = lower_dim_expr(g, w.tiles);
  w.first = idx_scale(kc, lower_grid(g, "gm", idx_ceildiv(kc, tiles, w.block)), w.block);
  w.end = idx_min(kc, tiles, idx_addi(kc, w.first, w.block));
  w.part = lower_grid(g, "gn", idx_int(kc, groups_of(&w)));
  w.o0 = idx_scale(kc, w.part, w.group);
  if (g->k->n_grid == 0) kir_grid(g->k, "g", idx_int(kc, 1));
  kir_builder b = kir_begin(g->k);
  const idx *used = idx_scale(kc, idx_ceildiv(kc, idx_sub(kc, w.end, w.first), x->rows), x->rows);
  transform_input(&w, &s, &b, used);
  multiply(&w, &b, used);
  finish(&w, &s, &b);
  g->k->cost_ns = (double)(w.block * points * w.in * w.group) / g->c->target->fma_per_ns * 1.2;
  return true;
}
