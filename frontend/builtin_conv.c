// Built-ins over windows: convolutions of one, two or three spatial axes as one contraction with affine index maps, and
// pools as windowed reductions.
//
//   convolution   x[n, c, y*stride + ky*dilation - padding] * w[o, c, ky]          reads outside x give 0: that is the
//   padding transposed    x[n, c, (y + padding - ky) / stride] * w[c, o, ky]               read where the division is
//   exact groups        both operands get an axis g by a reshape; with one channel a group (depthwise) the axis c goes
//   pool          x[n, c, y*stride + ky - padding] reduced over ky; outside is -inf for a maximum, 0 for a sum
#include "frontend/builtin.h"

#include <math.h>
#include <string.h>

enum { MAX_SPACE = 3 };

static const char *const out_label[] = {"z", "y", "x"};
static const char *const kernel_label[] = {"kz", "ky", "kx"};

typedef struct window {
  call *c;
  uint32_t space; // spatial axes
  int64_t stride[MAX_SPACE], padding[MAX_SPACE], dilation[MAX_SPACE], extra[MAX_SPACE];
  const idx *in[MAX_SPACE], *kernel[MAX_SPACE], *out[MAX_SPACE];
} window;

static const char *label_of(const window *w, uint32_t i, const char *const *names) {
  return names[MAX_SPACE - w->space + i];
}

static bool read_ints(window *w, size_t arg, int64_t least, int64_t *out) {
  if (!arg_ints(w->c, arg, w->space, out)) return false;
  for (uint32_t i = 0; i < w->space; i++) {
    if (out[i] < least) return call_fail(w->c, "%lld is too small", (long long)out[i]), false;
  }
  return true;
}

static bool out_is_positive(window *w, uint32_t i) {
  idx_ctx *ix = w->c->e->m->ix;
  const idx *room = idx_addi(ix, w->out[i], -1);
  if (idx_nonneg(ix, room) == TRI_no)
    return call_clash(w->c, w->c->arg[0], value_none(), "the window does not fit an extent of %s",
                      value_idx_text(w->c->e->a, w->in[i])),
           false;
  elab_check(w->c->e, room, "a window fits");
  return true;
}

static void affine(strbuf *b, const char *label, int64_t coef) {
  sb_fmt(b, coef == 1 ? "%s" : "%s*%lld", label, (long long)coef);
}

// How x is read along spatial axis i by the forward window.
static void put_window_axis(strbuf *b, const window *w, uint32_t i) {
  sb_z(b, " (");
  affine(b, label_of(w, i, out_label), w->stride[i]);
  sb_char(b, '+');
  affine(b, label_of(w, i, kernel_label), w->dilation[i]);
  if (w->padding[i]) sb_fmt(b, "-%lld", (long long)w->padding[i]);
  sb_char(b, ')');
}

static void put_transposed_axis(strbuf *b, const window *w, uint32_t i) {
  sb_fmt(b, w->stride[i] == 1 ? " (%s" : " ((%s", label_of(w, i, out_label));
  if (w->padding[i]) sb_fmt(b, "+%lld", (long long)w->padding[i]);
  sb_fmt(b, "-%s)", label_of(w, i, kernel_label));
  if (w->stride[i] != 1) sb_fmt(b, "/%lld)", (long long)w->stride[i]);
}

static void put_labels(strbuf *b, const window *w, const char *const *names) {
  for (uint32_t i = 0; i < w->space; i++) sb_fmt(b, " %s", label_of(w, i, names));
}

static void put_extents(strbuf *b, const window *w, const char *const *names, const idx *const *extent, bool first) {
  for (uint32_t i = 0; i < w->space; i++) {
    sb_fmt(b, "%s%s = ", first && !i ? "; " : ", ", label_of(w, i, names));
    idx_print(b, extent[i]);
  }
}

// -- convolutions --

static bool conv_operands(call *c, ir_value **x, ir_value **k) {
  if (!arg_float_tensor(c, 0, x) || !arg_float_tensor(c, 1, k)) return false;
  uint32_t rank = (*x)->type.rank;
  if (rank < 3 || rank > 2 + MAX_SPACE || (*k)->type.rank != rank || (*x)->type.dt != (*k)->type.dt) {
    call_clash(c, c->arg[0], c->arg[1],
               "needs [batch, channels, ...] with one to three spatial dims and weights of as many, found %s and %s",
               value_describe(c->e->a, c->arg[0]), value_describe(c->e->a, c->arg[1]));
    return false;
  }
  return true;
}

// Splits an axis in groups: [.., c, ..] to [.., g, c/g, ..], or [.., g, ..] where one is left and `drop` says so.
static ir_value *split_groups(call *c, ir_value *x, uint32_t axis, int64_t groups, bool drop) {
  const idx *dim[IR_MAX_RANK];
  uint32_t n = 0;
  for (uint32_t i = 0; i < x->type.rank; i++) {
    dim[n++] = i == axis ? idx_int(c->e->m->ix, groups) : x->type.dim[i];
    if (i == axis && !drop) dim[n++] = idx_floordiv(c->e->m->ix, x->type.dim[i], idx_int(c->e->m->ix, groups));
  }
  return ir_reshape(elab_nodes(c->e), x, n, dim);
}

