// ELF read and written directly: the loader of kernels on good, damaged and foreign objects; the object of a model and
// weights appended to the library linked from it.
#include "llvm_run.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <elf.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "codegen/elf/elf.h"
#include "ir/libm.h"
#include "runtime/aot.h"

static const char sines[] = "kernel sines in x f64[4] out y f64[4]\n{\n"
                            "%0 = load x[c] : f64 1x4\n%1 = sin %0\nstore y[c] = %1\n}\n";

static kernel_fn find(llvm_run *f, const loaded_code *code, const char *name) {
  void *p = code_find(code, &f->l, name);
  kernel_fn fn;
  memcpy(&fn, &p, sizeof fn);
  return fn;
}

static void add_one_runs(kernel_fn fn) {
  float x[3] = {1, 2, 3}, y[3] = {0, 0, 0};
  int64_t fault = 0;
  fn((void *[]){x, y}, (int64_t[]){3}, (int64_t[]){3}, 0, 3, NULL, &fault);
  assert_true(y[0] == 2 && y[1] == 3 && y[2] == 4);
}

// -- the loader --

static void loads_and_runs(void **state) {
  llvm_run *f = *state;
  const loaded_code *code = code_load(f->a, &f->l, llvm_bytes(f, "x86-64", llvm_parse(f, llvm_add_one)));
  if (!code) fail_msg("%s", llvm_messages(f));
  add_one_runs(find(f, code, "add_one"));
  assert_null(code_find(code, &f->l, "absent"));
  assert_true(llvm_reported(f, DIAG_ID_codegen_jit, "absent"));
}

// A routine of libm is called through its stub, wherever libm lies.
static void calls_libm(void **state) {
  llvm_run *f = *state;
  const loaded_code *code = code_load(f->a, &f->l, llvm_bytes(f, "x86-64", llvm_parse(f, sines)));
  if (!code) fail_msg("%s", llvm_messages(f));
  double x[4] = {0, 0.5, 1, 2}, y[4];
  int64_t fault = 0;
  find(f, code, "sines")((void *[]){x, y}, NULL, NULL, 0, 1, NULL, &fault);
  for (int i = 0; i < 4; i++) assert_true(y[i] == libm_find("sin")->of_one(x[i]));
}

// The code is never writable and executable at once, and not writable once it is loaded.
static void code_is_not_writable(void **state) {
  llvm_run *f = *state;
  const loaded_code *code = code_load(f->a, &f->l, llvm_bytes(f, "x86-64", llvm_parse(f, llvm_add_one)));
  uintptr_t at = (uintptr_t)code_find(code, &f->l, "add_one");
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512], rights[5] = "";
  assert_non_null(maps);
  while (fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    char r[5];
    if (sscanf(line, "%lx-%lx %4s", &from, &to, r) == 3 && at >= from && at < to) memcpy(rights, r, sizeof r);
  }
  fclose(maps);
  assert_string_equal(rights, "r-xp");
}

// The process is out of sight: a symbol that only it has is not found, though dlsym would.
static void knows_libm_only(void **state) {
  llvm_run *f = *state;
  str object = llvm_bytes(f, "x86-64", llvm_parse(f, sines));
  char *bytes = arena_copy(f->a, object.p, object.n);
  for (size_t i = 0; i + 5 < object.n; i++)
    if (memcmp(bytes + i, "\0sin\0", 5) == 0) memcpy(bytes + i + 1, "abs", 3); // of stdlib.h
  assert_null(code_load(f->a, &f->l, (str){bytes, object.n}));
  assert_true(llvm_reported(f, DIAG_ID_codegen_jit, "abs"));
  assert_null(libm_find("malloc"));
}

