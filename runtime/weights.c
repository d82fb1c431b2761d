// Files of prepared weights: see weights.h.
#define _XOPEN_SOURCE 700
#include "runtime/weights.h"
#include "runtime/session.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t mix(uint64_t sum, const unsigned char *p, size_t n) {
  uint64_t w = 0;
  memcpy(&w, p, n);
  sum = (sum ^ w) * UINT64_C(0x9fb21c651e98df25) + n; // odd: no step loses anything
  return sum ^ sum >> 32;
}

// Four sums side by side, because one waits for its own product most of the time.
uint64_t rt_weights_content(uint64_t sum, const void *p, uint64_t n) {
  const unsigned char *b = p;
  uint64_t s[4] = {sum, sum + 1, sum + 2, sum + 3}, i = 0;
  for (; i + 32 <= n; i += 32)
    for (int k = 0; k < 4; k++) s[k] = mix(s[k], b + i + 8 * k, 8);
  for (; i < n; i += 8) s[0] = mix(s[0], b + i, n - i < 8 ? n - i : 8);
  for (int k = 1; k < 4; k++) s[0] = mix(s[0], (const unsigned char *)&s[k], 8);
  return s[0];
}

static uint64_t pages_of(uint64_t bytes) { return (bytes + RT_WEIGHTS_PAGE - 1) / RT_WEIGHTS_PAGE; }

uint64_t rt_weights_n_samples(uint64_t bytes) {
  return pages_of(bytes) < RT_WEIGHTS_SAMPLES ? pages_of(bytes) : RT_WEIGHTS_SAMPLES;
}

// Evenly spread, the last page among them: what was not written to the end shows there.
uint64_t rt_weights_sample_at(uint64_t bytes, uint64_t i) {
  uint64_t n = rt_weights_n_samples(bytes);
  return (n > 1 ? (pages_of(bytes) - 1) * i / (n - 1) : 0) * RT_WEIGHTS_PAGE;
}

uint64_t rt_weights_samples(const void *block, uint64_t bytes) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < rt_weights_n_samples(bytes); i++) {
    uint64_t at = rt_weights_sample_at(bytes, i), left = bytes - at;
    sum = rt_weights_content(sum, (const char *)block + at, left < RT_WEIGHTS_PAGE ? left : RT_WEIGHTS_PAGE);
  }
  return sum;
}

uint64_t rt_weights_checksum(const rt_weights_head *h) {
  rt_weights_head zeroed = *h;
  zeroed.checksum = 0;
  uint64_t sum = rt_weights_content(0, &zeroed, sizeof zeroed);
  return rt_weights_content(sum, h + 1, h->head_bytes - sizeof *h);
}

static const char *problem(const rt_weights_head *h, uint64_t file_bytes, const uint64_t layout[2], uint64_t bytes) {
  if (file_bytes < sizeof *h || h->magic != RT_WEIGHTS_MAGIC) return "it is no file of weights";
  if (h->version != RT_WEIGHTS_VERSION) return "it was written by another version of nnc";
  if (h->head_bytes % RT_WEIGHTS_PAGE || h->head_bytes < RT_WEIGHTS_PAGE || h->head_bytes > RT_WEIGHTS_MAX_HEAD ||
      h->head_bytes > file_bytes || h->bytes != file_bytes - h->head_bytes)
    return "it is not whole";
  if (h->checksum != rt_weights_checksum(h)) return "it is damaged";
  if (h->layout[0] != layout[0] || h->layout[1] != layout[1] || h->bytes != bytes) return "it belongs to another model";
  return NULL;
}

rt_status rt_weights_map(rt_weights *out, int fd, const char *path, const uint64_t layout[2], uint64_t block_bytes,
                         rt_error *err) {
  struct stat s;
  *out = (rt_weights){0};
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size <= 0)
    return rt_fail(err, RT_E_FILE, "weights: %s: it is no file of weights", path);
  void *at = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return rt_fail(err, RT_E_FILE, "weights: %s: %s", path, strerror(errno));
  const rt_weights_head *h = at;
  const char *wrong = problem(h, (uint64_t)s.st_size, layout, block_bytes);
  *out = (rt_weights){h, (const char *)at, (uint64_t)s.st_size};
  if (wrong) {
    rt_weights_close(out);
    return rt_fail(err, RT_E_FILE, "weights: %s: %s", path, wrong);
  }
  out->block += h->head_bytes;
  return RT_OK;
}

bool rt_weights_are_sound(const rt_weights *w) {
  return w->head->samples == rt_weights_samples(w->block, w->head->bytes);
}

rt_status rt_weights_open(rt_weights *out, const char *path, const uint64_t layout[2], uint64_t block_bytes,
                          rt_error *err) {
  *out = (rt_weights){0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); // a pipe is no wait
  if (fd < 0) return rt_fail(err, RT_E_FILE, "weights: cannot open %s: %s", path, strerror(errno));
  rt_status s = rt_weights_map(out, fd, path, layout, block_bytes, err);
  close(fd);
  if (s || rt_weights_are_sound(out)) return s;
  rt_weights_close(out);
  return rt_fail(err, RT_E_FILE, "weights: %s: it is damaged", path);
}

void rt_weights_close(rt_weights *w) {
  if (w->head) munmap((void *)(uintptr_t)w->head, (size_t)w->mapped_bytes);
  *w = (rt_weights){0};
}

bool rt_weights_beside(const char *library, char *path, size_t path_bytes) {
  static const char extension[] = ".weights";
  size_t n = strlen(library);
  if (n > 3 && !strcmp(library + n - 3, ".so")) n -= 3;
  if (n + sizeof extension > path_bytes) return false;
  memcpy(path, library, n);
  memcpy(path + n, extension, sizeof extension);
  return true;
}
