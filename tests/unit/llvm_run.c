#define _GNU_SOURCE
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "codegen/elf/elf.h"

const char *const llvm_levels[LLVM_N_LEVELS] = {"x86-64", "x86-64-v3", "x86-64-v4"};

bool llvm_runnable(const char *level) { return target_supported(target_find(level)); }

int llvm_setup(void **state) {
  llvm_run *f = calloc(1, sizeof *f);
  if (f == NULL) return -1;
  f->a = arena_new(NULL);
  diag_init(&f->l, f->a);
  f->llvm = nnc_llvm_backend();
  *state = f;
  return 0;
}

int llvm_teardown(void **state) {
  llvm_run *f = *state;
  arena_free(f->a);
  free(f);
  return 0;
}

const char *llvm_messages(llvm_run *f) {
  strbuf b;
  sb_init(&b, f->a);
  diag_render_all(&f->l, false, &b);
  return sb_cstr(&b);
}

static kir_kernel *parse(llvm_run *f, const char *name, str text) {
  kir_kernel *k = kir_parse(f->a, &f->l, diag_add_file(&f->l, name, text));
  if (k == NULL || !kir_verify(k, &f->l)) fail_msg("%s", llvm_messages(f));
  return k;
}

kir_kernel *llvm_parse(llvm_run *f, const char *text) { return parse(f, "k.kir", str_of(str_dup(f->a, str_of(text)))); }

kir_kernel *llvm_kernel_file(llvm_run *f, const char *name) {
  const char *path = str_fmt(f->a, "%s/tests/ir/kernels/%s.kir", NNC_SOURCE_DIR, name);
  str text;
  if (!file_read(f->a, &f->l, path, 1 << 20, &text)) fail_msg("cannot read %s", path);
  return parse(f, path, text);
}

llvm_code llvm_load(llvm_run *f, const char *level, kir_kernel *k) {
  llvm_objects o;
  if (!f->llvm->compile(f->a, &f->l, target_find(level), NULL, 1, &k, &o)) fail_msg("%s", llvm_messages(f));
  const loaded_code *code = code_load(f->a, &f->l, o.object[0]);
  void *p = code ? code_find(code, &f->l, k->name) : NULL;
  if (p == NULL) fail_msg("%s", llvm_messages(f));
  llvm_code c = {.k = k, .level = level};
  memcpy(&c.fn, &p, sizeof c.fn);
  char *room = arena_alloc(f->a, o.scratch_bytes[0] + 64);
  c.scratch = room + (64 - (uintptr_t)room % 64);
  return c;
}

typedef struct values {
  const kir_kernel *k;
  const int64_t *symbols;
} values;

static int64_t value_of(void *user, const sym *s) {
  const values *v = user;
  for (size_t i = 0; i < v->k->facts.n; i++) {
    if (v->k->facts.at[i].symbol == s) return v->symbols[i];
  }
  fail_msg("no value for %s", s->name);
  return 0;
}

int64_t llvm_points(llvm_run *f, const kir_kernel *k, const int64_t *symbols, int64_t grid[3]) {
  (void)f;
  values v = {k, symbols};
  idx_env env = {value_of, NULL, &v};
  int64_t n = 1;
  for (uint32_t i = 0; i < k->n_grid; i++) {
    assert_true(idx_eval(k->grid_extent[i], &env, &grid[i]));
    n *= grid[i];
  }
  return n;
}

int64_t llvm_call(llvm_run *f, llvm_code c, void *const *buffers, const int64_t *symbols) {
  int64_t grid[3] = {0}, fault = 0, n = llvm_points(f, c.k, symbols, grid);
  c.fn(buffers, symbols, grid, 0, n, c.scratch, &fault);
  return fault;
}

uint64_t llvm_random(uint64_t *seed) { // splitmix64 (Steele, Lea and Flood 2014)
  uint64_t x = *seed += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

float llvm_uniform(uint64_t *seed) { return (float)((int32_t)(llvm_random(seed) >> 40) - (1 << 23)) * 0x1p-23f; }

typedef struct mapping {
  void *at;
  size_t bytes;
} mapping;

static void unmap(void *p) {
  mapping *m = p;
  munmap(m->at, m->bytes);
}

void *llvm_fenced(llvm_run *f, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), inside = (bytes + page - 1) / page * page;
  char *at = mmap(NULL, inside + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) fail_msg("no memory");
  mapping *m = ARENA_NEW(f->a, mapping);
  *m = (mapping){at, inside + 2 * page};
  arena_defer(f->a, unmap, m);
  if (inside > 0) assert_int_equal(mprotect(at + page, inside, PROT_READ | PROT_WRITE), 0);
  return at + page + inside - bytes;
}

// -- against the interpreter --

static size_t n_elements(const kir_kernel *k, const kir_buffer *b, const int64_t *symbols) {
  values v = {k, symbols};
  idx_env env = {value_of, NULL, &v};
  size_t n = 1;
  for (uint32_t d = 0; d < b->rank; d++) {
    int64_t extent = 0;
    assert_true(idx_eval(b->dim[d], &env, &extent));
    n *= (size_t)extent;
  }
  return n;
}