static ir_value *drop_axis(call *c, ir_value *x, uint32_t axis) {
  const idx *dim[IR_MAX_RANK];
  uint32_t n = 0;
  for (uint32_t i = 0; i < x->type.rank; i++) {
    if (i != axis) dim[n++] = x->type.dim[i];
  }
  return ir_reshape(elab_nodes(c->e), x, n, dim);
}

static bool divides(call *c, int64_t groups, value of, const idx *channels) {
  if (idx_divides(c->e->m->ix, groups, channels) == TRI_yes) return true;
  call_clash(c, of, value_none(), "%lld groups do not divide %s channels", (long long)groups,
             value_idx_text(c->e->a, channels));
  return false;
}

static bool channels_agree(call *c, const idx *x, const idx *w) {
  if (elab_same_dim(c->e, x, w, "channels") != SAME_no) return true;
  call_clash(c, c->arg[0], c->arg[1], "%s channels a group, and weights for %s", value_idx_text(c->e->a, x),
             value_idx_text(c->e->a, w));
  return false;
}

// A convolution without a window is a matrix product over channels.
static bool is_pointwise(const window *w, int64_t groups) {
  bool plain = groups == 1;
  for (uint32_t i = 0; i < w->space; i++)
    plain &= idx_equals_int(w->kernel[i], 1) && w->stride[i] == 1 && w->padding[i] == 0;
  return plain;
}

// Contracts x with k, and puts the groups back into one channel axis.
static value contract_windows(window *w, ir_value *x, ir_value *k, int64_t groups, bool transposed) {
  call *c = w->c;
  idx_ctx *ix = c->e->m->ix;
  const idx *per_group = k->type.dim[transposed ? 1 : 0], *channels = x->type.dim[1];
  const idx *outs = transposed ? idx_scale(ix, per_group, groups) : per_group;
  bool depthwise = groups > 1 && idx_equals_int(channels, groups);
  bool single = groups > 1 && idx_equals_int(outs, groups);
  const char *g = groups > 1 ? " g" : "", *cl = depthwise ? "" : " c", *ol = single ? "" : " o";
  if (groups > 1) {
    if (!depthwise) x = split_groups(c, x, 1, groups, false);
    k = split_groups(c, k, 0, groups, transposed ? depthwise : single); // its first axis: channels in, or out
    if (!x || !k) return value_error();
    uint32_t second = (transposed ? depthwise : single) ? 1 : 2; // where its other channel axis is now
    if (transposed ? single : depthwise) k = drop_axis(c, k, second);
    if (!k) return value_error();
  }
  strbuf b;
  sb_init(&b, c->e->a);
  sb_fmt(&b, "n%s%s", g, cl);
  for (uint32_t i = 0; i < w->space; i++) (transposed ? put_transposed_axis : put_window_axis)(&b, w, i);
  if (groups > 1) sb_z(&b, ", g");
  else sb_char(&b, ',');
  sb_fmt(&b, "%s%s", transposed ? cl : ol, transposed ? ol : cl);
  put_labels(&b, w, kernel_label);
  sb_fmt(&b, " -> n%s%s", g, ol);
  put_labels(&b, w, out_label);
  put_extents(&b, w, out_label, w->out, true);
  ir_value *y = ir_contract(elab_nodes(c->e), x, k, sb_cstr(&b));
  if (!y || groups == 1 || single) return value_tensor(y);
  const idx *dim[2 + MAX_SPACE] = {y->type.dim[0], outs};
  for (uint32_t i = 0; i < w->space; i++) dim[2 + i] = w->out[i];
  return value_tensor(ir_reshape(elab_nodes(c->e), y, 2 + w->space, dim));
}

value builtin_convolution(call *c) {
  ir_value *x, *k;
  int64_t groups;
  if (!conv_operands(c, &x, &k) || !arg_positive(c, 5, &groups)) return value_error();
  idx_ctx *ix = c->e->m->ix;
  window w = {.c = c, .space = x->type.rank - 2};
  if (!read_ints(&w, 2, 1, w.stride) || !read_ints(&w, 3, 0, w.padding) || !read_ints(&w, 4, 1, w.dilation) ||
      !divides(c, groups, c->arg[0], x->type.dim[1]) || !divides(c, groups, c->arg[1], k->type.dim[0]) ||
      !channels_agree(c, idx_floordiv(ix, x->type.dim[1], idx_int(ix, groups)), k->type.dim[1]))
    return value_error();
  for (uint32_t i = 0; i < w.space; i++) {
    w.in[i] = x->type.dim[2 + i];
    w.kernel[i] = k->type.dim[2 + i];
    const idx *reach = idx_addi(ix, idx_scale(ix, idx_addi(ix, w.kernel[i], -1), w.dilation[i]), 1);
    const idx *room = idx_sub(ix, idx_addi(ix, w.in[i], 2 * w.padding[i]), reach);
    w.out[i] = idx_addi(ix, idx_floordiv(ix, room, idx_int(ix, w.stride[i])), 1);
    if (!out_is_positive(&w, i)) return value_error();
  }
  if (!is_pointwise(&w, groups)) return contract_windows(&w, x, k, groups, false);
  k = ir_reshape(elab_nodes(c->e), k, 2, k->type.dim);
  strbuf b;
  sb_init(&b, c->e->a);
  put_labels(&b, &w, out_label);
  return value_tensor(
      k ? ir_contract(elab_nodes(c->e), x, k, str_fmt(c->e->a, "n c%s, o c -> n o%s", sb_cstr(&b), sb_cstr(&b)))
        : NULL);
}

