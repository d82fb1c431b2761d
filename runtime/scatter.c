// Rows written, or added, at computed places: see routines.h.
//
// A grid point owns a block of columns of one [n, after] matrix: it copies the base, then takes the places in order, so
// that equal places meet in the order of the index, whoever runs the points. A scatter of single elements (after = 1)
// is serial. An index out of range is a fault, and nothing is written for it. Cost: the bytes of base, src and result.
#include "runtime/routines.h"
#include <math.h>
#include <string.h>

typedef enum scatter_mode { SCATTER_set, SCATTER_add, SCATTER_max, SCATTER_min } scatter_mode;

// As the operators `max` and `min`: NaN if either is, and -0 below 0.
#define FLOAT_EXTREMES(T)                                                                                              \
  static inline T T##_max(T a, T b) {                                                                                  \
    return isnan(a) || isnan(b) ? (T)NAN : a < b || (a == b && signbit(a)) ? b : a;                                    \
  }                                                                                                                    \
  static inline T T##_min(T a, T b) {                                                                                  \
    return isnan(a) || isnan(b) ? (T)NAN : a < b || (a == b && signbit(a)) ? a : b;                                    \
  }                                                                                                                    \
  static inline T T##_add(T a, T b) { return a + b; }

#define INTEGER_EXTREMES(T, U)                                                                                         \
  static inline T T##_max(T a, T b) { return a < b ? b : a; }                                                          \
  static inline T T##_min(T a, T b) { return a < b ? a : b; }                                                          \
  static inline T T##_add(T a, T b) { return (T)((U)a + (U)b); } /* wraps */

// A row of n elements meets another.
#define ROW(T)                                                                                                         \
  static void T##_row(scatter_mode mode, void *to, const void *from, int64_t n) {                                      \
    T *restrict y = to;                                                                                                \
    const T *restrict x = from;                                                                                        \
    if (mode == SCATTER_add)                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i] = T##_add(y[i], x[i]);                                                      \
    else if (mode == SCATTER_max)                                                                                      \
      for (int64_t i = 0; i < n; i++) y[i] = T##_max(y[i], x[i]);                                                      \
    else                                                                                                               \
      for (int64_t i = 0; i < n; i++) y[i] = T##_min(y[i], x[i]);                                                      \
  }

FLOAT_EXTREMES(float)
FLOAT_EXTREMES(double)
INTEGER_EXTREMES(int32_t, uint32_t)
INTEGER_EXTREMES(int64_t, uint64_t)
ROW(float)
ROW(double)
ROW(int32_t)
ROW(int64_t)

static void meet(rt_dtype dt, scatter_mode mode, char *to, const char *from, int64_t n) {
  if (mode == SCATTER_set) memcpy(to, from, (size_t)n * rt_dtype_size(dt));
  else if (dt == RT_f32) float_row(mode, to, from, n);
  else if (dt == RT_f64) double_row(mode, to, from, n);
  else if (dt == RT_i32) int32_t_row(mode, to, from, n);
  else if (dt == RT_i64) int64_t_row(mode, to, from, n);
}

void rt_scatter(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                void *scratch, int64_t *fault) {
  (void)grid, (void)scratch;
  const int64_t n = symbols[1], after = symbols[2], places = symbols[3], site = symbols[5];
  const rt_dtype dt = (rt_dtype)(symbols[4] / 4);
  const scatter_mode mode = (scatter_mode)(symbols[4] % 4);
  const int64_t blocks = (after + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, width = (int64_t)rt_dtype_size(dt);
  const int32_t *index = buffers[1];
  for (int64_t at = begin; at < end; at++) {
    const int64_t matrix = at / blocks, column = at % blocks * RT_ROW_BLOCK;
    const int64_t columns = after - column < RT_ROW_BLOCK ? after - column : RT_ROW_BLOCK;
    const char *base = (const char *)buffers[0] + (matrix * n * after + column) * width;
    const char *src = (const char *)buffers[2] + (matrix * places * after + column) * width;
    char *out = (char *)buffers[3] + (matrix * n * after + column) * width;
    const int64_t row = after * width;
    if (blocks == 1) memcpy(out, base, (size_t)(n * row));
    else
      for (int64_t i = 0; i < n; i++) memcpy(out + i * row, base + i * row, (size_t)(columns * width));
    for (int64_t k = 0; k < places; k++) {
      if (index[k] < 0 || index[k] >= n) __atomic_store_n(fault, site + 1, __ATOMIC_RELAXED);
      else meet(dt, mode, out + index[k] * row, src + k * row, columns);
    }
  }
}