static void fill(char *p, dtype dt, size_t n, uint64_t *seed) {
  for (size_t i = 0; i < n; i++) {
    scalar v = dtype_is_float(dt) ? scalar_f(dt, (double)llvm_uniform(seed))
                                  : scalar_i(dt, (int64_t)(llvm_random(seed) % 14) - 2);
    scalar_store(p + i * dtype_size(dt), v);
  }
}

static double as_double(scalar s) { return dtype_is_float(s.dt) ? s.v.f : (double)s.v.i; }

static void compare(const char *what, const kir_buffer *b, const char *got, const char *want, size_t n,
                    double tolerance) {
  size_t bytes = dtype_size(b->dt);
  double most = 0;
  for (size_t i = 0; i < n; i++) {
    double v = fabs(as_double(scalar_load(b->dt, want + i * bytes)));
    if (v > most && v < HUGE_VAL) most = v;
  }
  for (size_t i = 0; i < n; i++) {
    scalar x = scalar_load(b->dt, got + i * bytes), y = scalar_load(b->dt, want + i * bytes);
    if (scalar_same(x, y) || fabs(as_double(x) - as_double(y)) <= tolerance * most) continue;
    fail_msg("%s: %s[%zu] is %.9g, not %.9g", what, b->name, i, as_double(x), as_double(y));
  }
}

void llvm_agree(llvm_run *f, llvm_code c, const int64_t *symbols, double tolerance) {
  enum { MOST = 8 };
  void *got[MOST], *want[MOST];
  size_t n[MOST];
  uint64_t seed = 7;
  const kir_kernel *k = c.k;
  assert_true(k->params.n <= MOST);
  for (size_t i = 0; i < k->params.n; i++) {
    const kir_buffer *b = k->params.at[i];
    n[i] = n_elements(k, b, symbols);
    size_t bytes = n[i] * dtype_size(b->dt);
    got[i] = llvm_fenced(f, bytes);
    want[i] = llvm_fenced(f, bytes);
    if (b->space == KIR_out) memset(got[i], 0x7f, bytes);
    else fill(got[i], b->dt, n[i], &seed);
    memcpy(want[i], got[i], bytes);
  }
  int64_t fault = 0;
  if (!kir_run(f->a, k, &f->l, want, symbols, &fault)) fail_msg("%s", llvm_messages(f));
  assert_int_equal(llvm_call(f, c, got, symbols) != 0, fault != 0);
  strbuf b;
  sb_init(&b, f->a);
  sb_fmt(&b, "%s at %s", k->name, c.level);
  for (size_t i = 0; i < k->facts.n; i++) sb_fmt(&b, ", %s = %lld", k->facts.at[i].symbol->name, (long long)symbols[i]);
  for (size_t i = 0; i < k->params.n; i++) compare(sb_cstr(&b), k->params.at[i], got[i], want[i], n[i], tolerance);
}

// -- sweeps --

static const char *replace(llvm_run *f, const char *text, const char *what, const char *with) {
  strbuf b;
  sb_init(&b, f->a);
  for (const char *p = text, *next; *p != '\0'; p = next) {
    bool here = strncmp(p, what, strlen(what)) == 0;
    if (here) sb_z(&b, with);
    else sb_char(&b, *p);
    next = p + (here ? strlen(what) : 1);
  }
  return sb_cstr(&b);
}

void llvm_sweep_one(llvm_run *f, const llvm_sweep *s, const char *dt, double tolerance) {
  for (size_t i = 0; i < LLVM_N_LEVELS; i++) {
    if (!llvm_runnable(llvm_levels[i])) continue;
    llvm_code c = llvm_load(f, llvm_levels[i], llvm_parse(f, replace(f, s->text, "DT", dt)));
    for (int64_t n = s->lo; n <= s->hi; n += s->step) llvm_agree(f, c, &n, tolerance);
  }
}

void llvm_sweep_dtypes(llvm_run *f, const llvm_sweep *s) {
  for (int d = 0; d < DT_COUNT; d++) {
    llvm_sweep here = *s;
    here.text = replace(f, s->text, "ELSE", d == DT_bool ? "true" : "1");
    llvm_sweep_one(f, &here, dtype_name((dtype)d), 0);
  }
}

void llvm_sweeps(llvm_run *f, const llvm_sweep *s, size_t n, double tolerance) {
  for (size_t i = 0; i < n; i++) llvm_sweep_one(f, &s[i], "f32", tolerance);
}

const char llvm_add_one[] = "kernel add_one in x f32[n] out y f32[n] grid i: n fact n in 1..100\n{\n"
                            "%0 = load x[i] : f32 1x1\n%1 = const 1 : f32 1x1\n%2 = add %0, %1\nstore y[i] = %2\n}\n";

str llvm_bytes(llvm_run *f, const char *level, kir_kernel *k) {
  llvm_objects o;
  if (!f->llvm->compile(f->a, &f->l, target_find(level), NULL, 1, &k, &o)) fail_msg("%s", llvm_messages(f));
  return o.object[0];
}

bool llvm_reported(llvm_run *f, diag_id id, const char *part) {
  return f->l.items.n > 0 && vec_last(&f->l.items)->id == id && strstr(vec_last(&f->l.items)->text, part) != NULL;
}
