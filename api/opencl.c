// OpenCL in the compile driver: see opencl.h.
//
// An image for OpenCL holds, where one for a CPU holds machine code, the text of all kernels and what its printer says
// of each. It is for any device: what depends on one, the built program, is a file of its own in the cache. But for
// f64: where the device has none, kernels that need it are compiled for the CPU, from the same kernel IR, and left out
// of the text.
#include "api/opencl.h"
#include "base/pack.h"
#include "runtime/opencl/opencl.h"
#include "runtime/session.h"
#include <string.h>

#define SOURCE_MAGIC UINT64_C(0x31736c636f636e6e)                     // "nncocls1"
static const cache_format format = {UINT64_C(0x31706c636f636e6e), 1}; // "nncoclp1": of a built program
enum { MOST_LOG_LINES = 12, MOST_HOST_STEPS = 8 };

// -- the text --

// The whole text, or what the device can build of it and code for the rest.
static bool make_kernels(compile_job *j, opencl_kernel **rows, strbuf *text, str *code, size_t *scratch_bytes) {
  size_t n = j->set->kernels.n, n_host = 0;
  kir_kernel **bodies = ARENA_ARRAY(j->a, kir_kernel *, n + 1);
  bool *on_host = ARENA_ARRAY(j->a, bool, n + 1), any = false;
  sb_init(text, j->a);
  if (!compile_opencl(j, NULL, rows, text)) return false;
  for (size_t i = 0; i < n; i++) {
    kir_kernel *k = j->set->kernels.at[i];
    on_host[i] = (*rows)[i].needs_fp64 && !rt_opencl_get(j->opencl, j->device_number)->fp64 && !k->n_workers;
    any = any || on_host[i];
    if (on_host[i] && !k->routine) bodies[n_host++] = k;
  }
  if (!any) return true;
  sb_init(text, j->a);
  return compile_opencl(j, on_host, rows, text) && (!n_host || compile_code(j, n_host, bodies, code, scratch_bytes));
}

static uint64_t flags_of(const opencl_kernel *k) {
  return (k->needs_fp64 ? RT_OPENCL_NEEDS_FP64 : 0u) | (k->uses_matrices ? RT_OPENCL_USES_MATRICES : 0u);
}

bool opencl_object(compile_job *j, size_t *scratch_bytes) {
  strbuf text, object;
  opencl_kernel *rows;
  str code = STR("");
  if (!make_kernels(j, &rows, &text, &code, scratch_bytes)) return false;
  sb_init(&object, j->a);
  pack_u64(&object, SOURCE_MAGIC);
  pack_str(&object, STR(OPENCL_BUILD_OPTIONS));
  pack_str(&object, sb_str(&text));
  pack_str(&object, code);
  pack_u64(&object, j->set->kernels.n);
  for (size_t i = 0; i < j->set->kernels.n; i++) {
    const opencl_kernel *row = &rows[i];
    pack_u64(&object, row->lanes);
    pack_u64(&object, flags_of(row) | (j->set->kernels.at[i]->routine ? RT_OPENCL_ROUTINE : 0u));
    pack_u64(&object, row->local_bytes);
    pack_u64(&object, row->scratch_bytes);
  }
  j->object = sb_str(&object);
  return true;
}

static bool read_object(arena *a, const image *m, rt_opencl_source *out, str *code) {
  unpacker u = unpack_begin(m->object);
  bool ours = unpack_u64(&u) == SOURCE_MAGIC;
  out->options = unpack_z(&u);
  str text = unpack_str(&u);
  out->text = text.p, out->text_bytes = text.n;
  *code = unpack_str(&u);
  out->n_kernels = unpack_count(&u, 4 * sizeof(uint64_t));
  rt_opencl_kernel *rows = ARENA_ARRAY(a, rt_opencl_kernel, out->n_kernels + 1);
  for (size_t i = 0; i < out->n_kernels; i++) {
    rows[i].lanes = (uint32_t)unpack_u64(&u);
    rows[i].flags = (uint32_t)unpack_u64(&u);
    rows[i].local_bytes = unpack_u64(&u);
    rows[i].scratch_bytes = unpack_u64(&u);
  }
  out->kernels = rows;
  return ours && unpack_end(&u);
}

// The kernels that the host has, too or alone.
static const bool *host_code(arena *a, const rt_opencl_source *s) {
  bool *has = ARENA_ARRAY(a, bool, s->n_kernels + 1);
  for (size_t i = 0; i < s->n_kernels; i++)
    has[i] = s->kernels[i].lanes == 0 || (s->kernels[i].flags & RT_OPENCL_ROUTINE);
  return has;
}

const bool *opencl_host_kernels(compile_job *j) {
  rt_opencl_source s;
  str code;
  if (!read_object(j->a, &j->image, &s, &code)) return NULL;
  bool *on_host = ARENA_ARRAY(j->a, bool, s.n_kernels + 1);
  for (size_t i = 0; i < s.n_kernels; i++) on_host[i] = s.kernels[i].lanes == 0;
  return on_host;
}

