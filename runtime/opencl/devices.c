// The devices of all platforms, with the limits that anything here reads: see opencl.h.
#include "runtime/opencl/loader.h"
#include "runtime/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Of OpenCL 2.1 and of cl_khr_subgroups; headers of 1.2 have neither.
enum { MAX_NUM_SUB_GROUPS = 0x105C, MOST_PLATFORMS = 64, MOST_DEVICES = 64, MOST_EXTENSIONS = 16384 };

enum { MOST_TEXT = 4096 };

// One line of at most `size` bytes, cut there, as it goes into messages; nothing where the driver does not tell.
static void keep_line(cl_int code, const char *all, char *to, size_t size) {
  snprintf(to, size, "%.*s", code ? 0 : (int)strcspn(all, "\r\n"), all);
}

static void device_text(const cl_api *api, cl_device_id d, cl_device_info what, char *to, size_t size) {
  char all[MOST_TEXT] = "";
  keep_line(api->clGetDeviceInfo(d, what, sizeof all - 1, all, NULL), all, to, size);
}

static void platform_text(const cl_api *api, cl_platform_id p, cl_platform_info what, char *to, size_t size) {
  char all[MOST_TEXT] = "";
  keep_line(api->clGetPlatformInfo(p, what, sizeof all - 1, all, NULL), all, to, size);
}

// A number of the given type; 0 where the driver does not tell.
#define DEFINE_NUMBER(T)                                                                                               \
  static T ask_##T(const cl_api *api, cl_device_id d, cl_device_info what) {                                           \
    T v = 0;                                                                                                           \
    return api->clGetDeviceInfo(d, what, sizeof v, &v, NULL) ? 0 : v;                                                  \
  }
DEFINE_NUMBER(cl_uint)
DEFINE_NUMBER(cl_ulong)
DEFINE_NUMBER(cl_bool)
DEFINE_NUMBER(size_t)

static bool has_word(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += n)
    if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
  return false;
}

static void read_extensions(const cl_api *api, cl_device_id id, rt_opencl_device *d) {
  char *list = calloc(1, MOST_EXTENSIONS);
  if (list && !api->clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, MOST_EXTENSIONS - 1, list, NULL)) {
    d->fp16 = has_word(list, "cl_khr_fp16");
    d->fp64 = has_word(list, "cl_khr_fp64");
    d->nvidia_assembly = has_word(list, "cl_nv_compiler_options") || has_word(list, "cl_nv_device_attribute_query");
    if (!has_word(list, "cl_khr_subgroups") && !has_word(list, "cl_intel_subgroups")) d->max_subgroups = 0;
  }
  free(list);
}

