// The header of a file of weights: see runtime/weights.h.
#include "codegen/aot/aot.h"
#include "runtime/weights.h"
#include <string.h>

str aot_weights_head(arena *a, str extra, const uint64_t layout[2], str block) {
  size_t bytes = (sizeof(rt_weights_head) + extra.n + RT_WEIGHTS_PAGE - 1) / RT_WEIGHTS_PAGE * RT_WEIGHTS_PAGE;
  rt_weights_head *h = arena_alloc(a, bytes);
  *h = (rt_weights_head){.magic = RT_WEIGHTS_MAGIC,
                         .version = RT_WEIGHTS_VERSION,
                         .head_bytes = (uint32_t)bytes,
                         .layout = {layout[0], layout[1]},
                         .bytes = block.n,
                         .samples = rt_weights_samples(block.p, block.n),
                         .content = rt_weights_content(0, block.p, block.n)};
  if (extra.n) memcpy(h + 1, extra.p, extra.n);
  h->checksum = rt_weights_checksum(h);
  return (str){(const char *)h, bytes};
}
