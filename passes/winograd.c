// Which convolutions are computed by Winograd's minimal filtering (winograd.h), and by which of its forms.
//
// It rounds otherwise than the sum of products: errors stay within 5e-5 of the largest result (checked by
// tests/op/test_winograd.c), and a value that is no number spreads over its tile. `--skip winograd` leaves it out;
// `--explain` lists each.
//
// The choice is by time, estimated from the target: products at the multiply-add peak or weights at the memory's
// bandwidth, whichever takes longer, and the transforms. F(4x4) makes a quarter of the products but has four times the
// weights, and loses where an image has few tiles. Rejected: F(6x6), whose larger constants cost accuracy; transforms
// as groups of their own, which would carry 2.25 times the image through memory, twice.
#include "passes/winograd.h"
#include "passes/axis_map.h"
#include "passes/fixed.h"

// Points 0, 1, -1 (2, -2) and infinity.
static const winograd_form forms[] = {
    {.m = 2,
     .p = 4,
     .bt = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}},
     .g = {{1, 0, 0}, {0.5F, 0.5F, 0.5F}, {0.5F, -0.5F, 0.5F}, {0, 0, 1}},
     .at = {{1, 1, 1, 0}, {0, 1, -1, 1}}},
    {.m = 4,
     .p = 6,
     .bt = {{4, 0, -5, 0, 1, 0},
            {0, -4, -4, 1, 1, 0},
            {0, 4, -4, -1, 1, 0},
            {0, -2, -1, 2, 1, 0},
            {0, 2, -1, -2, 1, 0},
            {0, 4, 0, -5, 0, 1}},
     .g = {{1.0F / 4, 0, 0},
           {-1.0F / 6, -1.0F / 6, -1.0F / 6},
           {-1.0F / 6, 1.0F / 6, -1.0F / 6},
           {1.0F / 24, 1.0F / 12, 1.0F / 6},
           {1.0F / 24, -1.0F / 12, 1.0F / 6},
           {0, 0, 1}},
     .at = {{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}}};

enum { N_FORMS = sizeof forms / sizeof *forms };

const winograd_form *winograd_find(int64_t m) {
  for (uint32_t i = 0; i < N_FORMS; i++)
    if (forms[i].m == m) return &forms[i];
  return NULL;
}

// -- the choice --

typedef struct chooser {
  pass_context *c;
  ir_module *m;
  map *fixed;
} chooser;

// Is an axis a label of the result plus another one, of three taps?
static bool is_slid(const axis_map *x, const ir_axis *a, uint32_t label) {
  const idx *coef, *tap;
  if (a->may_miss || a->exact_div != 1) return false;
  if (!idx_linear(x->m->ix, a->at, x->label[label].symbol, &coef, &tap) || !idx_equals_int(coef, 1)) return false;
  const ir_axis rest = {.at = tap, .exact_div = 1};
  int k = axis_map_label(x, &rest);
  return k >= 0 && !x->label[k].in_out && idx_equals_int(x->label[k].extent, WINOGRAD_TAPS);
}

// n (y+ky) (x+kx) c, with weights over c, ky, kx and a label of their own -> n y x o
static bool is_convolution(const axis_map *x) {
  if (x->n_labels != 7 || x->out_rank != 4 || x->operand[0].rank != 4 || x->operand[1].rank != 4) return false;
  const ir_axis *a = x->operand[0].axis;
  int n = axis_map_label(x, &a[0]), c = axis_map_label(x, &a[3]);
  if (n < 0 || (uint32_t)n != x->out[0] || c < 0 || x->label[c].in_out) return false;
  for (uint32_t i = 0; i < 4; i++)
    if (axis_map_label(x, &x->operand[1].axis[i]) < 0) return false;
  return is_slid(x, &a[1], x->out[1]) && is_slid(x, &a[2], x->out[2]) && !axis_map_mentions(x, 0, x->out[3]) &&
         axis_map_mentions(x, 1, (uint32_t)c) && axis_map_mentions(x, 1, x->out[3]);
}