static void read_device(const cl_api *api, cl_platform_id p, cl_device_id id, rt_opencl_device *d) {
  cl_device_type type = 0;
  cl_device_local_mem_type local = 0;
  cl_device_fp_config floats = 0;
  size_t items[16] = {0};
  platform_text(api, p, CL_PLATFORM_NAME, d->platform, sizeof d->platform);
  platform_text(api, p, CL_PLATFORM_VERSION, d->platform_version, sizeof d->platform_version);
  device_text(api, id, CL_DEVICE_NAME, d->name, sizeof d->name);
  device_text(api, id, CL_DEVICE_VENDOR, d->vendor, sizeof d->vendor);
  device_text(api, id, CL_DRIVER_VERSION, d->driver, sizeof d->driver);
  device_text(api, id, CL_DEVICE_OPENCL_C_VERSION, d->c_version, sizeof d->c_version);
  if (!api->clGetDeviceInfo(id, CL_DEVICE_TYPE, sizeof type, &type, NULL))
    d->type = type & CL_DEVICE_TYPE_GPU           ? RT_OPENCL_gpu
              : type & CL_DEVICE_TYPE_ACCELERATOR ? RT_OPENCL_accelerator
              : type & CL_DEVICE_TYPE_CPU         ? RT_OPENCL_cpu
                                                  : RT_OPENCL_other;
  d->available = ask_cl_bool(api, id, CL_DEVICE_AVAILABLE);
  d->has_compiler = ask_cl_bool(api, id, CL_DEVICE_COMPILER_AVAILABLE);
  d->little_endian = ask_cl_bool(api, id, CL_DEVICE_ENDIAN_LITTLE);
  d->compute_units = ask_cl_uint(api, id, CL_DEVICE_MAX_COMPUTE_UNITS);
  d->clock_mhz = ask_cl_uint(api, id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  d->address_bits = ask_cl_uint(api, id, CL_DEVICE_ADDRESS_BITS);
  d->vector_f32 = ask_cl_uint(api, id, CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT);
  d->max_subgroups = ask_cl_uint(api, id, MAX_NUM_SUB_GROUPS);
  d->memory_bytes = ask_cl_ulong(api, id, CL_DEVICE_GLOBAL_MEM_SIZE);
  d->max_alloc_bytes = ask_cl_ulong(api, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  d->local_bytes = ask_cl_ulong(api, id, CL_DEVICE_LOCAL_MEM_SIZE);
  d->constant_bytes = ask_cl_ulong(api, id, CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE);
  if (!api->clGetDeviceInfo(id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof floats, &floats, NULL))
    d->exact_division = (floats & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT) != 0;
  d->max_group = ask_size_t(api, id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  if (!api->clGetDeviceInfo(id, CL_DEVICE_LOCAL_MEM_TYPE, sizeof local, &local, NULL))
    d->local_is_memory = local == CL_GLOBAL;
  if (!api->clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL)) d->max_items = items[0];
  read_extensions(api, id, d);
}

static rt_status list_platform(rt_opencl *cl, cl_platform_id p, rt_error *err) {
  cl_device_id ids[MOST_DEVICES];
  cl_uint n = 0;
  // one platform that fails, or has nothing, does not hide the others
  if (cl->api.clGetDeviceIDs(p, CL_DEVICE_TYPE_ALL, MOST_DEVICES, ids, &n) || n == 0) return RT_OK;
  if (n > MOST_DEVICES) n = MOST_DEVICES;
  rt_opencl_device *devices = realloc(cl->devices, (cl->n_devices + n) * sizeof *devices);
  if (devices) cl->devices = devices;
  cl_device_id *all = realloc(cl->ids, (cl->n_devices + n) * sizeof(cl_device_id));
  if (all) cl->ids = all;
  if (!devices || !all) return rt_fail(err, RT_E_MEMORY, "out of memory");
  for (cl_uint i = 0; i < n; i++) {
    rt_opencl_device *d = &cl->devices[cl->n_devices];
    *d = (rt_opencl_device){0};
    read_device(&cl->api, p, ids[i], d);
    cl->ids[cl->n_devices++] = ids[i];
  }
  return RT_OK;
}

rt_status rt_cl_list_devices(rt_opencl *cl, rt_error *err) {
  cl_platform_id platforms[MOST_PLATFORMS];
  cl_uint n = 0;
  cl_int code = cl->api.clGetPlatformIDs(MOST_PLATFORMS, platforms, &n);
  if (code == -1001 || code == CL_DEVICE_NOT_FOUND || (!code && n == 0))
    return rt_fail(err, RT_E_DEVICE, "there is no OpenCL device: no driver is installed (Debian: pocl-opencl-icd)");
  if (code) return rt_cl_fail(err, code, "listing OpenCL platforms");
  rt_status status = RT_OK;
  for (cl_uint i = 0; i < n && i < MOST_PLATFORMS && !status; i++) status = list_platform(cl, platforms[i], err);
  if (!status && cl->n_devices == 0)
    return rt_fail(err, RT_E_DEVICE, "there is no OpenCL device: no installed driver has one");
  return status;
}

uint32_t rt_opencl_count(const rt_opencl *cl) { return cl->n_devices; }
const rt_opencl_device *rt_opencl_get(const rt_opencl *cl, uint32_t i) { return &cl->devices[i]; }

const char *rt_opencl_type_name(rt_opencl_type t) {
  static const char *const names[] = {"cpu", "gpu", "accelerator", "other"};
  return names[t];
}

// -- choosing one --

static const uint32_t ANY = UINT32_MAX;

static bool parse_name(const char *text, uint32_t *number) {
  static const char word[] = "opencl";
  size_t n = sizeof word - 1;
  *number = ANY;
  if (strncmp(text, word, n) != 0) return false;
  if (!text[n]) return true;
  const char *digits = text + n + 1;
  size_t length = strspn(digits, "0123456789");
  if (text[n] != ':' || length == 0 || length > 5 || digits[length]) return false;
  *number = (uint32_t)strtoul(digits, NULL, 10);
  return true;
}

bool rt_opencl_names(const char *text) {
  uint32_t number;
  return parse_name(text, &number);
}

static rt_status check_usable(const rt_opencl *cl, uint32_t number, rt_error *err) {
  const rt_opencl_device *d = &cl->devices[number];
  if (!d->available) return rt_fail(err, RT_E_DEVICE, "OpenCL device %u, %s, is not available", number, d->name);
  if (!d->has_compiler)
    return rt_fail(err, RT_E_DEVICE, "OpenCL device %u, %s: its driver has no compiler", number, d->name);
  if (!d->little_endian)
    return rt_fail(err, RT_E_DEVICE, "OpenCL device %u, %s, is not little-endian", number, d->name);
  return RT_OK;
}

bool rt_opencl_find_gpu(const rt_opencl *cl, uint32_t *device) {
  rt_error ignored;
  for (*device = 0; *device < cl->n_devices; ++*device)
    if (cl->devices[*device].type == RT_OPENCL_gpu && !check_usable(cl, *device, &ignored)) return true;
  return false;
}

rt_status rt_opencl_find(const rt_opencl *cl, const char *text, uint32_t *device, rt_error *err) {
  uint32_t number;
  if (!parse_name(text, &number)) return rt_fail(err, RT_E_INVALID, "there is no device `%s`", text);
  if (number == ANY && !rt_opencl_find_gpu(cl, &number)) number = 0;
  if (number >= cl->n_devices)
    return rt_fail(err, RT_E_DEVICE, "there is no OpenCL device %u: the last one is %u", number, cl->n_devices - 1);
  *device = number;
  return check_usable(cl, number, err);
}
