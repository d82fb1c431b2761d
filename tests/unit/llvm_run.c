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

const char *llvm_messages(llvm_run *f) { return messages_of(f->a, &f->l); }

kir_kernel *llvm_parse(llvm_run *f, const char *text) {
  kir_kernel *k = kir_parse(f->a, &f->l, diag_add_file(&f->l, "k.kir", str_of(str_dup(f->a, str_of(text)))));
  if (k == NULL || !kir_verify(k, &f->l)) fail_msg("%s", llvm_messages(f));
  return k;
}

kir_kernel *llvm_kernel_file(llvm_run *f, const char *name) {
  kir_kernel *k = kernel_file(f->a, &f->l, name, false);
  if (k == NULL) fail_msg("%s", llvm_messages(f));
  return k;
}

llvm_code llvm_load(llvm_run *f, const char *level, kir_kernel *k) { return llvm_load_for(f, target_find(level), k); }

llvm_code llvm_load_for(llvm_run *f, const target *t, kir_kernel *k) {
  llvm_objects o;
  if (!f->llvm->compile(f->a, &f->l, t, NULL, 1, &k, &o)) fail_msg("%s", llvm_messages(f));
  const loaded_code *code = code_load(f->a, &f->l, o.object[0]);
  void *p = code ? code_find(code, &f->l, k->name) : NULL;
  if (p == NULL) fail_msg("%s", llvm_messages(f));
  llvm_code c = {.k = k, .level = t->name};
  memcpy(&c.fn, &p, sizeof c.fn);
  char *room = arena_alloc(f->a, o.scratch_bytes[0] + 64);
  c.scratch = room + (64 - (uintptr_t)room % 64);
  return c;
}

int64_t llvm_points(const kir_kernel *k, const int64_t *symbols, int64_t grid[3]) {
  int64_t n = 1;
  for (uint32_t i = 0; i < k->n_grid; i++) n *= grid[i] = kernel_eval(k, symbols, k->grid_extent[i]);
  return n;
}

int64_t llvm_call(llvm_code c, void *const *buffers, const int64_t *symbols) {
  int64_t grid[3] = {0}, fault = 0, n = llvm_points(c.k, symbols, grid);
  c.fn(buffers, symbols, grid, 0, n, c.scratch, &fault);
  return fault;
}

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

typedef struct call {
  llvm_run *f;
  llvm_code c;
} call;

static void *fenced(void *user, size_t bytes) { return llvm_fenced(((call *)user)->f, bytes); }

static const char *run_code(void *user, const kir_kernel *k, void *const *buffers, const int64_t *symbols,
                            int64_t *fault) {
  (void)k;
  *fault = llvm_call(((call *)user)->c, buffers, symbols);
  return NULL;
}

void llvm_agree(llvm_run *f, llvm_code c, const int64_t *symbols, double tolerance) {
  call x = {f, c};
  const kernel_engine code = {&x, fenced, run_code};
  const char *why = kernel_judge(f->a, c.k, symbols, tolerance, &code);
  if (why) fail_msg("%s: %s", c.level, why);
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