opencl_parts opencl_split(arena *a, const image *m) {
  rt_opencl_source s;
  opencl_parts parts = {.has_code = NULL};
  if (!read_object(a, m, &s, &parts.code)) return parts; // never: the module has been built from it
  size_t rows = s.n_kernels * sizeof *s.kernels, options = strlen(s.options);
  rt_opencl_packed head = {.n_kernels = s.n_kernels, .rows = sizeof head, .text_bytes = s.text_bytes};
  head.options = head.rows + rows;
  head.text = head.options + options + 1;
  head.bytes = head.text + s.text_bytes + 1;
  char *bytes = arena_alloc(a, (size_t)head.bytes); // zeros
  memcpy(bytes, &head, sizeof head);
  memcpy(bytes + head.rows, s.kernels, rows);
  memcpy(bytes + head.options, s.options, options);
  memcpy(bytes + head.text, s.text, s.text_bytes);
  parts.packed = (str){bytes, (size_t)head.bytes};
  parts.has_code = host_code(a, &s);
  return parts;
}

// -- built programs in the cache --

static sha256_digest key_of(const compile_job *j, const rt_opencl_source *s) {
  const rt_opencl_device *d = rt_opencl_get(j->opencl, j->device_number);
  const char *const words[] = {d->platform,
                               d->platform_version,
                               d->name,
                               d->vendor,
                               d->driver,
                               s->options,
                               rt_opencl_device_options(j->opencl, j->device_number, s)};
  sha256 h;
  sha256_init(&h);
  sha256_add_str(&h, STR("nnc opencl program"));
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) sha256_add_str(&h, str_of(words[i]));
  sha256_add_str(&h, (str){s->text, s->text_bytes});
  return sha256_end(&h);
}

bool opencl_program_file_is_whole(arena *a, int fd) { return cache_body_is_whole(a, fd, format); }

static void keep_program(compile_job *j, const sha256_digest *key, const rt_opencl_program *p) {
  size_t n = j->cache->off ? 0 : rt_opencl_binary_bytes(p);
  char *binary = arena_alloc(j->a, n + 1);
  if (n > 0 && rt_opencl_binary(p, binary, n)) cache_put_body(j->cache, CACHE_program, key, format, (str){binary, n});
}

// -- loading --

static void free_program(void *p) { rt_opencl_program_free(p); }

// The first lines of what the driver's compiler says.
static void note_log(compile_job *j, diag *d, const char *log) {
  for (int i = 0; i < MOST_LOG_LINES && *log; i++) {
    size_t n = strcspn(log, "\n");
    if (n) diag_note_to(&j->diags, d, "%.*s", (int)n, log);
    log += n + (log[n] == '\n');
  }
}

// Lives as long as the arena; NULL after a diagnostic.
static rt_opencl_program *build(compile_job *j, const rt_plan *plan, const rt_opencl_source *s) {
  rt_opencl_program *p;
  sha256_digest key = key_of(j, s);
  char *log = arena_alloc(j->a, RT_OPENCL_LOG);
  rt_error err;
  str binary;
  rt_status status = RT_E_INVALID;
  if (cache_find_body(j->cache, CACHE_program, &key, format, &binary)) {
    status = rt_opencl_build(&p, j->opencl, j->device_number, plan, s, binary.p, binary.n, log, &err);
    if (status == RT_E_INVALID) cache_drop(j->cache, CACHE_program, &key);
    j->program_from_cache = !status;
  }
  if (status == RT_E_INVALID) {
    status = rt_opencl_build(&p, j->opencl, j->device_number, plan, s, NULL, 0, log, &err);
    if (!status) keep_program(j, &key, p);
  }
  if (status) {
    note_log(j, diag_at(&j->diags, NO_SPAN, device_failed, j->device, err.text), log);
    return NULL;
  }
  arena_defer(j->a, free_program, p);
  if (rt_opencl_lacks_routines(p)) note_log(j, diag_at(&j->diags, NO_SPAN, device_routines, j->device), log);
  return p;
}

const rt_device *opencl_build(compile_job *j, const rt_plan *plan, const rt_opencl_source *s) {
  const rt_opencl_program *p = build(j, plan, s);
  return p ? rt_opencl_program_device(p) : NULL;
}

// What falls to the CPU is told, the first steps by name.
static void note_host_steps(compile_job *j, const rt_opencl_program *p) {
  const rt_plan *plan = image_plan(&j->image);
  const rt_step *steps = RT_ARRAY(plan, rt_step, steps);
  VEC(const char *) names = {0};
  for (uint64_t i = 0; i < plan->steps.count; i++)
    if (steps[i].kind == RT_STEP_kernel && rt_opencl_on_host(p, steps[i].what))
      vec_push(
          j->a, &names,
          str_fmt(j->a, "%s:%u: `%s`", rt_string(plan, steps[i].file), steps[i].line, rt_string(plan, steps[i].label)));
  if (names.n == 0) return;
  diag *d = diag_at(&j->diags, NO_SPAN, device_host_steps, j->device, (unsigned)names.n, names.n == 1 ? "" : "s");
  for (size_t i = 0; i < names.n && i < MOST_HOST_STEPS; i++) diag_note_to(&j->diags, d, "%s", names.at[i]);
}

bool opencl_load(compile_job *j, rt_kernel *kernels, const rt_device **device) {
  rt_opencl_source *s = ARENA_NEW(j->a, rt_opencl_source);
  str code;
  if (!read_object(j->a, &j->image, s, &code) || s->n_kernels != image_plan(&j->image)->kernels.count ||
      !compile_functions(j, code, host_code(j->a, s), kernels)) {
    diag_at(&j->diags, NO_SPAN, plan_refused, j->path, "its kernels are not those of the plan");
    return false;
  }
  const rt_opencl_program *p = build(j, image_plan(&j->image), s);
  if (!p) return false;
  note_host_steps(j, p);
  *device = rt_opencl_program_device(p);
  return true;
}
