// See zoo.h. A folder MODEL-NAME holds the config and weights of a small checkpoint of models/transformer/MODEL.yaml,
// and cases.safetensors: tensors CASE.in.INPUT and CASE.out.OUTPUT by the model's own names.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "zoo/zoo.h"
#include "frontend/safetensors.h"
#include "ir/target.h"
#include "nnc/nnc.h"

// f32 against f64, over two layers.
static const double BOUND = 2e-5;

enum { MAX_TENSORS = 8 };

typedef struct checkpoint {
  arena *a;
  const char *folder;
  const st_file *cases;
} checkpoint;

nnc_module *zoo_open(const char *path, const nnc_compile_options *o) {
  nnc_module *m;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_open(&m, path, o, &d);
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++) {
    const nnc_diagnostic *said = nnc_diagnostics_get(d, i);
    if (said->severity == NNC_ERROR) print_error("%s", said->text);
    assert_string_not_equal(said->id, "attention_not_tiled");
  }
  nnc_diagnostics_free(d);
  assert_int_equal(status, NNC_OK);
  return m;
}

static nnc_module *compile(const checkpoint *c, const char *cpu) {
  const char *name = strrchr(c->folder, '/') + 1;
  const char *model = str_fmt(c->a, "%s/models/transformer/%.*s.yaml", NNC_SOURCE_DIR, (int)strcspn(name, "-"), name);
  const char *config[] = {str_fmt(c->a, "%s/config.json", c->folder),
                          str_fmt(c->a, "base=%s/config.base.json", c->folder)};
  const char *weights[] = {str_fmt(c->a, "%s/model.safetensors", c->folder),
                           str_fmt(c->a, "%s/medusa_lm_head.safetensors", c->folder)};
  bool heads = strncmp(name, "medusa-", 7) == 0; // beside the model that they sit on
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.cpu = cpu;
  o.configs = config, o.n_configs = heads ? 2 : 1;
  o.weights = weights, o.n_weights = heads ? 2 : 1;
  return zoo_open(model, &o);
}

static const st_tensor *part(const checkpoint *c, const char *name, const char *way, const char *what) {
  const char *full = str_fmt(c->a, "%s.%s.%s", name, way, what);
  const st_tensor *t = st_find(c->cases, full);
  if (!t) fail_msg("%s: no tensor %s", c->folder, full);
  return t;
}

static nnc_tensor tensor_of(const checkpoint *c, const st_tensor *t) {
  nnc_dtype type = t->dt == DT_f32 ? NNC_F32 : t->dt == DT_bool ? NNC_BOOL : NNC_I32;
  return nnc_tensor_of(type, st_copy(c->a, t)->data, t->rank, t->dim);
}

double zoo_error(const float *got, const float *want, size_t n) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    if (isnan(got[i]) != isnan(want[i])) return INFINITY;
    if (isnan(want[i])) continue;
    worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
    largest = fmax(largest, fabs((double)want[i]));
  }
  return largest > 0 ? worst / largest : worst;
}

static void run_case(const checkpoint *c, const nnc_module *m, nnc_session *s, const char *name) {
  nnc_tensor in[MAX_TENSORS], out[MAX_TENSORS];
  const float *want[MAX_TENSORS];
  size_t n_in = nnc_module_input_count(m, 0), n_out = nnc_module_output_count(m, 0), count[MAX_TENSORS];
  assert_true(n_in <= MAX_TENSORS && n_out <= MAX_TENSORS);
  nnc_tensor_info info;
  for (size_t i = 0; i < n_in; i++) {
    assert_int_equal(nnc_module_input(m, 0, i, &info), NNC_OK);
    in[i] = tensor_of(c, part(c, name, "in", info.name));
  }
  for (size_t i = 0; i < n_out; i++) {
    assert_int_equal(nnc_module_output(m, 0, i, &info), NNC_OK);
    const st_tensor *t = part(c, name, "out", info.name);
    want[i] = st_copy(c->a, t)->data;
    count[i] = 1;
    for (uint32_t k = 0; k < t->rank; k++) count[i] *= (size_t)t->dim[k];
    out[i] = nnc_tensor_of(NNC_F32, arena_alloc(c->a, count[i] * sizeof(float)), t->rank, t->dim);
  }
  if (nnc_run(s, 0, in, n_in, out, n_out)) fail_msg("%s, case %s: %s", c->folder, name, nnc_session_error(s));
  for (size_t i = 0; i < n_out; i++) {
    double e = zoo_error(out[i].data, want[i], count[i]);
    if (!(e < BOUND)) fail_msg("%s, case %s: output %zu errs by %g of the largest", c->folder, name, i, e);
  }
}

static void run_checkpoint(const checkpoint *c, const char *cpu) {
  nnc_module *m = compile(c, cpu);
  nnc_session *s;
  size_t n = 0;
  nnc_tensor_info first;
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  assert_int_equal(nnc_module_output(m, 0, 0, &first), NNC_OK);
  const char *end = str_fmt(c->a, ".out.%s", first.name);
  for (size_t i = 0; i < st_count(c->cases); i++) {
    const char *name = st_at(c->cases, i)->name, *dot = strchr(name, '.');
    if (!dot || strcmp(dot, end) != 0) continue;
    run_case(c, m, s, str_dup(c->a, (str){name, (size_t)(dot - name)}));
    n++;
  }
  nnc_session_free(s);
  nnc_module_free(m);
  assert_true(n > 0);
}

static void load(checkpoint *c) {
  diag_list d;
  diag_init(&d, c->a);
  c->cases = st_open(c->a, &d, str_fmt(c->a, "%s/cases.safetensors", c->folder));
  assert_non_null(c->cases);
}

static void run_folder(const char *folder, const char *cpu) {
  checkpoint c = {.a = arena_new(NULL), .folder = folder};
  assert_non_null(c.a);
  if (setjmp(*arena_guard(c.a))) fail_msg("out of memory");
  load(&c);
  run_checkpoint(&c, cpu);
  arena_free(c.a);
}

// A sanitizer sees the compiler, which is the same at every level, and takes its time: there the baseline is left out.
#ifdef __SANITIZE_ADDRESS__
static size_t first_level(void) { return target_supported(target_find("x86-64-v3")); }
#else
static size_t first_level(void) { return 0; }
#endif

void zoo_check(const char *model) {
  static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};
  char pattern[sizeof NNC_SOURCE_DIR + 64];
  glob_t found;
  snprintf(pattern, sizeof pattern, NNC_SOURCE_DIR "/tests/zoo/%s-*", model);
  assert_int_equal(glob(pattern, 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++)
    for (size_t l = first_level(); l < sizeof levels / sizeof *levels; l++)
      if (target_supported(target_find(levels[l]))) run_folder(found.gl_pathv[i], levels[l]);
  globfree(&found);
}
