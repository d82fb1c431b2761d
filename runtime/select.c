// Rows and boxes that stay: see routines.h.
#include "runtime/routines.h"
#include <math.h>
#include <string.h>

void rt_compact(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
                void *scratch, int64_t *fault) {
  (void)grid, (void)scratch, (void)fault;
  const int64_t n = symbols[0], after = symbols[1], max = symbols[2], most = symbols[3], width = symbols[4];
  const uint8_t *mask = buffers[1];
  for (int64_t at = begin; at < end; at++) {
    const int64_t column = at * most, columns = after - column < most ? after - column : most;
    const char *x = (const char *)buffers[0] + column * width;
    char *rows = (char *)buffers[2] + column * width;
    const size_t part = (size_t)(columns * width); // rows may have no elements: they still count
    int64_t kept = 0;
    for (int64_t i = 0; i < n && kept < max; i++)
      if (mask[i]) memcpy(rows + kept++ * after * width, x + i * after * width, part);
    for (int64_t i = kept; i < max; i++) memset(rows + i * after * width, 0, part);
    if (at == 0) *(int32_t *)buffers[3] = (int32_t)kept;
  }
}

typedef struct box {
  double x1, y1, x2, y2;
} box;

static double area(box b) { return (b.x2 - b.x1) * (b.y2 - b.y1); }

// Intersection over union.
static double overlap(box a, box b) {
  const double w = fmin(a.x2, b.x2) - fmax(a.x1, b.x1), h = fmin(a.y2, b.y2) - fmax(a.y1, b.y1);
  const double both = fmax(w, 0) * fmax(h, 0);
  return both / (area(a) + area(b) - both);
}

// Greedy: n boxes against those kept so far.
void rt_nms(void *const *buffers, const int64_t *symbols, const int64_t *grid, int64_t begin, int64_t end,
            void *scratch, int64_t *fault) {
  (void)grid, (void)begin, (void)end, (void)scratch, (void)fault;
  const int64_t n = symbols[0], max = symbols[1];
  const box *boxes = buffers[0];
  const int32_t *order = buffers[1];
  int32_t *kept = buffers[2];
  double limit;
  memcpy(&limit, symbols + 2, sizeof limit);
  int64_t count = 0;
  for (int64_t i = 0; i < n && count < max; i++) {
    const box b = boxes[order[i]];
    bool keep = true;
    for (int64_t k = 0; k < count && keep; k++) keep = !(overlap(boxes[kept[k]], b) > limit);
    if (keep) kept[count++] = order[i];
  }
  for (int64_t i = count; i < max; i++) kept[i] = 0;
  *(int32_t *)buffers[3] = (int32_t)count;
}
