// Operand rules of tile operations, and their spelling: what the builder, the parser and the verifier ask of one
// statement.
//
// Elementwise operations broadcast 1x1, Rx1 and 1xC operands to RxC. Operands of one operation have one dtype; a
// comparison gives bool, `pick` takes a bool condition first, `convert` gives what it names.
#include "ir/kir_priv.h"

bool kir_shape_legal(int64_t rows, int64_t cols) {
  return rows >= 1 && cols >= 1 && rows <= KIR_MAX_SIDE && cols <= KIR_MAX_SIDE && rows * cols <= KIR_MAX_ELEMENTS;
}

// -- spelling --

bool kir_is_tile_op(op_code op) { return op_is_elementwise(op); }

const char *kir_op_word(op_code op) { return op == OP_cast ? "convert" : op == OP_where ? "pick" : op_get(op)->name; }

bool kir_op_find(str word, op_code *op) {
  if (str_is(word, "convert")) return *op = OP_cast, true;
  if (str_is(word, "pick")) return *op = OP_where, true;
  return op_find(word, op) && kir_is_tile_op(*op) && str_is(word, kir_op_word(*op));
}

static const struct {
  op_code op;
  const char *word;
} reductions[] = {{OP_sum, "rowsum"}, {OP_amax, "rowmax"}, {OP_amin, "rowmin"}, {OP_prod, "rowprod"}};

enum { N_REDUCTIONS = sizeof reductions / sizeof *reductions };

const char *kir_reduce_word(op_code op) {
  for (size_t i = 0; i < N_REDUCTIONS; i++) {
    if (reductions[i].op == op) return reductions[i].word;
  }
  return NULL;
}

bool kir_reduce_find(str word, op_code *op) {
  for (size_t i = 0; i < N_REDUCTIONS; i++) {
    if (str_is(word, reductions[i].word)) return *op = reductions[i].op, true;
  }
  return false;
}

// -- operands --

static bool broadcast_to(uint32_t *side, uint32_t other) {
  if (*side == 1) *side = other;
  return other == 1 || other == *side;
}

bool kir_dot_is(const kir_stmt *s, const char *variant) {
  return s->variant != NULL && str_is(str_of(s->variant), variant);
}

// Each variant fixes the depth of one step, and all but the first the dtypes of its operands.
typedef struct dot_variant {
  const char *name;
  dtype acc, a, b;
  uint32_t depth;   // 0: any even one
  bool interleaved; // b is one row: the `depth` values of each column side by side
} dot_variant;

static const dot_variant variants[] = {
    {"fma", DT_f32, DT_f32, DT_f32, 1, false},
    {"bf16", DT_f32, DT_bf16, DT_bf16, 0, false},
    {"pairs", DT_f32, DT_bf16, DT_bf16, 2, true},
    {"quads", DT_i32, DT_u8, DT_i8, 4, true},
};

static const dot_variant *variant_of(const kir_stmt *s) {
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
    if (kir_dot_is(s, variants[i].name)) return &variants[i];
  return NULL;
}

uint32_t kir_dot_interleaved(const kir_stmt *s) {
  const dot_variant *v = s->kind == KIR_dot ? variant_of(s) : NULL;
  return v && v->interleaved ? v->depth : 0;
}

static diag_id infer_dot(const kir_stmt *s, kir_type *out) {
  const kir_tile *acc = s->in[0], *a = s->in[1], *b = s->in[2];
  const dot_variant *v = variant_of(s);
  *out = (kir_type){acc->dt, acc->rows, acc->cols};
  if (!v) return DIAG_ID_kernel_variant;
  bool any = v->depth == 1; // an outer product of one dtype
  if (any ? acc->dt == DT_bool || a->dt != acc->dt || b->dt != acc->dt
          : acc->dt != v->acc || a->dt != v->a || b->dt != v->b)
    return DIAG_ID_kernel_dtype;
  bool deep = v->depth ? a->cols == v->depth : a->cols % 2 == 0;
  uint32_t rows = v->interleaved ? 1 : a->cols, cols = v->interleaved ? v->depth * acc->cols : acc->cols;
  return deep && a->rows == acc->rows && b->rows == rows && b->cols == cols ? DIAG_COUNT : DIAG_ID_kernel_shape;
}

static diag_id infer_zip(const kir_stmt *s, kir_type *out) {
  const kir_tile *x = s->in[0], *y = s->n_in == 1 ? NULL : s->in[1];
  *out = (kir_type){x->dt, y ? x->rows : x->rows / 2, 2 * x->cols};
  if (!y) return x->rows % 2 ? DIAG_ID_kernel_shape : DIAG_COUNT;
  if (x->dt != y->dt) return DIAG_ID_kernel_dtype;
  return x->rows == y->rows && x->cols == y->cols ? DIAG_COUNT : DIAG_ID_kernel_shape;
}

