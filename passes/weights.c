// Weights in the form that --weights-dtype asks for: narrow in memory, f32 in arithmetic.
//
// Every f32 weight that a contraction multiplies, or that rows are gathered from, is replaced by its narrow form,
// widened again. All of it is ordinary operators: lowering computes the narrow form once, in `prepare`, because it
// depends on weights alone, and fusion leaves the widening to whoever reads the weight (passes/fuse_free.c).
//
//   bf16, f16   cast(w)
//   q8, q4      groups of 32 along the reduced axis, with one scale s in bf16 and B = 8 or 4 bits a weight (8.5 and 4.5
//               with the scale), 32/B neighbours in an i32
//
// A word is read without unpacking: element e of a word v is what the word shows when e's bits are moved to its top,
//
//   w = float(v << (32 - B (e+1))) * (s 2^-(32-B)) = s (q + f),   0 <= f < 1
//
// where q is the element's integer and f what the elements below it, in the same word, leave there. So f is known when
// q is chosen, q = round(w/s - f), and does no harm; but neither mask nor second shift is spent on each of the weights.
// With s = max|w| / (2^(B-1) - 1/2) / (1 - 2^-8), the last factor for the rounding of s, no q is ever out of range, so
// that |w - s (q + f)| <= s/2: for q8 a 253rd of the largest weight of the group, for q4 nearly a 15th.
//
// A group of zeros gives zeros. A group that holds a NaN or an infinity gives no finite value. The reduced label is
// taken apart, k = (group, word, element), so that a kernel may apply s once a group.
//
// A reduced axis whose extent is no multiple of 32, and one that is part of an index sum, cannot be grouped: such
// weights become bf16. Vectors stay as they are; so do weights that are read in other ways.
#include "passes/weights.h"
#include "passes/pass.h"
#include <string.h>

enum { GROUP = 32, WORD_BITS = 32 };

static const char *const form_names[] = {"f32", "bf16", "f16", "q8", "q4"};

bool weights_form_find(const char *name, weights_form *out) {
  for (size_t i = 0; i < sizeof form_names / sizeof *form_names; i++) {
    if (strcmp(name, form_names[i])) continue;
    *out = (weights_form)i;
    return true;
  }
  return false;
}

// -- values --

static ir_value *splat(ir_builder *b, scalar s, ir_type like) { return ir_const_scalar(b, s, like.rank, like.dim); }

static ir_value *scaled(ir_builder *b, ir_value *x, double by) {
  return ir_binary(b, OP_mul, x, splat(b, scalar_f(x->type.dt, by), x->type));
}

// An axis as several, the first of them as long as the others leave it.
static ir_value *split_axis(ir_builder *b, ir_value *x, uint32_t axis, uint32_t n, const int64_t *inner) {
  const idx *dim[IR_MAX_RANK];
  int64_t extent, product = 1;
  idx_is_const(x->type.dim[axis], &extent);
  for (uint32_t i = 0; i < n; i++) product *= inner[i];
  memcpy(dim, x->type.dim, axis * sizeof *dim);
  dim[axis] = idx_int(b->m->ix, extent / product);
  for (uint32_t i = 0; i < n; i++) dim[axis + 1 + i] = idx_int(b->m->ix, inner[i]);
  memcpy(dim + axis + 1 + n, x->type.dim + axis + 1, (x->type.rank - axis - 1) * sizeof *dim);
  return ir_reshape(b, x, x->type.rank + n, dim);
}

// One value a group, for all that a group holds: `axis` is that of groups.
static ir_value *spread(ir_builder *b, ir_value *x, uint32_t axis, ir_type to) {
  const idx *dim[IR_MAX_RANK];
  memcpy(dim, to.dim, to.rank * sizeof *dim);
  dim[axis + 1] = dim[axis + 2] = idx_int(b->m->ix, 1);
  return ir_broadcast(b, ir_reshape(b, x, to.rank, dim), to.rank, to.dim);
}

static ir_value *integer(ir_builder *b, op_code op, ir_value *x, int64_t by) {
  return ir_binary(b, op, x, splat(b, scalar_i(x->type.dt, by), x->type));
}

// -- forms --

static ir_value *cast_and_back(ir_builder *b, ir_value *w, dtype dt) { return ir_cast(b, ir_cast(b, w, dt), DT_f32); }

