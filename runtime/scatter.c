// Rows written, or added, at computed places: see routines.h.
//
// A grid point owns a block of columns of one [n, after] matrix: it copies the base, then takes the places in order, so
// that equal places meet in the order of the index, whoever runs the points. A scatter of single elements (after = 1)
// is serial. An index out of range is a fault, and nothing is written for it. Cost: the bytes of base, src and result.
#include "runtime/routines.h"
#include <math.h>
#include <string.h>

typedef struct block {
  void *out;
  const void *src;
  const int32_t *index;
  int64_t n, places;    // rows of out, of src
  int64_t row, columns; // elements from one to the next, and in this block
} block;

// Of a value in place and a new one. As the operators `max` and `min`: NaN if either is, and -0 below 0.
#define SET(a, b)       (b)
#define ADD(a, b)       ((a) + (b))
#define MAX(a, b)       ((a) < (b) ? (b) : (a))
#define MIN(a, b)       ((a) < (b) ? (a) : (b))
#define FIRST(a, b)     ((a) < (b) || ((a) == (b) && signbit(a)))
#define FLOAT_MAX(a, b) (isnan(a) || isnan(b) ? NAN : FIRST(a, b) ? (b) : (a))
#define FLOAT_MIN(a, b) (isnan(a) || isnan(b) ? NAN : FIRST(a, b) ? (a) : (b))

// false: an index was out of range.
#define SCATTER(NAME, T, MEET)                                                                                         \
  static bool NAME(const block *b) {                                                                                   \
    bool inside = true;                                                                                                \
    for (int64_t k = 0; k < b->places; k++) {                                                                          \
      if (b->index[k] < 0 || b->index[k] >= b->n) {                                                                    \
        inside = false;                                                                                                \
        continue;                                                                                                      \
      }                                                                                                                \
      T *restrict y = (T *)b->out + b->index[k] * b->row;                                                              \
      const T *restrict x = (const T *)b->src + k * b->row;                                                            \
      for (int64_t i = 0; i < b->columns; i++) y[i] = (T)MEET(y[i], x[i]);                                             \
    }                                                                                                                  \
    return inside;                                                                                                     \
  }

SCATTER(set_8, uint8_t, SET)
SCATTER(set_16, uint16_t, SET)
SCATTER(set_32, uint32_t, SET)
SCATTER(set_64, uint64_t, SET)
SCATTER(add_f32, float, ADD)
SCATTER(add_f64, double, ADD)
SCATTER(add_i32, uint32_t, ADD) // wraps
SCATTER(add_i64, uint64_t, ADD)
SCATTER(max_f32, float, FLOAT_MAX)
SCATTER(max_f64, double, FLOAT_MAX)
SCATTER(max_i32, int32_t, MAX)
SCATTER(max_i64, int64_t, MAX)
SCATTER(min_f32, float, FLOAT_MIN)
SCATTER(min_f64, double, FLOAT_MIN)
SCATTER(min_i32, int32_t, MIN)
SCATTER(min_i64, int64_t, MIN)

typedef enum scatter_mode { SCATTER_set, SCATTER_add, SCATTER_max, SCATTER_min } scatter_mode;
typedef bool (*scatter_fn)(const block *b);

static scatter_fn function_of(scatter_mode mode, rt_dtype dt) {
  static const scatter_fn by_dtype[][RT_DTYPES] = {
      [SCATTER_add] = {[RT_f32] = add_f32, [RT_f64] = add_f64, [RT_i32] = add_i32, [RT_i64] = add_i64},
      [SCATTER_max] = {[RT_f32] = max_f32, [RT_f64] = max_f64, [RT_i32] = max_i32, [RT_i64] = max_i64},
      [SCATTER_min] = {[RT_f32] = min_f32, [RT_f64] = min_f64, [RT_i32] = min_i32, [RT_i64] = min_i64}};
  if (mode != SCATTER_set) return by_dtype[mode][dt];
  switch (rt_dtype_size(dt)) {
  case 1: return set_8;
  case 2: return set_16;
  case 4: return set_32;
  default: return set_64;
  }
}

static void copy_base(const block *b, const char *base, size_t width) {
  char *out = b->out;
  const size_t row = (size_t)b->row * width;
  if (b->columns == b->row) memcpy(out, base, (size_t)b->n * row);
  else
    for (int64_t i = 0; i < b->n; i++)
      memcpy(out + (size_t)i * row, base + (size_t)i * row, (size_t)b->columns * width);
}

void rt_scatter(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                void *scratch, int64_t *fault) {
  (void)grid, (void)scratch;
  const int64_t n = symbols[0], row = symbols[1], places = symbols[2], most = symbols[3], site = symbols[5];
  const rt_dtype dt = (rt_dtype)(symbols[4] / 4);
  const scatter_fn scatter = function_of((scatter_mode)(symbols[4] % 4), dt);
  const int64_t blocks = row > most ? (row + most - 1) / most : 1;
  const int64_t width = (int64_t)rt_dtype_size(dt);
  for (int64_t at = begin; at < end; at++) {
    const int64_t matrix = at / blocks, column = at % blocks * most;
    block b = {.index = buffers[1], .n = n, .places = places, .row = row};
    b.columns = row - column < most ? row - column : most;
    b.out = (char *)buffers[3] + (matrix * n * row + column) * width;
    b.src = (const char *)buffers[2] + (matrix * places * row + column) * width;
    copy_base(&b, (const char *)buffers[0] + (matrix * n * row + column) * width, (size_t)width);
    if (!scatter(&b)) __atomic_store_n(fault, site + 1, __ATOMIC_RELAXED);
  }
}