static double typical(const chooser *w, const idx *extent) {
  int64_t lo, hi;
  return idx_range(w->m->ix, extent, &lo, &hi) ? (double)(lo > 0 ? lo : 1) : 1; // the smallest: there is no regret
}

static double larger(double a, double b) { return a > b ? a : b; }

// Nanoseconds.
static double direct_time(const target *t, double positions, double weights, int side) {
  return larger(positions * WINOGRAD_TAPS * WINOGRAD_TAPS * weights / (t->fma_per_ns * side),
                WINOGRAD_TAPS * WINOGRAD_TAPS * weights * 4 / t->bytes_per_ns);
}

static double winograd_time(const target *t, const winograd_form *f, double tiles, double in, double out) {
  double points = f->p * f->p, per_lane = 4.0 / t->vector_bytes;
  double products = larger(points * tiles * in * out / t->fma_per_ns, points * in * out * 4 / t->bytes_per_ns);
  return products + tiles * (in + out) * points * per_lane * 2; // a load, a store and some arithmetic for each point
}

static const winograd_form *choose(const chooser *w, const axis_map *x) {
  const target *t = w->c->target;
  int64_t in, out;
  if (!idx_is_const(x->operand[0].v->type.dim[3], &in) || !idx_is_const(x->label[x->out[3]].extent, &out)) return NULL;
  bool narrow = w->c->precision != PRECISION_f32;
  if (narrow && t->has_amx && in % 32 == 0) return NULL; // matrix registers multiply faster than filtering saves
  double images = typical(w, x->label[x->out[0]].extent), height = typical(w, x->label[x->out[1]].extent),
         width = typical(w, x->label[x->out[2]].extent);
  double least = 0.8 * direct_time(t, images * height * width, (double)(in * out),
                                   narrow && t->has_bf16 && in % 2 == 0 ? 2 : 1); // it has to pay
  const winograd_form *best = NULL;
  for (uint32_t i = 0; i < N_FORMS; i++) {
    const winograd_form *f = &forms[i];
    double rows = (double)((int64_t)(height + f->m - 1) / f->m), columns = (double)((int64_t)(width + f->m - 1) / f->m);
    double time = winograd_time(t, f, images * rows * columns, (double)in, (double)out);
    if (time < least) least = time, best = f;
  }
  return best;
}

static bool mark(void *user, ir_builder *b, const ir_node *n, map *values) {
  chooser *w = user;
  axis_map x;
  if (n->op != OP_contract || n->out[0].type.dt != DT_f32 || n->in[0]->type.dt != DT_f32) return false;
  if (!value_is_fixed(w->fixed, n->in[1]) || !axis_map_read(&x, w->m, n, n->in) || !is_convolution(&x)) return false;
  const winograd_form *f = choose(w, &x);
  if (!f) return false;
  b->scope = n->scope;
  b->spans = n->spans;
  ir_value *in[] = {map_get_ptr(values, n->in[0]), map_get_ptr(values, n->in[1])};
  const char *text = ir_attr_str(n, "map", "");
  const ir_attr attr[] = {attr_str(w->m, "map", text), attr_int(w->m, "winograd", f->m)};
  ir_node *made = ir_build(b, OP_contract, 2, in, 2, attr, 0, NULL, 0, NULL);
  if (!made) return false;
  if (w->c->explain) sb_fmt(w->c->explain, "winograd: F(%ux%u, 3x3) of %s\n", f->m, f->m, text);
  map_put_ptr(values, &n->out[0], made->out);
  return true;
}

bool pass_winograd(pass_context *c, ir_module *m) {
  chooser w = {c, m, map_new(c->a)};
  for (size_t g = 0; g < m->graphs.n; g++) ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], mark, &w));
  return true;
}
