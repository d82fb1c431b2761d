// Prepared weights as a file: a header, then the constants block of a plan just as its entries read it, to be mapped
// read-only and shared by all processes. `nnc compile --weights-mode file` writes one beside its library, and the cache
// of libnnc keeps them.
//
//   page 0 ..       rt_weights_head, then what its writer keeps there, zeros to a page
//   head_bytes ..   the block
//
// What is checked when a file is opened: the size, the header's checksum, that the layout is the plan's, and samples
// of the block, at most 256 pages spread over it (all of a block of up to 1 MiB): some 0.3 ms for any size. So a file
// that is cut short, belongs to another plan, or has lost parts of its content is refused; a single bit that a disk has
// turned elsewhere is not seen. `content` is for who wants to read it all (`nnc cache --verify`).
#ifndef NNC_RUNTIME_WEIGHTS_H
#define NNC_RUNTIME_WEIGHTS_H

#include "runtime/rt.h"

#define RT_WEIGHTS_MAGIC UINT64_C(0x31307374776e6e00) // "\0nnwts01"
enum { RT_WEIGHTS_VERSION = 1, RT_WEIGHTS_PAGE = 4096, RT_WEIGHTS_SAMPLES = 256, RT_WEIGHTS_MAX_HEAD = 1 << 24 };

typedef struct rt_weights_head {
  uint64_t magic;
  uint32_t version;
  uint32_t head_bytes; // a multiple of a page
  uint64_t layout[2];  // of plan and code
  uint64_t bytes;      // of the block; the file has head_bytes + bytes
  uint64_t samples;    // rt_weights_samples of the block
  uint64_t content;    // rt_weights_content of the block
  uint64_t checksum;   // rt_weights_content of the header's head_bytes, with this field 0
} rt_weights_head;

typedef struct rt_weights {
  const rt_weights_head *head; // the mapping; NULL: none
  const char *block;
  uint64_t mapped_bytes;
} rt_weights;

// A checksum that starts from `sum`: every change within 8 bytes changes it. Some 10 GB/s.
uint64_t rt_weights_content(uint64_t sum, const void *p, uint64_t n);
uint64_t rt_weights_checksum(const rt_weights_head *h); // of the whole header, its field `checksum` taken as 0
// The sampled pages of a block: rt_weights_page(i) for i below the count.
uint64_t rt_weights_n_samples(uint64_t block_bytes);
uint64_t rt_weights_sample_at(uint64_t block_bytes, uint64_t i); // offset of the i-th page
uint64_t rt_weights_samples(const void *block, uint64_t block_bytes);

// Maps an open file and checks all but the samples, which would bring in pages; `path` is for messages, the descriptor
// stays the caller's. On failure nothing is mapped.
rt_status rt_weights_map(rt_weights *out, int fd, const char *path, const uint64_t layout[2], uint64_t block_bytes,
                         rt_error *err);
bool rt_weights_are_sound(const rt_weights *w); // the samples are as they were written
// Both: opens, maps and checks a file.
rt_status rt_weights_open(rt_weights *out, const char *path, const uint64_t layout[2], uint64_t block_bytes,
                          rt_error *err);
void rt_weights_close(rt_weights *w); // unmaps; nothing when there is no mapping

// The path of the weights of a library: its own with `.weights` in place of `.so`. false: it does not fit.
bool rt_weights_beside(const char *library, char *path, size_t path_bytes);

#endif