// Words of [.., groups, words, elements] weights, the lowest bits first. `s`: scales, [.., groups].
static ir_value *packed(ir_builder *b, ir_value *x, ir_value *s, uint32_t axis, int64_t bits) {
  idx_ctx *ix = b->m->ix;
  const int64_t most = (INT64_C(1) << (bits - 1)) - 1;
  ir_value *word = NULL;
  for (int64_t e = 0; e < WORD_BITS / bits; e++) {
    ir_value *q = ir_slice(b, x, axis + 2, idx_int(ix, e), idx_int(ix, 1), 1), *step = spread(b, s, axis, q->type);
    if (word) { // what the elements below leave
      ir_value *f = scaled(b, ir_cast(b, word, DT_f32), 1 / (double)(INT64_C(1) << bits * e));
      q = ir_binary(b, OP_sub, q, ir_binary(b, OP_mul, f, step));
    }
    q = ir_binary(b, OP_div, q, step);
    q = ir_unary(b, OP_round_even, q);
    q = ir_binary(b, OP_max, q, splat(b, scalar_f(DT_f32, (double)-most - 1), q->type));
    q = ir_cast(b, ir_binary(b, OP_min, q, splat(b, scalar_f(DT_f32, (double)most), q->type)), DT_i32);
    q = integer(b, OP_mul, integer(b, OP_mod, q, INT64_C(1) << bits), INT64_C(1) << bits * e);
    word = word ? ir_binary(b, OP_add, word, q) : q;
  }
  return word;
}

// Elements of words, times 2^(32 - bits).
static ir_value *unpacked(ir_builder *b, ir_value *word, uint32_t axis, int64_t bits) {
  ir_value *at[WORD_BITS];
  const int64_t n = WORD_BITS / bits;
  for (int64_t e = 0; e < n; e++) at[e] = integer(b, OP_mul, word, INT64_C(1) << (WORD_BITS - bits * (e + 1)));
  return ir_cast(b, ir_concat(b, (uint32_t)n, at, axis + 2), DT_f32);
}

static ir_value *grouped(ir_builder *b, ir_value *w, uint32_t axis, int64_t bits) {
  const int64_t elements = WORD_BITS / bits, inner[] = {GROUP / elements, elements}, within[] = {axis + 1, axis + 2};
  const double steps = ((double)(INT64_C(1) << (bits - 1)) - 0.5) * (1 - 0x1p-8);
  ir_value *x = split_axis(b, w, axis, 2, inner);
  ir_value *most = ir_reduce(b, OP_amax, ir_unary(b, OP_abs, x), 2, within);
  ir_value *kept = ir_cast(b, scaled(b, most, 1 / steps), DT_bf16);
  ir_value *wide = unpacked(b, packed(b, x, ir_cast(b, kept, DT_f32), axis, bits), axis, bits);
  ir_value *s = scaled(b, ir_cast(b, kept, DT_f32), 1 / (double)(INT64_C(1) << (WORD_BITS - bits)));
  return ir_reshape(b, ir_binary(b, OP_mul, wide, spread(b, s, axis, x->type)), w->type.rank, w->type.dim);
}

// -- operands --

// Of a weight in a group; 0: the form has none.
static int64_t bits_of(weights_form form) { return form == WEIGHTS_q8 ? 8 : form == WEIGHTS_q4 ? 4 : 0; }

static bool is_moved(const ir_node *n) {
  return n->op == OP_transpose || n->op == OP_reshape || (n->op == OP_slice && n->n_in == 1);
}

ir_value *weights_behind(ir_value *v) {
  while (v->def && is_moved(v->def)) v = v->def->in[0];
  return v->def && v->def->op == OP_weight && v->type.dt == DT_f32 && v->type.rank > 1 ? v : NULL;
}

// Towards the weight as far as movement leaves the axis whole: several readers then share one narrow form.
static ir_value *origin(ir_value *v, uint32_t *axis) {
  const int64_t *perm;
  for (;; v = v->def->in[0]) {
    if (v->def->op == OP_slice && v->def->n_in == 1 && (uint32_t)ir_attr_int(v->def, "axis", 0) != *axis) continue;
    if (v->def->op != OP_transpose) return v;
    ir_attr_ints(v->def, "perm", &perm);
    *axis = (uint32_t)perm[*axis];
  }
}

// `v` again, made of `with` where it was made of `from`.
static ir_value *moved_again(ir_builder *b, const ir_value *v, const ir_value *from, ir_value *with) {
  if (v == from) return with;
  ir_value *in[] = {moved_again(b, v->def->in[0], from, with)};
  return &ir_copy_node(b, v->def, in, map_new(b->m->a))->out[0];
}

static bool can_group(const ir_value *v, uint32_t axis) {
  int64_t extent;
  return idx_is_const(v->type.dim[axis], &extent) && extent > 0 && extent % GROUP == 0 &&
         v->type.rank + 2 <= IR_MAX_RANK;
}

// The value in its narrow form, widened. `axis`: where groups lie, -1: nowhere.
static ir_value *narrowed(ir_builder *b, weights_form form, ir_value *v, int axis) {
  if (bits_of(form) && axis >= 0) {
    uint32_t at = (uint32_t)axis;
    ir_value *from = origin(v, &at);
    return moved_again(b, v, from, grouped(b, from, at, bits_of(form)));
  }
  ir_value *w = weights_behind(v);
  return moved_again(b, v, w, cast_and_back(b, w, form == WEIGHTS_f16 ? DT_f16 : DT_bf16));
}

