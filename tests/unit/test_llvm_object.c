// The back end around the kernels: what objects hold, threads, memory failure.
#include "counting_source.h"
#include "llvm_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <elf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/pool.h"

// -- objects --

typedef struct symbols {
  const Elf64_Sym *at;
  size_t n;
  const char *names;
} symbols;

static symbols symbols_of(str object) {
  const Elf64_Ehdr *h = (const void *)object.p;
  const Elf64_Shdr *s = (const void *)(object.p + h->e_shoff);
  for (size_t i = 0; i < h->e_shnum; i++) {
    if (s[i].sh_type != SHT_SYMTAB) continue;
    return (symbols){(const void *)(object.p + s[i].sh_offset), s[i].sh_size / sizeof(Elf64_Sym),
                     object.p + s[s[i].sh_link].sh_offset};
  }
  fail_msg("no symbol table");
  return (symbols){NULL, 0, NULL};
}

static void test_kernels_are_hidden(void **state) {
  llvm_run *f = *state;
  symbols s = symbols_of(llvm_bytes(f, "x86-64-v3", llvm_parse(f, llvm_add_one)));
  size_t n_found = 0;
  for (size_t i = 0; i < s.n; i++) {
    if (strcmp(s.names + s.at[i].st_name, "add_one") != 0) continue;
    n_found++;
    assert_int_equal(ELF64_ST_VISIBILITY(s.at[i].st_other), STV_HIDDEN);
    assert_int_equal(ELF64_ST_BIND(s.at[i].st_info), STB_GLOBAL);
  }
  assert_int_equal(n_found, 1);
}

// A kernel with every elementwise operator of a float dtype.
static kir_kernel *all_operators(llvm_run *f, const char *dt) {
  strbuf b;
  sb_init(&b, f->a);
  sb_fmt(&b, "kernel all in x %s[40] in y %s[40] out z %s[40] out w bool[40] out v i64[40]\n{\n", dt, dt, dt);
  sb_fmt(&b, "%%0 = load x[c] : %s 1x37\n%%1 = load y[c] : %s 1x37\n", dt, dt);
  for (int o = 0; o < OP_COUNT; o++) {
    const op_info *info = op_get((op_code)o);
    bool floats = !op_has((op_code)o, OPF_BOOLEAN) && !op_has((op_code)o, OPF_I32);
    if ((info->cls != OPC_unary && info->cls != OPC_binary) || !floats) continue;
    sb_fmt(&b, "%%r%s = %s %%0%s\n", info->name, info->name, info->min_in == 2 ? ", %1" : "");
    sb_fmt(&b, "store %s[c] = %%r%s\n", op_has((op_code)o, OPF_CMP) ? "w" : "z", info->name);
  }
  sb_z(&b, "%8 = convert %0 to i64\nstore v[c] = %8\n%9 = convert %8 to ");
  sb_fmt(&b, "%s\nstore z[c] = %%9\n}\n", dt);
  return llvm_parse(f, sb_cstr(&b));
}

// Kernels of f32, f16 and bf16 call nothing at any level; those of f64 call libm and nothing else.
static void test_what_kernels_call(void **state) {
  llvm_run *f = *state;
  static const char *const dtypes[] = {"f32", "f16", "bf16", "f64"};
  static const char allowed[] = " exp expm1 log log1p sin cos tan atan tanh erf erfc pow fmod ";
  for (size_t l = 0; l < LLVM_N_LEVELS; l++) {
    for (size_t d = 0; d < 4; d++) {
      symbols s = symbols_of(llvm_bytes(f, llvm_levels[l], all_operators(f, dtypes[d])));
      size_t n_outside = 0;
      for (size_t i = 1; i < s.n; i++) {
        if (s.at[i].st_shndx != SHN_UNDEF) continue;
        const char *name = s.names + s.at[i].st_name;
        if (d < 3 || strstr(allowed, str_fmt(f->a, " %s ", name)) == NULL)
          fail_msg("%s at %s calls %s", dtypes[d], llvm_levels[l], name);
        n_outside++;
      }
      assert_true(d < 3 ? n_outside == 0 : n_outside == 13);
    }
  }
}

