// Programs: the text of a module's kernels, or what a driver made of it before, built for one device.
//
// Limits are checked here, before a driver sees anything: PoCL ends the process when a work-group needs more local
// memory than there is, and others fail at the first launch, with a number.
#include "runtime/opencl/matrix_text.h"
#include "runtime/opencl/program.h"
#include <stdio.h>
#include <stdlib.h>

// -- limits --

// "kernel `k3_row`, digits.yaml:12": by the first step that runs it.
static void name_kernel(const rt_plan *p, uint32_t kernel, char *to, size_t size) {
  const char *name = rt_string(p, (RT_ARRAY(p, rt_kernel_info, kernels) + kernel)->name);
  const rt_step *steps = RT_ARRAY(p, rt_step, steps);
  snprintf(to, size, "kernel `%.64s`", name);
  for (uint64_t i = 0; i < p->steps.count; i++) {
    if (steps[i].kind != RT_STEP_kernel || steps[i].what != kernel || !steps[i].line) continue;
    snprintf(to, size, "kernel `%.64s`, %.64s:%u", name, rt_string(p, steps[i].file), steps[i].line);
    return;
  }
}

static rt_status exceeds(const rt_opencl_program *p, uint32_t kernel, const char *what, uint64_t needs, uint64_t has,
                         rt_error *err) {
  char name[192];
  name_kernel(p->plan, kernel, name, sizeof name);
  return rt_fail(err, RT_E_DEVICE, "%s: it needs %s %llu; the device has at most %llu", name, what,
                 (unsigned long long)needs, (unsigned long long)has);
}

static rt_status lacks_fp64(const rt_opencl_program *p, uint32_t kernel, rt_error *err) {
  char name[192];
  name_kernel(p->plan, kernel, name, sizeof name);
  return rt_fail(err, RT_E_DEVICE, "%s: it computes in f64, which the device has not", name);
}

static rt_status check_kernel(const rt_opencl_program *p, uint32_t i, rt_error *err) {
  const rt_opencl_device *d = &p->cl->devices[p->number];
  const rt_opencl_kernel *k = &p->source.kernels[i];
  if (k->lanes > d->max_group) return exceeds(p, i, "work-groups of", k->lanes, d->max_group, err);
  if (k->lanes > d->max_items) return exceeds(p, i, "work-groups of", k->lanes, d->max_items, err);
  if (k->local_bytes > d->local_bytes)
    return exceeds(p, i, "bytes of local memory:", k->local_bytes, d->local_bytes, err);
  if (k->scratch_bytes > d->max_alloc_bytes)
    return exceeds(p, i, "bytes of memory a work-group:", k->scratch_bytes, d->max_alloc_bytes, err);
  if ((k->flags & RT_OPENCL_NEEDS_FP64) && !d->fp64) return lacks_fp64(p, i, err);
  return RT_OK;
}

static bool is_routine(const rt_opencl_program *p, size_t i) {
  return (p->source.kernels[i].flags & RT_OPENCL_ROUTINE) != 0;
}

static rt_status check_kernels(rt_opencl_program *p, rt_error *err) {
  if (p->source.n_kernels != p->plan->kernels.count)
    return rt_fail(err, RT_E_INVALID, "the program is not of this plan: %zu kernels, %llu in the plan",
                   p->source.n_kernels, (unsigned long long)p->plan->kernels.count);
  for (size_t i = 0; i < p->source.n_kernels; i++) {
    rt_error ignored;
    rt_status status = check_kernel(p, (uint32_t)i, is_routine(p, i) ? &ignored : err);
    if (status && !is_routine(p, i)) return status;
    p->on_host[i] = p->source.kernels[i].lanes == 0 || status;
  }
  return RT_OK;
}

// -- building --

static void read_log(const rt_opencl_program *p, char *log) {
  size_t n = 0;
  const cl_api *api = &p->cl->api;
  const cl_device_id id = p->cl->ids[p->number];
  if (api->clGetProgramBuildInfo(p->program, id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n) || n < 2) return;
  char *all = malloc(n + 1);
  if (!all) return;
  if (!api->clGetProgramBuildInfo(p->program, id, CL_PROGRAM_BUILD_LOG, n, all, NULL)) {
    all[n] = 0;
    snprintf(log, RT_OPENCL_LOG, "%s", all);
  }
  free(all);
}

static rt_status create_program(rt_opencl_program *p, const void *binary, size_t binary_bytes, rt_error *err) {
  cl_int code, of_device = CL_SUCCESS;
  const cl_api *api = &p->cl->api;
  const unsigned char *bytes = binary;
  const cl_device_id id = p->cl->ids[p->number];
  if (!binary) {
    p->program = api->clCreateProgramWithSource(p->context, 1, &p->source.text, &p->source.text_bytes, &code);
    return code ? rt_cl_fail(err, code, "creating an OpenCL program") : RT_OK;
  }
  p->program = api->clCreateProgramWithBinary(p->context, 1, &id, &binary_bytes, &bytes, &of_device, &code);
  if (!code && !of_device) return RT_OK;
  rt_cl_fail(err, code ? code : of_device, "loading a built OpenCL program");
  return RT_E_INVALID;
}

const char *rt_opencl_device_options(rt_opencl *cl, uint32_t device, const rt_opencl_source *source) {
  static const char *const options[2][2] = {
      {"", " " RT_OPENCL_MATRIX_OPTION},
      {" -cl-fp32-correctly-rounded-divide-sqrt", " -cl-fp32-correctly-rounded-divide-sqrt " RT_OPENCL_MATRIX_OPTION}};
  bool multiplies = false;
  for (size_t i = 0; i < source->n_kernels; i++)
    multiplies = multiplies || (source->kernels[i].flags & RT_OPENCL_USES_MATRICES);
  return options[cl->devices[device].exact_division][multiplies && rt_opencl_has_matrices(cl, device)];
}