value builtin_convolution_transpose(call *c) {
  ir_value *x, *k;
  int64_t groups;
  if (!conv_operands(c, &x, &k) || !arg_positive(c, 5, &groups)) return value_error();
  idx_ctx *ix = c->e->m->ix;
  window w = {.c = c, .space = x->type.rank - 2};
  if (!read_ints(&w, 2, 1, w.stride) || !read_ints(&w, 3, 0, w.padding) || !read_ints(&w, 4, 0, w.extra) ||
      !divides(c, groups, c->arg[0], x->type.dim[1]) || !channels_agree(c, x->type.dim[1], k->type.dim[0]))
    return value_error();
  for (uint32_t i = 0; i < w.space; i++) {
    w.in[i] = x->type.dim[2 + i];
    w.kernel[i] = k->type.dim[2 + i];
    w.dilation[i] = 1;
    const idx *steps = idx_scale(ix, idx_addi(ix, w.in[i], -1), w.stride[i]);
    w.out[i] = idx_addi(ix, idx_add(ix, steps, w.kernel[i]), w.extra[i] - 2 * w.padding[i]);
    if (!out_is_positive(&w, i)) return value_error();
  }
  return contract_windows(&w, x, k, groups, true);
}

// -- pools --

// With ceil_mode a window may hang over the far end, but begins inside the padded input.
static const idx *pool_extent(window *w, uint32_t i, bool ceil_mode) {
  idx_ctx *ix = w->c->e->m->ix;
  const idx *room = idx_sub(ix, idx_addi(ix, w->in[i], 2 * w->padding[i]), w->kernel[i]);
  if (!ceil_mode) return idx_addi(ix, idx_floordiv(ix, room, idx_int(ix, w->stride[i])), 1);
  const idx *covering = idx_addi(ix, idx_ceildiv(ix, room, w->stride[i]), 1);
  return idx_min(ix, covering, idx_ceildiv(ix, idx_addi(ix, w->in[i], w->padding[i]), w->stride[i]));
}

value builtin_pool(call *c) {
  ir_value *x;
  bool ceil_mode, largest = !strcmp(c->fn->name, "_max_pool");
  if (!arg_float_tensor(c, 0, &x) || !arg_bool(c, 4, &ceil_mode)) return value_error();
  if (x->type.rank < 3 || x->type.rank > 2 + MAX_SPACE) return arg_fail(c, 0, "a tensor [batch, channels, ...]");
  window w = {.c = c, .space = x->type.rank - 2, .dilation = {1, 1, 1}};
  int64_t kernel[MAX_SPACE];
  if (!read_ints(&w, 1, 1, kernel) || !read_ints(&w, 2, 1, w.stride) || !read_ints(&w, 3, 0, w.padding))
    return value_error();
  for (uint32_t i = 0; i < w.space; i++) {
    if (2 * w.padding[i] > kernel[i]) return call_fail(c, "the padding is more than half of the window");
    w.in[i] = x->type.dim[2 + i];
    w.kernel[i] = idx_int(c->e->m->ix, kernel[i]);
    w.out[i] = pool_extent(&w, i, ceil_mode);
    if (!out_is_positive(&w, i)) return value_error();
  }
  strbuf b;
  sb_init(&b, c->e->a);
  sb_z(&b, "n c");
  for (uint32_t i = 0; i < w.space; i++) put_window_axis(&b, &w, i);
  sb_z(&b, " -> n c");
  put_labels(&b, &w, out_label);
  put_extents(&b, &w, out_label, w.out, true);
  put_extents(&b, &w, kernel_label, w.kernel, false);
  ir_module *m = c->e->m;
  ir_attr attr[] = {attr_str(m, "map", sb_cstr(&b)), attr_float(m, "else", largest ? -INFINITY : 0.0)};
  ir_node *n = ir_build(elab_nodes(c->e), largest ? OP_amax : OP_sum, 1, &x, 2, attr, 0, NULL, 0, NULL);
  return n ? value_tensor(&n->out[0]) : value_error();
}
