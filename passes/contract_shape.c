// The shape of a contraction's loops: which labels are rows, columns, reduced and batch, and how large tiles and blocks
// are.
#include "passes/contract.h"

// Is label i a row: of operand `o` alone, and not what a store has side by side where columns may be had from `o`?
static bool is_row(const contract *x, uint32_t i, uint32_t o) {
  const nest *n = &x->n;
  const sym *s = n->label[i].s;
  const idx *coef, *rest;
  bool row = !n->label[i].reduced && contract_label_in(n->root[o], s) && !contract_label_in(n->root[1 - o], s);
  bool turned = contract_is_constant(x, n->root[1 - o]); // which gives the columns, however they are stored
  for (uint32_t k = 2; row && !turned && k < n->n_roots; k++)
    row = idx_linear(x->g->m->ix, n->store[k], s, &coef, &rest) && !idx_equals_int(coef, 1);
  return row;
}

// The positions of an image are joined to one row label, also where a padded operand has gaps between its lines: short
// lines alone would leave register tiles half empty, and blocks too small for the panel that they read.
void contract_join_rows(contract *x) {
  enum { SHORT = 192 };
  nest *n = &x->n;
  int64_t extent;
  for (uint32_t i = n->n_labels; i-- > 1;)
    for (uint32_t o = 0; o < 2; o++)
      if (i < n->n_labels && is_row(x, i - 1, o) && is_row(x, i, o) && idx_is_const(n->label[i].extent, &extent) &&
          extent < SHORT)
        nest_join(n, i - 1);
}

bool contract_is_unit(const contract *x, const sx *root, const sym *s) { return nest_is_unit(x->g, root, s); }

bool contract_lies_along(const contract *x, const sx *root, const sym *s) {
  return s && contract_label_in(root, s) && contract_is_unit(x, root, s);
}

static void swap_operands(nest *n) {
  const sx *a = n->root[0];
  n->root[0] = n->root[1];
  n->root[1] = a;
}

void contract_rows_are_columns(contract *x) {
  swap_operands(&x->n);
  x->col = x->row, x->nn = x->m;
  x->row = NULL, x->m = idx_int(x->g->m->ix, 1);
}

// Without a label that only one operand has, that of the lanes becomes the column label.
static void choose_lanes(contract *x) {
  nest *n = &x->n;
  uint32_t own[2] = {0, 0};
  int lane = -1;
  for (uint32_t i = 0; i < n->n_labels; i++) {
    bool in_a = contract_label_in(n->root[0], n->label[i].s), in_b = contract_label_in(n->root[1], n->label[i].s);
    if (n->label[i].reduced) continue;
    own[0] += in_a && !in_b;
    own[1] += in_b && !in_a;
    if (in_a && in_b) lane = (int)i;
  }
  if (lane < 0 || (own[0] && own[1])) return;
  if (own[1]) swap_operands(n);
  x->lanes = contract_is_unit(x, n->root[0], n->label[lane].s);
  if (x->lanes) x->col = n->label[lane].s;
}

// Classifies the merged labels; the row label is the longest of its class, the column label the one that the output
// stores side by side.
bool contract_classify(contract *x) {
  nest *n = &x->n;
  choose_lanes(x);
  const sym *lane = x->col;
  bool swapped = false;
  for (int attempt = 0; attempt < 2; attempt++) {
    x->row = NULL;
    x->col = lane;
    x->n_k = x->n_batch = 0;
    int64_t best_row = -1;
    int best_col = -1;
    uint32_t row = 0, col = 0;
    for (uint32_t i = 0; i < n->n_labels; i++) {
      const sym *s = n->label[i].s;
      bool in_a = contract_label_in(n->root[0], s), in_b = contract_label_in(n->root[1], s);
      if (s == lane) col = i;
      if (n->label[i].reduced || in_a == in_b) continue;
      if (in_a) {
        int64_t size = extent_hint(x->g, n->label[i].extent);
        if (size >= best_row) best_row = size, row = i, x->row = s;
      } else {
        int unit = 0;
        for (uint32_t k = 2; k < n->n_roots; k++) {
          const idx *coef, *rest;
          unit += n->store[k] && idx_linear(x->g->m->ix, n->store[k], s, &coef, &rest) && idx_equals_int(coef, 1);
        }
        if (unit >= best_col) best_col = unit, col = i, x->col = s;
      }
    }
    // The operand that owns the output's unit-stride label, or the constant one, gives the columns.
    bool a_const = contract_is_constant(x, n->root[0]), b_const = contract_is_constant(x, n->root[1]);
    bool want_swap = !x->lanes && !swapped && x->row && (!x->col || best_col == 0) && !(b_const && !a_const);
    if (!want_swap) {
      if (n->n_labels > MAX_OUTER) return false;
      x->m = x->row ? n->label[row].extent : idx_int(x->g->m->ix, 1);
      x->nn = x->col ? n->label[col].extent : idx_int(x->g->m->ix, 1);
      for (uint32_t i = 0; i < n->n_labels; i++) {
        if (n->label[i].reduced) x->k[x->n_k++] = n->label[i];
        else if (n->label[i].s != x->row && n->label[i].s != x->col) x->batch[x->n_batch++] = n->label[i];
      }
      return true;
    }
    swap_operands(n);
    swapped = true;
  }
  return false;
}