bool kir_mma_operand(const kir_kernel *k, kir_access acc, const idx **first, int64_t *stride) {
  idx_ctx *ix = k->ix;
  const idx *along_c, *along_r, *rest, *at = kir_offset(k, acc);
  if (!idx_linear(ix, at, k->c, &along_c, &rest) || !idx_equals_int(along_c, 1)) return false;
  if (!idx_linear(ix, rest, k->r, &along_r, first) || !idx_is_const(along_r, stride)) return false;
  const idx *corner = kir_expand(ix, *first);
  sym *warp = idx_symbol(ix, "warp<"), *lane = idx_symbol(ix, "lane<"); // no text can spell them
  warp->lo = lane->lo = idx_int(ix, 0);
  lane->hi = idx_int(ix, KIR_WARP - 1);
  if (k->n_workers == 1) {
    const idx *worker = idx_add(ix, idx_scale(ix, idx_of(ix, warp), KIR_WARP), idx_of(ix, lane));
    corner = idx_subst1(ix, corner, k->workers[0], worker);
  }
  return !idx_mentions(corner, lane) && *stride % 2 == 0 && idx_divides(ix, 2, corner) == TRI_yes;
}

static diag_id infer_mma(const kir_stmt *s, kir_type *out) {
  const kir_tile *acc = s->in[0];
  const kir_buffer *a = s->acc.buf, *b = s->from.buf;
  *out = (kir_type){acc->dt, acc->rows, acc->cols};
  if (acc->dt != DT_f32 || a->dt != DT_bf16 || b->dt != DT_bf16) return DIAG_ID_kernel_dtype;
  return acc->rows % 2 == 0 && acc->cols % 2 == 0 && s->cols % KIR_MMA_DEPTH == 0 ? DIAG_COUNT : DIAG_ID_kernel_shape;
}

static bool dtype_fits(op_code op, dtype dt) {
  if (op_has(op, OPF_FLT)) return dtype_is_float(dt);
  if (op_has(op, OPF_NUM)) return dt != DT_bool;
  if (op_has(op, OPF_BOOLEAN)) return dt == DT_bool;
  if (op_has(op, OPF_I32)) return dt == DT_i32;
  return true;
}

static diag_id infer_elementwise(const kir_stmt *s, dtype to, kir_type *out) {
  uint32_t first = s->kind == KIR_op && s->op == OP_where; // the condition has a dtype of its own
  *out = (kir_type){s->in[first]->dt, 1, 1};
  for (uint32_t i = 0; i < s->n_in; i++) {
    if (!broadcast_to(&out->rows, s->in[i]->rows) || !broadcast_to(&out->cols, s->in[i]->cols)) {
      return DIAG_ID_kernel_shape;
    }
    if (s->in[i]->dt != (i < first ? DT_bool : out->dt)) return DIAG_ID_kernel_dtype;
  }
  if (s->kind == KIR_fma) return out->dt == DT_bool ? DIAG_ID_kernel_dtype : DIAG_COUNT;
  if (!dtype_fits(s->op, out->dt)) return DIAG_ID_kernel_dtype;
  if (s->op == OP_cast) out->dt = to;
  else if (op_has(s->op, OPF_CMP)) out->dt = DT_bool;
  return DIAG_COUNT;
}

static diag_id infer_op(const kir_stmt *s, dtype to, kir_type *out) {
  if (!kir_is_tile_op(s->op)) return DIAG_ID_kernel_operator;
  const op_info *info = op_get(s->op);
  if (s->n_in < info->min_in || s->n_in > info->max_in) return DIAG_ID_kernel_operator;
  return infer_elementwise(s, to, out);
}

diag_id kir_infer(const kir_stmt *s, dtype to, kir_type *out) {
  switch ((int)s->kind) {
  case KIR_dot: return infer_dot(s, out);
  case KIR_mma: return infer_mma(s, out);
  case KIR_op: return infer_op(s, to, out);
  case KIR_fma: return infer_elementwise(s, to, out);
  case KIR_zip: return infer_zip(s, out);
  case KIR_select: *out = (kir_type){s->in[0]->dt, s->in[0]->rows, s->in[0]->cols}; return DIAG_COUNT;
  case KIR_reduce:
    *out = (kir_type){s->in[0]->dt, s->in[0]->rows, 1};
    if (kir_reduce_word(s->op) == NULL) return DIAG_ID_kernel_operator;
    return s->in[0]->dt == DT_bool ? DIAG_ID_kernel_dtype : DIAG_COUNT;
  default: return DIAG_ID_kernel_operator;
  }
}