static cl_int run_compiler(const rt_opencl_program *p, const char *more) {
  const cl_device_id id = p->cl->ids[p->number];
  char options[256];
  snprintf(options, sizeof options, "%s%s%s", p->source.options, rt_opencl_device_options(p->cl, p->number, &p->source),
           more);
  return p->cl->api.clBuildProgram(p->program, 1, &id, options, NULL, NULL);
}

// -- routines: where they cannot run, the host does --

static bool has_routines(const rt_opencl_program *p) {
  bool any = false;
  for (size_t i = 0; i < p->source.n_kernels; i++) any = any || (is_routine(p, i) && !p->on_host[i]);
  return any;
}

// The same text without them. A program is built once, so it is another.
static bool build_without_routines(rt_opencl_program *p) {
  const cl_api *api = &p->cl->api;
  cl_program whole = p->program;
  cl_int code;
  p->program = api->clCreateProgramWithSource(p->context, 1, &p->source.text, &p->source.text_bytes, &code);
  if (code) p->program = NULL;
  p->lacks_routines = !code && !run_compiler(p, " -D NNC_HOST_ROUTINES");
  cl_program other = p->lacks_routines ? whole : p->program;
  if (!p->lacks_routines) p->program = whole;
  if (other) api->clReleaseProgram(other);
  for (size_t i = 0; i < p->source.n_kernels && p->lacks_routines; i++)
    p->on_host[i] = p->on_host[i] || is_routine(p, i);
  return p->lacks_routines;
}

// A driver may allow a kernel smaller groups than the device.
static bool runs(const rt_opencl_program *p, size_t i) {
  const cl_api *api = &p->cl->api;
  size_t most = 0;
  cl_int code;
  cl_kernel k =
      api->clCreateKernel(p->program, rt_string(p->plan, RT_ARRAY(p->plan, rt_kernel_info, kernels)[i].name), &code);
  if (code) return false;
  code = api->clGetKernelWorkGroupInfo(k, p->cl->ids[p->number], CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
  api->clReleaseKernel(k);
  return !code && p->source.kernels[i].lanes <= most;
}

static void try_routines(rt_opencl_program *p) {
  for (size_t i = 0; i < p->source.n_kernels; i++)
    if (is_routine(p, i) && !p->on_host[i]) p->on_host[i] = !runs(p, i);
}

static rt_status build(rt_opencl_program *p, const void *binary, size_t binary_bytes, char *log, rt_error *err) {
  cl_int code;
  const cl_api *api = &p->cl->api;
  const cl_device_id id = p->cl->ids[p->number];
  if (p->cl->adopted) code = api->clRetainContext(p->cl->adopted), p->context = code ? NULL : p->cl->adopted;
  else p->context = api->clCreateContext(NULL, 1, &id, NULL, NULL, &code);
  if (code) return rt_cl_fail(err, code, "opening the OpenCL device");
  rt_status status = create_program(p, binary, binary_bytes, err);
  if (status) return status;
  code = run_compiler(p, "");
  read_log(p, log);
  if (code && !binary && has_routines(p) && build_without_routines(p)) return RT_OK;
  if (!code) {
    try_routines(p);
    return RT_OK;
  }
  status = rt_cl_fail(err, code, "building OpenCL kernels");
  return binary ? RT_E_INVALID : status;
}

rt_status rt_opencl_build(rt_opencl_program **out, rt_opencl *cl, uint32_t device, const rt_plan *plan,
                          const rt_opencl_source *source, const void *binary, size_t binary_bytes, char *log,
                          rt_error *err) {
  *out = NULL;
  log[0] = 0;
  if (err) err->text[0] = 0;
  rt_opencl_program *p = calloc(1, sizeof *p);
  if (!p) return rt_fail(err, RT_E_MEMORY, "out of memory");
  *p = (rt_opencl_program){.device = rt_opencl_functions, .cl = cl, .number = device, .plan = plan, .source = *source};
  p->on_host = calloc(source->n_kernels + 1, sizeof *p->on_host);
  rt_status status = p->on_host ? check_kernels(p, err) : rt_fail(err, RT_E_MEMORY, "out of memory");
  if (!status) status = build(p, binary, binary_bytes, log, err);
  if (status) rt_opencl_program_free(p);
  else *out = p;
  return status;
}

void rt_opencl_program_free(rt_opencl_program *p) {
  if (!p) return;
  if (p->program) p->cl->api.clReleaseProgram(p->program);
  if (p->context) p->cl->api.clReleaseContext(p->context);
  free(p->on_host);
  free(p);
}

const rt_device *rt_opencl_program_device(const rt_opencl_program *p) { return &p->device; }

bool rt_opencl_on_host(const rt_opencl_program *p, uint32_t kernel) { return p->on_host[kernel]; }
bool rt_opencl_lacks_routines(const rt_opencl_program *p) { return p->lacks_routines; }

size_t rt_opencl_binary_bytes(const rt_opencl_program *p) {
  size_t n = 0;
  if (p->lacks_routines) return 0; // who loads it would look for them
  return p->cl->api.clGetProgramInfo(p->program, CL_PROGRAM_BINARY_SIZES, sizeof n, &n, NULL) ? 0 : n;
}

bool rt_opencl_binary(const rt_opencl_program *p, void *to, size_t bytes) {
  unsigned char *at = to;
  return bytes > 0 && bytes == rt_opencl_binary_bytes(p) &&
         !p->cl->api.clGetProgramInfo(p->program, CL_PROGRAM_BINARIES, sizeof at, &at, NULL);
}
