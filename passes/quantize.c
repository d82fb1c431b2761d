// --precision int8: products with weights in bytes.
//
//   y[m, o] = sum_k x[m, k] w[k, o]  becomes  s[m] t[o] (sum_k u[m, k] v[k, o] - 128 sum_k v[k, o])
//
//   s[m] = max_k |x[m, k]| / 127   u = 128 + round(x / s), bytes without a sign: rows are measured while the model runs
//   t[o] = max_k |w[k, o]| / 127   v = round(w / t), bytes with one: columns of weights, once, in `prepare`
//
// All of it is ordinary operators; sums of bytes are exact, in i32. Processors multiply bytes without a sign by bytes
// with one, four at a time (contract_narrow.c), hence the 128. Rows and columns of zeros give zeros; a row that holds
// an infinity or a NaN gives no finite value. Taken are products of the last axis of x with a matrix, of at least 32
// values that are a multiple of 4 and few enough for i32; others, convolutions among them, stay as they are. What lies
// between kernels otherwise, and other weights, are bf16 (precision.c).
#include "passes/pass.h"
#include "passes/weights.h"

enum { LEAST_DEPTH = 32, SIDE = 4, MOST_DEPTH = 65536, LEAST_COLUMNS = 16, STEPS = 127, ZERO = 128 };

static ir_value *number(ir_builder *b, scalar s, ir_type like) { return ir_const_scalar(b, s, like.rank, like.dim); }

static ir_value *by_number(ir_builder *b, op_code op, ir_value *x, double by) {
  return ir_binary(b, op, x, number(b, scalar_f(x->type.dt, by), x->type));
}

// Largest magnitudes along an axis, which is dropped; never 0.
static ir_value *largest(ir_builder *b, ir_value *x, int64_t axis) {
  return by_number(b, OP_max, ir_reduce(b, OP_amax, ir_unary(b, OP_abs, x), 1, &axis), 0x1p-100);
}

// x, of all axes but one, for all values of that one.
static ir_value *spread(ir_builder *b, ir_value *x, uint32_t axis, ir_type to) {
  const idx *dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < to.rank; i++) dim[i] = i == axis ? idx_int(b->m->ix, 1) : to.dim[i];
  return ir_broadcast(b, ir_reshape(b, x, to.rank, dim), to.rank, to.dim);
}

// A vector along the last axis.
static ir_value *along_last(ir_builder *b, ir_value *x, ir_type to) {
  const idx *dim[IR_MAX_RANK];
  for (uint32_t i = 0; i < to.rank; i++) dim[i] = i + 1 < to.rank ? idx_int(b->m->ix, 1) : x->type.dim[0];
  return ir_broadcast(b, ir_reshape(b, x, to.rank, dim), to.rank, to.dim);
}

// Does the result have the rows of x, and where they had their last axis one that the weight alone has? `k`, `w_axis`:
// the reduced label, and where the weight has it.
static bool is_of_rows(const ir_map *m, const ir_value *x, uint32_t o, uint32_t *w_axis) {
  uint32_t w = 1 - o, last = x->type.rank - 1;
  if (m->n_labels != m->out_rank + 1 || m->out_rank != x->type.rank || m->operand[w].rank != 2) return false;
  for (uint32_t i = 0; i < m->n_labels; i++) {
    int own = weights_lone_axis(m, o, i), its = weights_lone_axis(m, w, i);
    if (!m->labels[i].in_out) {
      if (own != (int)last || its < 0) return false;
      *w_axis = (uint32_t)its;
      continue;
    }
    uint32_t at = 0;
    while (m->out_label[at] != i) at++;
    if (at < last ? own != (int)at || its >= 0 : own >= 0 || its < 0) return false;
  }
  return true;
}

static bool fits(const ir_value *x, const ir_value *y) {
  int64_t depth, columns;
  return idx_is_const(x->type.dim[x->type.rank - 1], &depth) && depth >= LEAST_DEPTH && depth <= MOST_DEPTH &&
         depth % SIDE == 0 && idx_is_const(y->type.dim[y->type.rank - 1], &columns) && columns >= LEAST_COLUMNS;
}

static bool rewrite(void *user, ir_builder *b, const ir_node *n, map *values) {
  const pass_context *c = user;
  if (n->op != OP_contract || n->out[0].type.dt != DT_f32) return false;
  ir_value *in[] = {map_get_ptr(values, n->in[0]), map_get_ptr(values, n->in[1])};
  const ir_map *m = ir_map_of(b->m, n);
  bool weight[] = {weights_behind(in[0]) != NULL, weights_behind(in[1]) != NULL};
  if (!m || weight[0] == weight[1]) return false;
  uint32_t o = weight[0], w_axis = 0; // which operand x is
  ir_value *x = in[o], *w = in[1 - o];
  if (x->type.rank == 0 || !is_of_rows(m, x, o, &w_axis) || !fits(x, &n->out[0])) return false;
  b->scope = n->scope;
  b->spans = n->spans;
  uint32_t last = x->type.rank - 1;
  ir_value *row = largest(b, x, last), *column = largest(b, w, w_axis);
  ir_value *inverse = ir_binary(b, OP_div, number(b, scalar_f(DT_f32, STEPS), row->type), row);
  ir_value *u = ir_unary(b, OP_round_even, ir_binary(b, OP_mul, x, spread(b, inverse, last, x->type)));
  u = ir_cast(b, ir_cast(b, by_number(b, OP_add, u, ZERO), DT_u8), DT_i32);
  ir_value *t = by_number(b, OP_mul, column, 1.0 / STEPS);
  ir_value *v = ir_unary(b, OP_round_even, ir_binary(b, OP_div, w, spread(b, t, w_axis, w->type)));
  v = ir_cast(b, ir_cast(b, v, DT_i8), DT_i32);
  ir_value *of[2];
  of[o] = u, of[1 - o] = v;
  ir_value *sum = ir_contract(b, of[0], of[1], ir_attr_str(n, "map", ""));
  int64_t axis = w_axis;
  ir_value *shift = ir_reduce(b, OP_sum, v, 1, &axis);
  shift = ir_binary(b, OP_mul, shift, number(b, scalar_i(DT_i32, ZERO), shift->type));
  ir_value *y = ir_cast(b, ir_binary(b, OP_sub, sum, along_last(b, shift, sum->type)), DT_f32);
  y = ir_binary(b, OP_mul, y, along_last(b, t, y->type));
  ir_value *s = by_number(b, OP_mul, row, 1.0 / STEPS);
  y = ir_binary(b, OP_mul, y, spread(b, s, last, y->type));
  if (c->explain) sb_fmt(c->explain, "int8: %s\n", ir_attr_str(n, "map", ""));
  map_put_ptr(values, &n->out[0], y);
  return true;
}

bool pass_quantize(pass_context *c, ir_module *m) {
  for (size_t g = 0; c->precision == PRECISION_int8 && g < m->graphs.n; g++)
    ir_graph_replace(m, m->graphs.at[g], ir_rebuild(m->graphs.at[g], rewrite, c));
  return true;
}
