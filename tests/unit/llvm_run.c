#define _GNU_SOURCE
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"

const char *const llvm_levels[LLVM_N_LEVELS] = {"x86-64", "x86-64-v3", "x86-64-v4"};

bool llvm_runnable(const char *level) { return target_supported(target_find(level)); }

int llvm_setup(void **state) {
  llvm_run *f = calloc(1, sizeof *f);
  if (f == NULL) return -1;
  f->a = arena_new(NULL);
  diag_init(&f->l, f->a);
  f->llvm = nnc_llvm_backend();
  *state = f;
  return f->llvm->jit_new(&f->l, &f->jit) ? 0 : -1;
}

int llvm_teardown(void **state) {
  llvm_run *f = *state;
  f->llvm->jit_free(f->jit);
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
  static int n_loaded; // names in one jit are distinct
  k->name = str_fmt(f->a, "%s_%d", k->name, n_loaded++);
  llvm_object o;
  if (!f->llvm->compile(f->a, &f->l, target_find(level), 1, &k, &o)) fail_msg("%s", llvm_messages(f));
  if (!f->llvm->jit_add(f->jit, &f->l, o.bytes)) fail_msg("%s", llvm_messages(f));
  void *p = f->llvm->jit_find(f->jit, &f->l, k->name);
  if (p == NULL) fail_msg("%s", llvm_messages(f));
  llvm_code c = {.k = k};
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
