// Does a device multiply as matrix_text.h says? It is tried, once for each device: the text is built with NVIDIA's
// instruction, two warps multiply small integers, and every bit must be right. No name decides, and whatever fails
// (building, launching, one sum) means no. Only devices whose drivers take NVIDIA's inline assembly are asked, for
// compilers of others may end the process over it.
#include "runtime/opencl/loader.h"
#include "runtime/opencl/matrix_text.h"
#include <string.h>

enum { WARP = 32, WARPS = 2, ROWS = 16 * WARPS, COLS = 8, DEPTH = 16, N_BUFFERS = 3 };

static const char text[] = RT_OPENCL_MATRIX_TEXT
    "__kernel __attribute__((reqd_work_group_size(64, 1, 1)))\n"
    "void probe(__global const ushort *x, __global const ushort *y, __global float *sums) {\n"
    "  __local ushort a[32 * 24] __attribute__((aligned(64))), b[8 * 24] __attribute__((aligned(64)));\n"
    "  const int worker = (int)get_local_id(0), lane = worker % 32, first = worker / 32 * 16;\n"
    "  for (int i = worker; i < 32 * 16; i += 64) a[i / 16 * 24 + i % 16] = x[i];\n"
    "  for (int i = worker; i < 8 * 16; i += 64) b[i / 16 * 24 + i % 16] = y[i];\n"
    "  barrier(CLK_LOCAL_MEM_FENCE);\n"
    "  const int row = first + lane / 4, col = lane % 4 * 2;\n"
    "  float4 sum = (float4)(row, row, row + 8, row + 8);\n"
    "  const mma_rows p = mma_load_rows(a + first * 24, 24, lane);\n"
    "  const mma_cols q = mma_load_cols(b, 24, lane);\n"
    "  sum = mma_step(p, q, sum);\n"
    "  sum = mma_step(p, q, sum);\n"
    "  vstore2(sum.lo, 0, sums + row * 8 + col);\n"
    "  vstore2(sum.hi, 0, sums + (row + 8) * 8 + col);\n"
    "}\n";

typedef struct probe {
  const cl_api *api;
  cl_context context;
  cl_command_queue queue;
  cl_program program;
  cl_kernel kernel;
  cl_mem buffer[N_BUFFERS];
} probe;

// Small integers are the same in bf16, which is the upper half of f32.
static uint16_t narrow(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (uint16_t)(bits >> 16);
}

static int a_at(int row, int k) { return (7 * row + 3 * k) % 11 - 5; }
static int b_at(int col, int k) { return (5 * col + 2 * k) % 13 - 6; }

static void expect(float *sums) {
  for (int i = 0; i < ROWS * COLS; i++) {
    int sum = 0;
    for (int k = 0; k < DEPTH; k++) sum += a_at(i / COLS, k) * b_at(i % COLS, k);
    sums[i] = (float)(i / COLS + 2 * sum);
  }
}

static bool build(probe *p, cl_device_id id, const char *options) {
  cl_int code;
  const char *source = text;
  p->context = p->api->clCreateContext(NULL, 1, &id, NULL, NULL, &code);
  if (code) return false;
  p->queue = p->api->clCreateCommandQueue(p->context, id, 0, &code);
  if (code) return false;
  p->program = p->api->clCreateProgramWithSource(p->context, 1, &source, NULL, &code);
  if (code || p->api->clBuildProgram(p->program, 1, &id, options, NULL, NULL)) return false;
  p->kernel = p->api->clCreateKernel(p->program, "probe", &code);
  return !code;
}

static bool give_buffer(probe *p, cl_uint i, size_t bytes, void *content) {
  cl_int code;
  p->buffer[i] = p->api->clCreateBuffer(p->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bytes, content, &code);
  return !code && !p->api->clSetKernelArg(p->kernel, i, sizeof p->buffer[i], &p->buffer[i]);
}

static bool multiply(probe *p, float *sums) {
  uint16_t a[ROWS * DEPTH], b[COLS * DEPTH];
  const size_t workers = WARP * WARPS, bytes = ROWS * COLS * sizeof *sums;
  for (int i = 0; i < ROWS * DEPTH; i++) a[i] = narrow((float)a_at(i / DEPTH, i % DEPTH));
  for (int i = 0; i < COLS * DEPTH; i++) b[i] = narrow((float)b_at(i / DEPTH, i % DEPTH));
  memset(sums, 0, bytes);
  return give_buffer(p, 0, sizeof a, a) && give_buffer(p, 1, sizeof b, b) && give_buffer(p, 2, bytes, sums) &&
         !p->api->clEnqueueNDRangeKernel(p->queue, p->kernel, 1, NULL, &workers, &workers, 0, NULL, NULL) &&
         !p->api->clEnqueueReadBuffer(p->queue, p->buffer[2], CL_TRUE, 0, bytes, sums, 0, NULL, NULL);
}

static void release(probe *p) {
  for (int i = 0; i < N_BUFFERS; i++)
    if (p->buffer[i]) p->api->clReleaseMemObject(p->buffer[i]);
  if (p->kernel) p->api->clReleaseKernel(p->kernel);
  if (p->program) p->api->clReleaseProgram(p->program);
  if (p->queue) p->api->clReleaseCommandQueue(p->queue);
  if (p->context) p->api->clReleaseContext(p->context);
}

bool rt_cl_try_matrices(const rt_opencl *cl, uint32_t device, const char *options) {
  probe p = {.api = &cl->api};
  float got[ROWS * COLS], want[ROWS * COLS];
  expect(want);
  bool good = cl->devices[device].max_group >= WARP * WARPS && build(&p, cl->ids[device], options) &&
              multiply(&p, got) && memcmp(got, want, sizeof got) == 0;
  release(&p);
  return good;
}

bool rt_opencl_has_matrices(rt_opencl *cl, uint32_t device) {
  rt_opencl_device *d = &cl->devices[device];
  if (!d->matrices_tried) {
    d->matrices_tried = true;
    d->matrices = d->nvidia_assembly && d->available && d->has_compiler &&
                  rt_cl_try_matrices(cl, device, "-cl-std=CL1.2 -w " RT_OPENCL_MATRIX_OPTION);
  }
  return d->matrices;
}