static void test_dump(void **state) {
  llvm_run *f = *state;
  kir_kernel *k = llvm_parse(f, llvm_add_one);
  strbuf ir, assembly;
  sb_init(&ir, f->a);
  sb_init(&assembly, f->a);
  assert_true(f->llvm->dump(f->a, &f->l, target_find("x86-64-v4"), 1, &k, false, &ir));
  assert_true(f->llvm->dump(f->a, &f->l, target_find("x86-64-v4"), 1, &k, true, &assembly));
  assert_non_null(strstr(sb_cstr(&ir), "define hidden void @add_one("));
  assert_non_null(strstr(sb_cstr(&assembly), "vaddss"));
  assert_int_equal(f->llvm->abi, NNC_LLVM_ABI);
  assert_int_equal(strncmp(f->llvm->version, "19.", 3), 0);
}

// A loop's counter is hidden from LLVM's scalar evolution; in an innermost loop its multiples are added up, in others
// they are products.
static void test_counters(void **state) {
  llvm_run *f = *state;
  static const char *const loops[] = {"for i in 0..n step 1 {\n%0 = load x[24*i] : f32 1x1\nstore y[i] = %0\n}\n",
                                      "for i in 0..n step 1 {\n%0 = load x[24*i] : f32 1x1\n"
                                      "for j in 0..n step 1 {\nstore y[j] = %0\n}\n}\n"};
  for (int nested = 0; nested < 2; nested++) {
    kir_kernel *k =
        llvm_parse(f, str_fmt(f->a, "kernel k in x f32[24*n] out y f32[n]\nfact n in 1..9\n{\n%s}\n", loops[nested]));
    strbuf ir;
    sb_init(&ir, f->a);
    assert_true(f->llvm->dump(f->a, &f->l, target_find("x86-64-v3"), 1, &k, false, &ir));
    const char *phi = strstr(sb_cstr(&ir), "%i = phi");
    assert_non_null(phi);
    assert_non_null(strstr(phi, "freeze i64 %i"));
    assert_true((strstr(phi, "mul nsw i64 24") != NULL) == (nested == 1));
  }
}

static void test_refusals(void **state) {
  llvm_run *f = *state;
  llvm_objects o;
  kir_kernel *k = llvm_parse(
      f, "kernel gpu in x f32[16] out y f32[16] workers w: 16\n{\n%0 = load x[w] : f32 1x1\nstore y[w] = %0\n}\n");
  assert_false(f->llvm->compile(f->a, &f->l, target_find("x86-64-v3"), NULL, 1, &k, &o));
  assert_true(llvm_reported(f, DIAG_ID_codegen_workers, "16"));
  k = llvm_parse(
      f, "kernel big out y f32[1] group S f32[1000000,1000000]\n{\n%0 = const 0 : f32 1x1\nstore S[0, 0] = %0\n}\n");
  assert_false(f->llvm->compile(f->a, &f->l, target_find("x86-64-v3"), NULL, 1, &k, &o));
  assert_true(llvm_reported(f, DIAG_ID_codegen_scratch, "`S`"));
  kir_kernel *twice[] = {llvm_parse(f, llvm_add_one), llvm_parse(f, llvm_add_one)};
  strbuf ir;
  sb_init(&ir, f->a);
  assert_false(f->llvm->dump(f->a, &f->l, target_find("x86-64-v3"), 2, twice, false, &ir)); // one module
  assert_true(llvm_reported(f, DIAG_ID_codegen_name, "add_one"));
  twice[0]->name = "pow"; // of libm
  assert_false(f->llvm->compile(f->a, &f->l, target_find("x86-64-v3"), NULL, 1, twice, &o));
  assert_true(llvm_reported(f, DIAG_ID_codegen_name, "pow"));
}

// -- threads: compiling is re-entrant, and gives the same bytes everywhere --

