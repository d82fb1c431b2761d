// Random convolutions and pools, of one or two spatial axes: see random_graph.h. Any order of axes, stride, dilation,
// padding on either side, groups, and division (transposed convolution).
#include "op/random_gen.h"
#include <math.h>

enum { MAX_SPACE = 2 };

typedef struct window { // of one spatial axis: x is read at (y*stride + k*dilation - padding), or at (y + padding -
                        // k)/stride
  int64_t kernel, stride, dilation, padding;
  const idx *out;
} window;

static bool is_image(gen *g, const rv *x) {
  (void)g;
  ir_type t = x->v->type;
  return t.rank >= 2 && t.rank <= 4 && t.dt != DT_bool;
}

// A window that fits every extent that the axis may have. false: none was found.
static bool choose(gen *g, const idx *extent, bool divides, window *w) {
  idx_ctx *ix = g->m->ix;
  *w = (window){1 + below(g, 4), 1 + below(g, 3), divides ? 1 : 1 + below(g, 2), 0, NULL};
  int64_t reach = (w->kernel - 1) * w->dilation;
  w->padding = below(g, (uint32_t)reach + 2);
  if (divides) { // any size that the steps can fill
    w->out =
        idx_addi(ix, idx_scale(ix, idx_addi(ix, extent, -1), w->stride), w->kernel + (int64_t)below(g, 2) - w->padding);
  } else {
    const idx *room = idx_addi(ix, extent, w->padding + (int64_t)below(g, (uint32_t)w->padding + 1) - reach - 1);
    w->out = idx_addi(ix, idx_floordiv(ix, room, idx_int(ix, w->stride)), 1);
  }
  return idx_nonneg(ix, idx_addi(ix, w->out, -1)) == TRI_yes;
}

static void put_read(strbuf *b, const window *w, uint32_t i, bool divides) {
  if (!divides)
    sb_fmt(b, "(%lld*y%u+%lld*k%u-%lld)", (long long)w->stride, i, (long long)w->dilation, i, (long long)w->padding);
  else if (w->stride == 1) sb_fmt(b, "(y%u+%lld-k%u)", i, (long long)w->padding, i);
  else sb_fmt(b, "((y%u+%lld-k%u)/%lld)", i, (long long)w->padding, i, (long long)w->stride);
}

static void put_extents(strbuf *b, const window *w, uint32_t n, bool kernels) {
  for (uint32_t i = 0; i < n; i++) {
    sb_fmt(b, "%sy%u = ", i ? ", " : "; ", i);
    idx_print(b, w[i].out);
    if (kernels) sb_fmt(b, ", k%u = %lld", i, (long long)w[i].kernel);
  }
}

// The axes of x that slide: the last ones, or those before the last.
static uint32_t choose_space(gen *g, ir_type t, uint32_t *first) {
  uint32_t space = 1 + below(g, t.rank > 2 ? MAX_SPACE : 1);
  *first = t.rank - space - (t.rank > space && chance(g, 40) ? 1 : 0);
  return space;
}

bool step_pool(gen *g) {
  const rv *p = gen_pick(g, is_image);
  window w[MAX_SPACE];
  uint32_t first;
  if (!p || p->nasty) return false;
  rv x = *p;
  ir_type t = x.v->type;
  uint32_t space = choose_space(g, t, &first);
  for (uint32_t i = 0; i < space; i++)
    if (!choose(g, t.dim[first + i], false, &w[i])) return false;
  op_code op = chance(g, 50) ? OP_amax : chance(g, 50) ? OP_sum : OP_amin;
  double outside = op == OP_sum ? 0 : op == OP_amax ? x.lo : x.hi, terms = 1;
  if (dtype_is_int(t.dt)) outside = 0;
  strbuf text;
  sb_init(&text, g->a);
  for (uint32_t i = 0; i < t.rank; i++) {
    if (i) sb_char(&text, ' ');
    if (i >= first && i < first + space) put_read(&text, &w[i - first], i - first, false);
    else sb_char(&text, (char)('a' + i));
  }
  sb_z(&text, " ->");
  for (uint32_t i = 0; i < t.rank; i++) {
    if (i >= first && i < first + space) sb_fmt(&text, " y%u", i - first);
    else sb_fmt(&text, " %c", (char)('a' + i));
  }
  put_extents(&text, w, space, true);
  for (uint32_t i = 0; i < space; i++) terms *= (double)w[i].kernel;
  double big = gen_magnitude(&x) * (op == OP_sum ? terms : 1);
  if (gen_is_float(&x) && big > (t.dt == DT_f16 ? 2e3 : 1e6)) return false;
  ir_attr attrs[] = {attr_float(g->m, "else", outside), attr_str(g->m, "map", sb_cstr(&text))};
  ir_node *n = ir_build(&g->b, op, 1, &x.v, 2, attrs, 0, NULL, 0, NULL);
  ir_value *v = n ? &n->out[0] : NULL;
  if (v && gen_count(g, v->type) > 4 * g->big) return false;
  gen_push(g, v, -big, big, !gen_is_float(&x) || (op != OP_sum && x.crisp), false);
  return true;
}

