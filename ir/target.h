// Target descriptions: what schedules and printers may know of a machine. Schedules read these numbers, never a device
// name.
#ifndef NNC_IR_TARGET_H
#define NNC_IR_TARGET_H

#include "base/str.h"

// The last two are v4 with AVX512_BF16 and AVX512_VNNI, and that with AMX: no processor has tile registers without
// them.
typedef enum cpu_level { CPU_x86_64, CPU_x86_64_v3, CPU_x86_64_v4, CPU_x86_64_v4_bf16, CPU_x86_64_v4_amx } cpu_level;

typedef struct target {
  const char *name; // "x86-64-v4"
  cpu_level level;
  uint32_t vector_bytes;  // 64, 32, 16
  uint32_t n_vector_regs; // 32, 16
  bool has_fma;
  bool has_bf16;                       // products of bf16 in pairs, and of bytes in fours, in vectors
  bool has_amx;                        // tile registers, and products of bf16 in them; beside the level
  bool has_mma;                        // warps of 32 workers multiply bf16 together (kernel IR: mma)
  uint32_t dot_rows, dot_cols;         // register tile of the f32 contraction core
  uint32_t l1_bytes, l2_bytes;         // per core
  uint32_t block_rows, block_elements; // of a contraction, and of an elementwise row: what one grid point does at most
  uint32_t workers;     // of a group that shares scratch, at most: 256, 64, or 0, where a grid point is one worker's
  bool shares_f64;      // may they compute in f64? else what does is one worker's, and can run on the host
  uint32_t busy_groups; // of a device: as many groups fill it; larger blocks are for products that leave so many
  double fma_per_ns;    // rough f32 multiply-adds a nanosecond on one core: sizes chunks only
  double bytes_per_ns;
} target;

// By CPUID feature bits (level "native"), or by name; NULL when the name is unknown. The returned description is
// static.
const target *target_native(void);           // the best level that this CPU and operating system support
const target *target_find(const char *name); // "native", the name of a level, "opencl", "opencl-local",
                                             // "opencl-local-64", these with "-f32", "opencl-mma"
// Of an OpenCL device: one whose work-items share local memory that is faster than global memory, in groups of at most
// `max_group`, or not; has_mma: a probe has found that its warps multiply as `mma` says.
const target *target_opencl(bool has_local, uint64_t max_group, bool has_f64, bool has_mma);
const char *target_level_name(cpu_level level); // "x86-64-v4"
const target *target_plain(const target *t);    // without what only narrow precisions use: for more processors
bool target_supported(const target *t);         // may this process run code built for it?

#endif
