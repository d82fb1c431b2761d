// nnc devices: the OpenCL devices of this machine, with every limit that something in nnc reads.
#include "runtime/opencl/opencl.h"
#include "tools/nnc/cli.h"

static void close_opencl(void *cl) { rt_opencl_close(cl); }

static json_t *device_json(const rt_opencl_device *d, uint32_t number, bool matrices) {
  return json_pack(
      "{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:b, "
      "s:b, s:b, s:b}",
      "number", (json_int_t)number, "name", d->name, "type", rt_opencl_type_name(d->type), "vendor", d->vendor,
      "platform", d->platform, "platform_version", d->platform_version, "driver", d->driver, "c_version", d->c_version,
      "available", d->available, "compiler", d->has_compiler, "compute_units", (json_int_t)d->compute_units,
      "clock_mhz", (json_int_t)d->clock_mhz, "address_bits", (json_int_t)d->address_bits, "memory_bytes",
      (json_int_t)d->memory_bytes, "max_alloc_bytes", (json_int_t)d->max_alloc_bytes, "local_bytes",
      (json_int_t)d->local_bytes, "local_is_memory", d->local_is_memory, "max_group", (json_int_t)d->max_group,
      "max_items", (json_int_t)d->max_items, "max_subgroups", (json_int_t)d->max_subgroups, "vector_f32",
      (json_int_t)d->vector_f32, "fp16", d->fp16, "fp64", d->fp64, "exact_division", d->exact_division, "matrices",
      matrices);
}

static void print_device(const cli *c, const rt_opencl_device *d, uint32_t number, bool matrices) {
  printf("opencl:%u  %s, %s\n", number, d->name, rt_opencl_type_name(d->type));
  printf("  driver       %s, %s; %s\n", d->platform, d->driver, d->c_version);
  printf("  memory       %s, at most %s at once; local %s%s\n", bytes_text(c->a, d->memory_bytes),
         bytes_text(c->a, d->max_alloc_bytes), bytes_text(c->a, d->local_bytes),
         d->local_is_memory ? ", which is ordinary memory" : "");
  printf("  work         %u units, %u MHz; groups of at most %llu; float%u", d->compute_units, d->clock_mhz,
         (unsigned long long)d->max_group, d->vector_f32);
  if (d->max_subgroups) printf("; at most %u sub-groups", d->max_subgroups);
  printf("\n  types        f32%s%s%s\n", d->fp16 ? ", f16" : "", d->fp64 ? ", f64" : "",
         matrices ? "; products of bf16 by matrix instructions" : "");
  if (!d->available) printf("  not available\n");
  if (!d->has_compiler) printf("  not usable: its driver has no compiler\n");
}

exit_status cmd_devices(cli *c) {
  rt_opencl *cl;
  rt_error err;
  if (rt_opencl_open(&cl, &err)) {
    diag_at(&c->diags, NO_SPAN, device_failed, "opencl", err.text);
    return fail(c);
  }
  arena_defer(c->a, close_opencl, cl);
  json_t *list = c->opt.json ? json_array() : NULL, *out = c->opt.json ? json_new(c) : NULL;
  if (out) json_object_set_new(out, "devices", list);
  for (uint32_t i = 0; i < rt_opencl_count(cl); i++) {
    bool matrices = rt_opencl_has_matrices(cl, i);
    if (out) json_array_append_new(list, device_json(rt_opencl_get(cl, i), i, matrices));
    else print_device(c, rt_opencl_get(cl, i), i, matrices);
  }
  return out ? print_json(c, out) : EXIT_done;
}