typedef struct worker {
  llvm_run *f;
  str object;
  pthread_t thread;
} worker;

static void *work(void *user) {
  worker *w = user;
  w->object = llvm_bytes(w->f, "x86-64-v4", llvm_kernel_file(w->f, "attention_cpu"));
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  enum { N = 3 };
  worker w[N];
  for (size_t i = 0; i < N; i++) {
    void *s;
    assert_int_equal(llvm_setup(&s), 0);
    w[i].f = s;
    assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
  }
  for (size_t i = 0; i < N; i++) pthread_join(w[i].thread, NULL);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(w[i].object.n, w[0].object.n);
    assert_memory_equal(w[i].object.p, w[0].object.p, w[0].object.n);
  }
  for (size_t i = 0; i < N; i++) {
    void *s = w[i].f;
    llvm_teardown(&s);
  }
}

static void run_on_pool(void *pool, int64_t n_items, int64_t chunk,
                        void (*fn)(void *user, int64_t begin, int64_t end, unsigned worker), void *user) {
  rt_pool_run(pool, n_items, chunk, fn, user);
}

// One compile on three threads gives the bytes of one thread, object by object; small kernels share one.
static void test_parallel(void **state) {
  llvm_run *f = *state;
  enum { N = 7 };
  kir_kernel *k[N];
  for (size_t i = 0; i < N; i++) {
    k[i] = i % 3 ? llvm_parse(f, llvm_add_one) : llvm_kernel_file(f, i % 2 ? "attention_cpu" : "softmax");
    k[i]->name = str_fmt(f->a, "k%zu", i);
  }
  llvm_objects alone, together;
  rt_pool *pool = rt_pool_new(3);
  const llvm_threads threads = {run_on_pool, pool, rt_pool_threads(pool)};
  assert_true(f->llvm->compile(f->a, &f->l, target_find("x86-64-v3"), NULL, N, k, &alone));
  assert_true(f->llvm->compile(f->a, &f->l, target_find("x86-64-v3"), &threads, N, k, &together));
  rt_pool_free(pool);
  assert_int_equal(alone.n_objects, together.n_objects);
  assert_int_equal(alone.n_objects, 3); // kernels 0; 1 to 3; 4 to 6
  for (size_t i = 0; i < alone.n_objects; i++) {
    assert_int_equal(alone.object[i].n, together.object[i].n);
    assert_memory_equal(alone.object[i].p, together.object[i].p, alone.object[i].n);
  }
  for (size_t i = 0; i < N; i++) assert_int_equal(alone.scratch_bytes[i], together.scratch_bytes[i]);
}

// -- memory failure: every allocation refused once; nothing stays behind --

typedef struct attempt {
  llvm_run *f;
  kir_kernel *k;
  diag_list l;
  bool ok;
} attempt;

static void try_compile(arena *a, void *user) {
  attempt *t = user;
  llvm_objects o;
  diag_init(&t->l, a);
  t->ok = t->f->llvm->compile(a, &t->l, target_find("x86-64"), NULL, 1, &t->k, &o);
}

static void test_memory_failure(void **state) {
  llvm_run *f = *state;
  attempt t = {.f = f, .k = llvm_kernel_file(f, "softmax")};
  size_t n_failed = 0;
  for (size_t fail_at = 2;; fail_at++) {
    counting_source c;
    counting_source_init(&c, fail_at);
    arena *a = arena_new(&c.source);
    assert_non_null(a);
    t.ok = false;
    int unwound = run_guarded(a, try_compile, &t);
    arena_free(a);
    assert_int_equal(c.n_live, 0);
    if (t.ok) break;
    assert_true(unwound != 0 || t.l.n_errors > 0);
    n_failed++;
  }
  assert_true(n_failed >= 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, llvm_setup, llvm_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(test_kernels_are_hidden), TEST(test_what_kernels_call), TEST(test_dump),
                                     TEST(test_counters),           TEST(test_refusals),          TEST(test_threads),
                                     TEST(test_parallel),           TEST(test_memory_failure)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