bool step_convolve(gen *g) {
  const rv *p = gen_pick(g, is_image);
  window w[MAX_SPACE];
  uint32_t first, n = 0;
  if (!p || p->nasty) return false;
  rv x = *p;
  ir_type t = x.v->type;
  bool divides = chance(g, 25);
  uint32_t space = choose_space(g, t, &first);
  for (uint32_t i = 0; i < space; i++)
    if (!choose(g, t.dim[first + i], divides, &w[i])) return false;
  // labels of x beside the windows: one that is multiplied away or shared, the others are the result's
  int channel = t.rank > space ? (first ? (int)first - 1 : (int)(first + space)) : -1;
  bool depthwise = channel >= 0 && chance(g, 30);
  const idx *dim[IR_MAX_RANK], *outs = chance(g, 30) ? idx_int(g->m->ix, 16 + below(g, 40)) : gen_dim(g);
  strbuf from, with, to;
  sb_init(&from, g->a);
  sb_init(&with, g->a);
  sb_init(&to, g->a);
  double terms = 1;
  if (!depthwise) {
    sb_z(&with, "o");
    dim[n++] = outs;
  }
  if (channel >= 0) {
    sb_fmt(&with, "%s%c", n ? " " : "", 'a' + channel);
    dim[n++] = t.dim[channel];
    if (!depthwise) terms *= (double)gen_extent(g, t.dim[channel], true);
  }
  bool channels_last = chance(g, 50);
  for (uint32_t i = 0; i < space; i++) {
    sb_fmt(&with, "%sk%u", n ? " " : "", i);
    dim[n++] = idx_int(g->m->ix, w[i].kernel);
    terms *= (double)w[i].kernel;
  }
  for (uint32_t i = 0; i < t.rank; i++) {
    if (i) sb_char(&from, ' ');
    if (i >= first && i < first + space) {
      put_read(&from, &w[i - first], i - first, divides);
      sb_fmt(&to, " y%u", i - first);
      continue;
    }
    sb_char(&from, (char)('a' + i));
    if ((int)i != channel || depthwise) sb_fmt(&to, " %c", (char)('a' + i));
    else if (!channels_last) sb_z(&to, " o");
  }
  if (!depthwise && (channels_last || channel < 0)) sb_z(&to, " o");
  rv k = gen_leaf(g, gen_is_float(&x) ? "uup"[below(g, 3)] : 'i', t.dt, n, dim);
  double big = gen_magnitude(&x) * gen_magnitude(&k) * terms;
  if (k.nasty || (gen_is_float(&x) && big > (t.dt == DT_f16 ? 2e3 : 1e6))) return false;
  bool swap = chance(g, 30);
  strbuf text;
  sb_init(&text, g->a);
  sb_fmt(&text, "%s, %s ->%s", sb_cstr(swap ? &with : &from), sb_cstr(swap ? &from : &with), sb_cstr(&to));
  put_extents(&text, w, space, false);
  ir_value *v = ir_contract(&g->b, swap ? k.v : x.v, swap ? x.v : k.v, sb_cstr(&text));
  if (v && gen_count(g, v->type) > 8 * g->big) return false;
  gen_push(g, v, -big, big, !gen_is_float(&x), false);
  return true;
}
