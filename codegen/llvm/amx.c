// Sums of products of bf16 in AMX's tile registers (Intel SDM vol. 1 ch. 18, vol. 2: TDPBF16PS).
//
// Taken is a carried tile of 16 or 32 rows and columns whose loop's body is its one `dot {bf16}` of depth 32, with
// operands loaded for it alone and without conditions:
//
//   a   any rows of memory: place(r, c) = base + r*stride + c
//   b   pairs of rows interleaved: place(r, c) = base + (r//2)*stride + 2*c + r%2
//
// The sum stays in registers 0..3 for the whole loop, and for loops around it that do nothing else to it; each step
// loads a into 4, 5 and b into 6, 7 and makes up to four products of 16 x 16 x 32. The intrinsics that name their
// registers are used: LLVM's other form, with registers that it allocates, configures again and again. Behind the loop
// the sum goes through the stack, from where its vectors are read as they are needed.
//
// Configuration belongs to a thread and is part of what its owner may use himself, so a kernel configures when it
// begins and releases when it ends: some hundred cycles a chunk of work. The permission that the kernel of the system
// wants first is the runtime's to ask for.
#include "codegen/llvm/cg.h"

#include <math.h>
#include <string.h>

enum { SIDE = 16, DEPTH = 32, TILE_BYTES = 64, A_AT = 4, B_AT = 6 };

// -- which tiles --

// Offset of element (row, col) of an access, without `r` and `c`.
static const idx *place(cg *g, const kir_stmt *load, int64_t row, int64_t col) {
  idx_ctx *ix = g->k->ix;
  const idx *at = kir_at_col(g->k, kir_offset(g->k, load->acc), col);
  return idx_subst1(ix, at, g->k->r, idx_int(ix, row));
}

static bool is_rows(cg *g, const kir_stmt *load) {
  idx_ctx *ix = g->k->ix;
  const idx *base = place(g, load, 0, 0), *stride = idx_sub(ix, place(g, load, 1, 0), base);
  const idx *want = idx_add(ix, idx_add(ix, base, idx_mul(ix, stride, idx_of(ix, g->k->r))), idx_of(ix, g->k->c));
  return kir_offset(g->k, load->acc) == want;
}

static bool is_pairs(cg *g, const kir_stmt *load) {
  idx_ctx *ix = g->k->ix;
  const idx *base = place(g, load, 0, 0), *stride = idx_sub(ix, place(g, load, 2, 0), base);
  const idx *column = idx_scale(ix, idx_of(ix, g->k->c), 2);
  for (uint32_t row = 0; row < load->out->rows; row++) { // the division is gone where the row is a number
    const idx *at = idx_subst1(ix, kir_offset(g->k, load->acc), g->k->r, idx_int(ix, row));
    const idx *want = idx_addi(ix, idx_add(ix, base, idx_scale(ix, stride, row / 2)), row % 2);
    if (at != idx_add(ix, want, column)) return false;
  }
  return true;
}

static bool has_side(uint32_t n) { return n == SIDE || n == 2 * SIDE; }

static bool is_alone(const kir_stmt *load, const kir_block *body, const kir_stmt *dot) {
  bool here = false;
  for (const kir_stmt *s = body->first; s; s = s->next) {
    here = here || s == load;
    for (uint32_t i = 0; s != dot && i < s->n_in; i++)
      if (s->in[i] == load->out) return false;
  }
  return here && load->kind == KIR_load && load->where.n == 0 && load->acc.buf->dt == DT_bf16;
}