// Cut at every length, and each byte of its headers and tables changed: refused, or loaded, never a crash.
static void survives_damage(void **state) {
  llvm_run *f = *state;
  str object = llvm_bytes(f, "x86-64", llvm_parse(f, sines));
  size_t n_refused = 0;
  assert_null(code_load(f->a, &f->l, STR("this is no object")));
  assert_true(llvm_reported(f, DIAG_ID_codegen_jit, "damaged"));
  for (size_t n = 0; n < object.n; n++) {
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    const char *cut = arena_copy(a, object.p, n); // a sanitizer sees what lies behind
    n_refused += code_load(a, &l, (str){cut, n}) == NULL;
    arena_free(a);
  }
  assert_true(n_refused == object.n);
  for (size_t i = 0; i < object.n * 3; i++) {
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    arena *a = arena_new(NULL);
    diag_list l;
    diag_init(&l, a);
    char *bytes = arena_copy(a, object.p, object.n);
    bytes[i / 3] = (char)((unsigned char)bytes[i / 3] ^ masks[i % 3]);
    const loaded_code *code = code_load(a, &l, (str){bytes, object.n});
    if (code) code_find(code, &l, "sines");
    arena_free(a);
  }
}

// -- merging --

static size_t count(str bytes, str what) {
  size_t n = 0;
  for (size_t i = 0; i + what.n <= bytes.n; i++) n += memcmp(bytes.p + i, what.p, what.n) == 0;
  return n;
}

// Code, constants and calls of each part work in the whole; what both need is named once.
static void merges(void **state) {
  llvm_run *f = *state;
  kir_kernel *again = llvm_parse(f, sines);
  again->name = "again";
  const str objects[] = {llvm_bytes(f, "x86-64", llvm_parse(f, sines)),
                         llvm_bytes(f, "x86-64", llvm_parse(f, llvm_add_one)), llvm_bytes(f, "x86-64", again)};
  str whole, once_more;
  assert_true(elf_merge(f->a, 3, objects, &whole));
  assert_int_equal(count(whole, (str){"\0sin", 5}), 1);
  assert_true(elf_merge(f->a, 1, &whole, &once_more));
  const str both[] = {whole, once_more};
  for (int i = 0; i < 2; i++) {
    const loaded_code *code = code_load(f->a, &f->l, both[i]);
    if (!code) fail_msg("%s", llvm_messages(f));
    double x[4] = {0, 0.5, 1, 2}, y[4];
    int64_t fault = 0;
    const char *const names[] = {"sines", "again"};
    for (int n = 0; n < 2; n++) {
      memset(y, 0, sizeof y);
      find(f, code, names[n])((void *[]){x, y}, NULL, NULL, 0, 1, NULL, &fault);
      for (int k = 0; k < 4; k++) assert_true(y[k] == libm_find("sin")->of_one(x[k]));
    }
    add_one_runs(find(f, code, "add_one"));
  }
}

// -- libraries --

extern char **environ;

static int run_linker(char *const *args) {
  pid_t pid;
  int status = -1;
  if (posix_spawnp(&pid, args[0], NULL, NULL, args, environ) != 0) return -1;
  waitpid(pid, &status, 0);
  return status;
}

static const char *write_file(scratch *w, const char *name, str bytes) {
  const char *path = scratch_path(w, name);
  assert_true(file_write(w->a, &w->l, path, bytes, 0644));
  return path;
}

static const char *link_model(llvm_run *f, scratch *w, bool has_weights) {
  static const char *const names[] = {"add_one", "add_one", "other"};
  kir_kernel *kernels[] = {llvm_parse(f, llvm_add_one), llvm_parse(f, llvm_add_one)};
  kernels[1]->name = "other";
  llvm_objects objects;
  str code;
  assert_true(f->llvm->compile(f->a, &f->l, target_find("x86-64"), NULL, 2, kernels, &objects));
  assert_true(elf_merge(f->a, objects.n_objects, objects.object, &code));
  str model = model_object(f->a, &(model_parts){RT_AOT_MAGIC, RT_AOT_ABI, 3, names, STR("the plan"),
                                                (const uint64_t[]){7, 8}, has_weights, STR("")});
  const char *library = scratch_path(w, "m.so"), *a = write_file(w, "code.o", code),
             *b = write_file(w, "model.o", model),
             *script = write_file(w, "weights.ld", str_of(has_weights ? elf_weights_script : ""));
  char *args[] = {str_fmt(w->a, "ld"),
                  str_fmt(w->a, "-shared"),
                  str_fmt(w->a, "--fatal-warnings"),
                  str_fmt(w->a, "-o"),
                  str_fmt(w->a, "%s", library),
                  str_fmt(w->a, "%s", a),
                  str_fmt(w->a, "%s", b),
                  str_fmt(w->a, has_weights ? "-T" : "-s"),
                  has_weights ? str_fmt(w->a, "%s", script) : NULL,
                  NULL};
  assert_int_equal(run_linker(args), 0);
  return library;
}

