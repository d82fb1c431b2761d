// The kernels of a device as AOT libraries hold them: see opencl.h.
#include "runtime/opencl/opencl.h"

// A text of so many bytes and the 0 behind it.
static bool is_text(const char *base, uint64_t bytes, uint64_t at, uint64_t length) {
  return at < bytes && length < bytes - at && base[at + length] == 0;
}

bool rt_opencl_unpack(const rt_opencl_packed *p, uint64_t room, rt_opencl_source *out) {
  const char *base = (const char *)p;
  if (room < sizeof *p || p->bytes < sizeof *p || p->bytes > room) return false;
  if (p->rows % _Alignof(rt_opencl_kernel) || p->rows > p->bytes ||
      p->n_kernels > (p->bytes - p->rows) / sizeof(rt_opencl_kernel))
    return false;
  if (!is_text(base, p->bytes, p->text, p->text_bytes) || p->options >= p->text ||
      !is_text(base, p->bytes, p->options, p->text - 1 - p->options))
    return false;
  *out = (rt_opencl_source){.options = base + p->options,
                            .text = base + p->text,
                            .text_bytes = (size_t)p->text_bytes,
                            .kernels = (const rt_opencl_kernel *)(const void *)(base + p->rows),
                            .n_kernels = (size_t)p->n_kernels};
  return true;
}