// The loop's body: loads, and the one product that makes of what is carried what is yielded.
static bool takes(cg *g, const kir_stmt *loop) {
  const kir_stmt *dot = NULL;
  for (const kir_stmt *s = loop->body.first; s; s = s->next) {
    if (s->kind == KIR_dot && !dot) dot = s;
    else if (s->kind != KIR_load && s->kind != KIR_let && s->kind != KIR_prefetch) return false;
  }
  if (!dot || !kir_dot_is(dot, "bf16") || loop->n_carry != 1 || dot->in[0] != loop->carry[0] ||
      dot->out != loop->yield[0])
    return false;
  const kir_stmt *a = dot->in[1]->def, *b = dot->in[2]->def;
  return has_side(dot->out->rows) && has_side(dot->out->cols) && dot->in[1]->cols == DEPTH && a != b &&
         is_alone(a, &loop->body, dot) && is_alone(b, &loop->body, dot) && is_rows(g, a) && is_pairs(g, b);
}

// Around such a loop, one that carries its sum from turn to turn and computes nothing else: it stays in the registers.
static bool takes_around(cg *g, const kir_stmt *loop) {
  const kir_stmt *inner = NULL;
  for (const kir_stmt *s = loop->body.first; s; s = s->next) {
    bool sums = s->kind == KIR_for && s->n_carry > 0;
    if (sums && !inner) inner = s;
    else if (sums || (s->kind != KIR_for && s->kind != KIR_let && s->kind != KIR_prefetch)) return false;
  }
  return inner && loop->n_carry == 1 && inner->n_carry == 1 && cg_in_matrices(g, inner->carry[0]) &&
         inner->init[0] == loop->carry[0] && loop->yield[0] == inner->result[0];
}

static void find_in(cg *g, const kir_block *block) {
  for (const kir_stmt *s = block->first; s; s = s->next) {
    find_in(g, &s->body);
    find_in(g, &s->other);
    if (s->kind != KIR_for) continue;
    if (takes_around(g, s)) {
      map_put_ptr(g->matrices, s->carry[0], g);
      map_put_ptr(g->matrices, s->yield[0], g);
    }
    if (!takes(g, s)) continue;
    for (const kir_stmt *q = s->body.first; q; q = q->next)
      for (uint32_t i = 0; q->kind == KIR_dot && i < 3; i++) map_put_ptr(g->matrices, q->in[i], g);
  }
}

void cg_find_matrices(cg *g) {
  g->matrices = map_new(g->a);
  if (g->t->has_amx) find_in(g, &g->k->body);
}

bool cg_in_matrices(const cg *g, const kir_tile *t) { return map_get_ptr(g->matrices, t) != NULL; }

// -- registers --

static LLVMValueRef number(cg *g, uint32_t n) { return LLVMConstInt(g->i8, n, false); }

static void call(cg *g, const char *name, uint32_t n, LLVMValueRef *args) {
  (void)cg_intrinsic(g, name, 0, NULL, n, args);
}

// Bytes on the stack, made once where the kernel is entered.
static LLVMValueRef on_stack(cg *g, uint32_t bytes) {
  LLVMPositionBuilderBefore(g->hoist, LLVMGetFirstInstruction(g->entry));
  LLVMValueRef p = LLVMBuildAlloca(g->hoist, LLVMArrayType2(g->i8, bytes), "matrix");
  LLVMSetAlignment(p, TILE_BYTES);
  return p;
}

static LLVMValueRef behind(cg *g, LLVMValueRef p, LLVMValueRef bytes) {
  return LLVMBuildGEP2(g->b, g->i8, p, &bytes, 1, "");
}

// Palette 1, all eight registers 16 rows of 64 bytes.
void cg_matrices_open(cg *g) {
  if (!map_count(g->matrices)) return;
  unsigned char config[TILE_BYTES] = {1};
  for (int i = 0; i < 8; i++) config[16 + 2 * i] = TILE_BYTES, config[48 + i] = SIDE;
  LLVMValueRef p = on_stack(g, TILE_BYTES);
  for (int64_t i = 0; i < TILE_BYTES; i += 8) {
    uint64_t word;
    memcpy(&word, config + i, sizeof word);
    LLVMBuildStore(g->b, LLVMConstInt(g->i64, word, false), behind(g, p, cg_i64(g, i)));
  }
  call(g, "llvm.x86.ldtilecfg", 1, &p);
}