static const rt_aot_model *open_model(const char *library, void **so) {
  *so = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (*so == NULL) fail_msg("%s", dlerror());
  const rt_aot_model *m = dlsym(*so, "nnc_aot_model");
  assert_non_null(m);
  assert_null(dlsym(*so, "add_one"));
  assert_int_equal(m->magic, RT_AOT_MAGIC);
  assert_int_equal(m->abi, RT_AOT_ABI);
  assert_int_equal((uintptr_t)m->plan % 8, 0);
  assert_memory_equal(m->plan, "the plan", 8);
  assert_true(m->layout[0] == 7 && m->layout[1] == 8);
  assert_null(m->device);
  assert_true(m->kernels[0] == m->kernels[1] && m->kernels[1] != m->kernels[2]);
  add_one_runs(m->kernels[2]);
  return m;
}

static void models_link(void **state) {
  llvm_run *f = *state;
  void *w_state, *so;
  assert_int_equal(scratch_open(&w_state), 0);
  scratch *w = w_state;
  const char *library = link_model(f, w, false);
  assert_null(open_model(library, &so)->constants);
  dlclose(so);
  str bytes = scratch_bytes(w, library);
  assert_int_equal(elf_append_weights(arena_copy(w->a, bytes.p, bytes.n), bytes.n, 4096), 0); // it has no such section
  assert_int_equal(scratch_close(&w_state), 0);
}

static void weights_are_appended(void **state) {
  llvm_run *f = *state;
  enum { BYTES = 1000 * 4096 };
  void *w_state, *so;
  assert_int_equal(scratch_open(&w_state), 0);
  scratch *w = w_state;
  const char *library = link_model(f, w, true);
  str bytes = scratch_bytes(w, library);
  char *image = arena_copy(w->a, bytes.p, bytes.n), *weights = arena_alloc(w->a, BYTES);
  for (size_t i = 0; i < BYTES; i++) weights[i] = (char)(i * 7 + i / 4096);
  uint64_t at = elf_append_weights(image, bytes.n, BYTES);
  assert_true(at >= bytes.n && at < bytes.n + 4096 && at % 4096 == 0);
  const str parts[] = {{image, bytes.n}, {arena_alloc(w->a, 4096), at - bytes.n}, {weights, BYTES}};
  assert_true(file_write_all(w->a, &w->l, 1, &(file_output){library, 0755, 3, parts}));
  const rt_aot_model *m = open_model(library, &so);
  assert_int_equal((uintptr_t)m->constants % 4096, 0);
  assert_memory_equal(m->constants, weights, BYTES);
  dlclose(so);
  for (size_t n = 0; n < bytes.n; n += n < 4096 ? 1 : 97) // cut short: told, not followed outside
    elf_append_weights(arena_copy(w->a, bytes.p, n), n, BYTES);
  assert_int_equal(scratch_close(&w_state), 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)
  const struct CMUnitTest tests[] = {TEST(loads_and_runs),  TEST(calls_libm),          TEST(code_is_not_writable),
                                     TEST(knows_libm_only), TEST(survives_damage),     TEST(merges),
                                     TEST(models_link),     TEST(weights_are_appended)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