// -- contractions --

int weights_lone_axis(const ir_map *m, uint32_t operand, uint32_t label) {
  int found = -1;
  for (uint32_t i = 0; i < m->operand[operand].rank; i++) {
    const ir_axis *x = &m->operand[operand].axes[i];
    if (!idx_mentions(x->at, m->labels[label].symbol)) continue;
    if (found >= 0 || x->exact_div != 1 || idx_is_symbol(x->at) != m->labels[label].symbol) return -1;
    found = (int)i;
  }
  return found;
}

// The map with label `name` replaced by `n` labels, whose names begin with it. NULL: it says the label's extent.
static const char *split_label(ir_module *m, const ir_map *labels, const char *text, const char *name, uint32_t n) {
  const char *fresh = name;
  for (bool taken = true; taken;) { // a name that no label begins with
    fresh = str_fmt(m->a, "%s_", fresh);
    taken = false;
    for (uint32_t i = 0; i < labels->n_labels; i++)
      taken = taken || !strncmp(labels->labels[i].name, fresh, strlen(fresh));
  }
  strbuf out;
  sb_init(&out, m->a);
  size_t length = strlen(name);
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  while (*text && *text != ';') {
    size_t word = strspn(text, letters);
    if (word == length && !strncmp(text, name, word))
      for (uint32_t i = 0; i < n; i++) sb_fmt(&out, "%s%s%u", i ? " " : "", fresh, i);
    else sb_bytes(&out, text, word ? word : 1);
    text += word ? word : 1;
  }
  for (const char *p = text; *p;) { // extents: `name =` after `;` or `,`
    p += 1 + strspn(p + 1, " ");
    size_t word = strspn(p, letters);
    if (word == length && !strncmp(p, name, word)) return NULL;
    p += strcspn(p, ",");
  }
  sb_z(&out, text);
  return sb_cstr(&out);
}

static bool contraction(ir_builder *b, weights_form form, const ir_node *n, map *values) {
  ir_value *in[] = {map_get_ptr(values, n->in[0]), map_get_ptr(values, n->in[1])};
  bool weight[] = {weights_behind(in[0]) != NULL, weights_behind(in[1]) != NULL};
  const ir_map *labels = ir_map_of(b->m, n);
  if (weight[0] == weight[1] || !labels) return false; // a product of weights is computed once
  uint32_t w = weight[1];
  int axis[] = {-1, -1};
  const char *name = NULL, *text = ir_attr_str(n, "map", "");
  for (uint32_t l = 0; l < labels->n_labels; l++) {
    int at[] = {weights_lone_axis(labels, 0, l), weights_lone_axis(labels, 1, l)};
    if (labels->labels[l].in_out || at[0] < 0 || at[1] < 0 || at[w] < axis[w]) continue;
    if (can_group(in[0], (uint32_t)at[0]) && can_group(in[1], (uint32_t)at[1]))
      axis[0] = at[0], axis[1] = at[1], name = labels->labels[l].name;
  }
  const int64_t bits = bits_of(form), elements = bits ? WORD_BITS / bits : 1, inner[] = {GROUP / elements, elements};
  const char *split = name && bits ? split_label(b->m, labels, text, name, 3) : NULL;
  in[w] = narrowed(b, form, in[w], split ? axis[w] : -1);
  for (uint32_t o = 0; split && o < 2; o++) in[o] = split_axis(b, in[o], (uint32_t)axis[o], 2, inner);
  map_put_ptr(values, &n->out[0], ir_contract(b, in[0], in[1], split ? split : text));
  return true;
}

// Rows of a table, as embeddings are read. Its last axis is grouped, as that of a head tied to it is.
static bool rows(ir_builder *b, weights_form form, const ir_node *n, map *values) {
  ir_value *data = map_get_ptr(values, n->in[0]);
  if (!weights_behind(data)) return false;
  uint32_t last = data->type.rank - 1;
  bool groups = bits_of(form) && (uint32_t)ir_attr_int(n, "axis", 0) != last && can_group(data, last);
  ir_value *in[] = {narrowed(b, form, data, groups ? (int)last : -1), map_get_ptr(values, n->in[1])};
  ir_copy_node(b, n, in, values);
  return true;
}

static bool rewrite(void *user, ir_builder *b, const ir_node *n, map *values) {
  const pass_context *c = user;
  b->scope = n->scope;
  b->spans = n->spans;
  if (n->op == OP_contract) return contraction(b, c->weights, n, values);
  return n->op == OP_gather && rows(b, c->weights, n, values);
}

bool pass_weights(pass_context *c, ir_module *m) {
  for (size_t g = 0; c->weights != WEIGHTS_f32 && g < m->graphs.n; g++)
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], rewrite, c));
  return true;
}