void cg_matrices_close(cg *g) {
  if (map_count(g->matrices)) call(g, "llvm.x86.tilerelease", 0, NULL);
}

// The sum's registers from, or to, row-major f32.
static void move_sum(cg *g, const char *name, const kir_tile *t, LLVMValueRef p) {
  uint32_t across = t->cols / SIDE, row_bytes = t->cols * 4;
  for (uint32_t i = 0; i < t->rows / SIDE * across; i++) {
    LLVMValueRef at = behind(g, p, cg_i64(g, (int64_t)(i / across * SIDE * row_bytes + i % across * TILE_BYTES)));
    call(g, name, 3, (LLVMValueRef[]){number(g, i), at, cg_i64(g, row_bytes)});
  }
}

static bool is_zero(const kir_tile *t) {
  return t->def->kind == KIR_const && t->def->imm.v.f == 0 && !signbit(t->def->imm.v.f);
}

void cg_matrix_begin(cg *g, const kir_tile *t) {
  if (cg_in_matrices(g, t)) return; // of the loop around
  if (is_zero(t)) {
    for (uint32_t i = 0; i < t->rows / SIDE * (t->cols / SIDE); i++)
      call(g, "llvm.x86.tilezero", 1, (LLVMValueRef[]){number(g, i)});
    return;
  }
  LLVMValueRef p = on_stack(g, t->rows * t->cols * 4);
  const cg_tile *x = cg_get(g, t);
  for (uint32_t i = 0; i < x->rows * x->n_chunks; i++) {
    int64_t at = ((int64_t)(i / x->n_chunks) * x->cols + i % x->n_chunks * g->vl) * 4;
    LLVMSetAlignment(LLVMBuildStore(g->b, cg_chunk(g, x, i), behind(g, p, cg_i64(g, at))), 4);
  }
  move_sum(g, "llvm.x86.tileloadd64", t, p);
}

// One or two registers of an operand, `step` bytes apart.
static void load_operand(cg *g, const kir_stmt *load, uint32_t first, uint32_t n, int64_t rows, const idx *step) {
  idx_ctx *ix = g->k->ix;
  const idx *base = place(g, load, 0, 0), *row = idx_sub(ix, place(g, load, rows, 0), base);
  LLVMValueRef p = cg_address(g, load->acc.buf, cg_subst(g, base));
  LLVMValueRef stride = cg_index(g, cg_subst(g, idx_scale(ix, row, 2))).v;
  for (uint32_t i = 0; i < n; i++) {
    if (i > 0) p = behind(g, p, cg_index(g, cg_subst(g, step)).v);
    call(g, "llvm.x86.tileloadd64", 3, (LLVMValueRef[]){number(g, first + i), p, stride});
  }
}

void cg_matrix_dot(cg *g, const kir_stmt *s) {
  idx_ctx *ix = g->k->ix;
  const kir_stmt *a = s->in[1]->def, *b = s->in[2]->def;
  uint32_t down = s->out->rows / SIDE, across = s->out->cols / SIDE;
  const idx *rows = idx_sub(ix, place(g, a, SIDE, 0), place(g, a, 0, 0));
  load_operand(g, a, A_AT, down, 1, idx_scale(ix, rows, 2));
  load_operand(g, b, B_AT, across, 2, idx_int(ix, TILE_BYTES));
  for (uint32_t i = 0; i < down; i++)
    for (uint32_t j = 0; j < across; j++)
      call(g, "llvm.x86.tdpbf16ps", 3,
           (LLVMValueRef[]){number(g, i * across + j), number(g, A_AT + i), number(g, B_AT + j)});
}

void cg_matrix_end(cg *g, const kir_tile *t) {
  if (cg_in_matrices(g, t)) return;
  cg_tile *out = cg_tile_new(g, t->dt, t->rows, t->cols);
  out->memory = on_stack(g, t->rows * t->cols * 4);
  move_sum(g, "llvm.x86.tilestored64", t, out->memory);
  cg_set(g, t, out);
  vec_push(g->a, &g->pending, out);
}
