// The ordering of lines: see routines.h.
//
// Elements become unsigned keys of their own width whose order is the wanted one, with the index below them: a strict
// total order, so that any algorithm gives the stable result. A heap of the k best so far, the worst on top, lies in
// the outputs themselves; taken apart, it leaves them in order, and the values are fetched by index. No scratch;
// n log k comparisons, and one for most elements when k is small.
#include "runtime/routines.h"
#include <string.h>

typedef struct key_form { // of a dtype, in bits of its width
  uint64_t mask, sign;    // all; the sign, 0 for unsigned
  uint64_t infinity;      // of floats; 0: integers
  bool down;
} key_form;

static key_form form_of(rt_dtype dt, bool down) {
  const uint64_t mask = UINT64_MAX >> (64 - 8 * rt_dtype_size(dt));
  key_form f = {mask, mask ^ (mask >> 1), 0, down};
  if (dt == RT_u8 || dt == RT_bool) f.sign = 0;
  if (dt == RT_f32) f.infinity = 0x7f800000;
  if (dt == RT_f16) f.infinity = 0x7c00;
  if (dt == RT_bf16) f.infinity = 0x7f80;
  if (dt == RT_f64) f.infinity = UINT64_C(0x7ff0000000000000);
  return f;
}

static uint64_t key_of(const key_form *f, uint64_t bits) {
  uint64_t size = bits & ~f->sign, key = bits ^ f->sign;
  if (f->infinity) {
    if (size == 0) bits = 0;
    key = size > f->infinity ? f->mask : bits & f->sign ? ~bits & f->mask : bits | f->sign;
  }
  return f->down ? ~key & f->mask : key;
}

typedef struct line { // of the outputs; elements stand `stride` apart
  char *key;
  int32_t *index;
  int64_t stride;
} line;

static inline uint64_t load(const char *p, int64_t i, unsigned width) {
  uint8_t a;
  uint16_t b;
  uint32_t c;
  uint64_t d;
  switch (width) {
  case 1: return memcpy(&a, p + i, 1), a;
  case 2: return memcpy(&b, p + 2 * i, 2), b;
  case 4: return memcpy(&c, p + 4 * i, 4), c;
  default: return memcpy(&d, p + 8 * i, 8), d;
  }
}

static inline void store(char *p, int64_t i, unsigned width, uint64_t v) { memcpy(p + width * i, &v, width); }

static inline void put(const line *l, int64_t i, unsigned width, uint64_t key, int32_t index) {
  store(l->key, i * l->stride, width, key);
  l->index[i * l->stride] = index;
}

// Sinks (key, index) from the top of a heap of n, whose top may be anything.
static inline void sift(const line *l, int64_t top, int64_t n, unsigned width, uint64_t key, int32_t index) {
  for (int64_t below; (below = 2 * top + 1) < n; top = below) {
    uint64_t k = load(l->key, below * l->stride, width);
    int32_t i = l->index[below * l->stride];
    if (below + 1 < n) {
      uint64_t k2 = load(l->key, (below + 1) * l->stride, width);
      int32_t i2 = l->index[(below + 1) * l->stride];
      if (k2 > k || (k2 == k && i2 > i)) below++, k = k2, i = i2;
    }
    if (k < key || (k == key && i < index)) break;
    put(l, top, width, k, i);
  }
  put(l, top, width, key, index);
}

static inline __attribute__((always_inline)) void order_line(const line *l, const char *x, int64_t n, int64_t k,
                                                             const key_form *f, unsigned width) {
  for (int64_t i = 0; i < k; i++) put(l, i, width, key_of(f, load(x, i * l->stride, width)), (int32_t)i);
  for (int64_t i = k / 2; i-- > 0;) sift(l, i, k, width, load(l->key, i * l->stride, width), l->index[i * l->stride]);
  for (int64_t i = k; i < n && k > 0; i++) { // a later one must be better, not equal
    uint64_t key = key_of(f, load(x, i * l->stride, width));
    if (key < load(l->key, 0, width)) sift(l, 0, k, width, key, (int32_t)i);
  }
  for (int64_t i = k; i-- > 1;) {
    uint64_t key = load(l->key, i * l->stride, width);
    int32_t index = l->index[i * l->stride];
    put(l, i, width, load(l->key, 0, width), l->index[0]);
    sift(l, 0, i, width, key, index);
  }
  for (int64_t i = 0; i < k; i++)
    store(l->key, i * l->stride, width, load(x, l->index[i * l->stride] * l->stride, width));
}

void rt_order(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
              void *scratch, int64_t *fault) {
  (void)grid, (void)scratch, (void)fault;
  const int64_t n = symbols[0], k = symbols[1] < n ? symbols[1] : n, stride = symbols[2];
  const rt_dtype dt = (rt_dtype)(symbols[3] / 2);
  const key_form f = form_of(dt, symbols[3] % 2 != 0);
  const int64_t width = (int64_t)rt_dtype_size(dt);
  for (int64_t at = begin; at < end; at++) {
    const int64_t from = at / stride * n * stride + at % stride, to = at / stride * k * stride + at % stride;
    const char *x = (const char *)buffers[0] + from * width;
    const line l = {(char *)buffers[1] + to * width, (int32_t *)buffers[2] + to, stride};
    switch (width) {
    case 1: order_line(&l, x, n, k, &f, 1); break;
    case 2: order_line(&l, x, n, k, &f, 2); break;
    case 4: order_line(&l, x, n, k, &f, 4); break;
    default: order_line(&l, x, n, k, &f, 8); break;
    }
  }
}