enum { THREE_VECTOR_ROWS = 8 }; // of a tile of three vectors, where registers would hold nine

static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Tiles of three vectors instead of two need fewer loads for as many multiply-adds (AVX2: 4x24 against 6x16, 7 against
// 8), and their fewer rows clamp less at the end. Instead of four they have eight rows for six, of which most sizes are
// a multiple (AVX-512, 128 rows: 16 tiles, not 22 with four rows clamped). Not where they would pad more.
static bool three_vectors_pay(const contract *x, uint32_t lanes, uint32_t vectors) {
  const target *t = x->g->c->target;
  int64_t n, m, cols = 3 * (int64_t)lanes, other = (int64_t)vectors * lanes;
  if (!t->has_fma || !idx_is_const(x->nn, &n) || round_up(n, cols) > round_up(n, other)) return false;
  return vectors == 2 ? t->n_vector_regs < 32
                      : !idx_is_const(x->m, &m) || round_up(m, THREE_VECTOR_ROWS) <= round_up(m, t->dot_rows);
}

// Tiles of a block of rows: as many as the target says; where the number of rows is known, blocks are nearly equal,
// since a small one would read all columns of B for few rows.
static uint32_t block_tiles(const contract *x, int64_t m) {
  int64_t most = x->g->c->target->block_rows / x->rows, tiles = (m + x->rows - 1) / x->rows, known;
  // Lanes share no panel that a block would keep: after one tile comes the same place's next channels, side by side.
  if (x->lanes || most <= 1) return 1;
  if (!idx_is_const(x->m, &known) || tiles <= most) return (uint32_t)most;
  int64_t blocks = (tiles + most / 2) / most;
  return (uint32_t)((tiles + blocks - 1) / blocks);
}

// The largest register tile that leaves room for one row of B and one broadcast.
void contract_choose_tile(contract *x) {
  const target *t = x->g->c->target;
  uint32_t lanes = t->vector_bytes / 4, widest = t->n_vector_regs >= 32 ? 4 : 2;
  int64_t n = extent_max(x->g, x->nn), m = extent_max(x->g, x->m);
  uint32_t vectors = widest;
  while (vectors > 1 && (int64_t)(vectors / 2 * lanes) >= n) vectors /= 2;
  if (vectors == 4 && n <= (int64_t)(3 * lanes)) vectors = 3;
  if ((vectors == 2 || vectors == widest) && three_vectors_pay(x, lanes, vectors)) vectors = 3;
  uint32_t rows = (t->n_vector_regs - vectors - 1) / vectors;
  if (rows > 24) rows = 24;
  if (widest == 4 && vectors == 3 && rows > THREE_VECTOR_ROWS) rows = THREE_VECTOR_ROWS;
  if (vectors == widest && rows > t->dot_rows) rows = t->dot_rows;
  if (m < 4 * (int64_t)rows && m > 0) { // few rows: tiles of equal height, so that little is clamped
    int64_t tiles = (m + rows - 1) / rows;
    rows = (uint32_t)((m + tiles - 1) / tiles);
  }
  x->rows = rows ? rows : 1;
  x->cols = x->col ? vectors * lanes : 1;
  x->mc = x->rows * block_tiles(x, m);
}

// Rows of a tile that widens B itself, which takes two more registers for each vector of it.
uint32_t contract_widened_rows(const contract *x) {
  const target *t = x->g->c->target;
  uint32_t vectors = x->cols * 4 / t->vector_bytes;
  uint32_t rows = vectors ? (t->n_vector_regs - 2) / vectors : 1;
  rows = rows > 3 ? rows - 2 : 1;
  return rows < x->rows ? rows : x->rows;
}
