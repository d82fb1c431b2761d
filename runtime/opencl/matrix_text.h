// OpenCL C of products that the lanes of a warp make together: what programs with `mma` (docs/kernel-ir.md) contain,
// and what the probe of a device tries (matrix.c).
//
// A warp has 32 lanes. Of 16 x 8 sums lane l holds rows l/4 and l/4 + 8 of columns 2*(l%4) and the one behind it, in
// this order: what NVIDIA's instruction has in its registers (PTX ISA, mma.m16n8k16). A lies as rows of 16 bf16 in
// local memory, B as columns, both at even places and strides. With MMA_PTX defined it is that instruction, volatile
// and with a clobber of memory, for compilers move it across barriers otherwise; without, each lane computes its own
// four sums.
#ifndef NNC_RUNTIME_OPENCL_MATRIX_TEXT_H
#define NNC_RUNTIME_OPENCL_MATRIX_TEXT_H

#define RT_OPENCL_MATRIX_DEFINE "MMA_PTX"
#define RT_OPENCL_MATRIX_OPTION "-D " RT_OPENCL_MATRIX_DEFINE

#define RT_OPENCL_MATRIX_TEXT                                                                                          \
  "#ifdef " RT_OPENCL_MATRIX_DEFINE " // a warp's products by one instruction\n"                                       \
  "typedef uint4 mma_rows;\n"                                                                                          \
  "typedef uint2 mma_cols;\n"                                                                                          \
  "mma_rows mma_load_rows(__local const ushort *at, int stride, int lane) {\n"                                         \
  "  __local const uint *p = (__local const uint *)(at + lane / 4 * stride) + lane % 4, *q = p + 4 * stride;\n"        \
  "  return (uint4)(p[0], q[0], p[4], q[4]);\n"                                                                        \
  "}\n"                                                                                                                \
  "mma_cols mma_load_cols(__local const ushort *at, int stride, int lane) {\n"                                         \
  "  __local const uint *p = (__local const uint *)(at + lane / 4 * stride) + lane % 4;\n"                             \
  "  return (uint2)(p[0], p[4]);\n"                                                                                    \
  "}\n"                                                                                                                \
  "float4 mma_step(mma_rows a, mma_cols b, float4 c) {\n"                                                              \
  "  float x = c.s0, y = c.s1, z = c.s2, w = c.s3;\n"                                                                  \
  "  __asm__ volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 \"\n"                                      \
  "                   \"{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\"\n"                           \
  "                   : \"+f\"(x), \"+f\"(y), \"+f\"(z), \"+f\"(w)\n"                                                  \
  "                   : \"r\"(a.s0), \"r\"(a.s1), \"r\"(a.s2), \"r\"(a.s3), \"r\"(b.s0), \"r\"(b.s1)\n"                \
  "                   : \"memory\");\n"                                                                                \
  "  return (float4)(x, y, z, w);\n"                                                                                   \
  "}\n"                                                                                                                \
  "#else // the same by each lane for itself\n"                                                                        \
  "typedef struct mma_rows { float16 upper, lower; } mma_rows;\n"                                                      \
  "typedef struct mma_cols { float16 left, right; } mma_cols;\n"                                                       \
  "float16 mma_wide(__local const ushort *p) { return as_float16(convert_uint16(vload16(0, p)) << 16); }\n"            \
  "mma_rows mma_load_rows(__local const ushort *at, int stride, int lane) {\n"                                         \
  "  __local const ushort *p = at + lane / 4 * stride;\n"                                                              \
  "  mma_rows a = {mma_wide(p), mma_wide(p + 8 * stride)};\n"                                                          \
  "  return a;\n"                                                                                                      \
  "}\n"                                                                                                                \
  "mma_cols mma_load_cols(__local const ushort *at, int stride, int lane) {\n"                                         \
  "  __local const ushort *p = at + lane % 4 * 2 * stride;\n"                                                          \
  "  mma_cols b = {mma_wide(p), mma_wide(p + stride)};\n"                                                              \
  "  return b;\n"                                                                                                      \
  "}\n"                                                                                                                \
  "float mma_sum(float16 x) {\n"                                                                                       \
  "  float8 y = x.lo + x.hi;\n"                                                                                        \
  "  float4 z = y.lo + y.hi;\n"                                                                                        \
  "  return (z.s0 + z.s2) + (z.s1 + z.s3);\n"                                                                          \
  "}\n"                                                                                                                \
  "float4 mma_step(mma_rows a, mma_cols b, float4 c) {\n"                                                              \
  "  return c + (float4)(mma_sum(a.upper * b.left), mma_sum(a.upper * b.right), mma_sum(a.lower * b.left),\n"          \
  "                      mma_sum(a.lower * b.right));\n"                                                               \
  "}\n"                                                                                                                \
  "#endif\n\n"

#endif
