// The networks that tools/bench measures, on small configs, against what PyTorch computes in f64 of layers written
// apart from these files: tests/ref/gen/networks.py. A folder MODEL holds config, weights and cases of MODEL.yaml.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "frontend/frontend.h"
#include "ir/target.h"
#include "nnc/nnc.h"

#define NETWORKS(M) M(mobilenet_v1) M(mobilenet_v2) M(resnet) M(sd_block) M(vqgan_decoder)

enum { MAX_TENSORS = 4 };

// f32 against f64, of the largest: sums of up to some hundred terms, in at most a dozen layers.
static const double BOUND = 2e-6;

typedef struct network {
  arena *a;
  diag_list diags;
  const char *path, *config, *weights;
  const st_file *cases;
} network;

static void fail_network(network *n, const char *what) {
  strbuf b;
  sb_init(&b, n->a);
  diag_render_all(&n->diags, false, &b);
  fail_msg("%s\n%s", what, sb_cstr(&b));
}

static void load(network *n, const char *name) {
  const char *folder = str_fmt(n->a, "%s/tests/bench/%s", NNC_SOURCE_DIR, name);
  diag_init(&n->diags, n->a);
  n->path = str_fmt(n->a, "%s.yaml", folder);
  n->config = str_fmt(n->a, "%s/config.json", folder);
  n->weights = str_fmt(n->a, "%s/model.safetensors", folder);
  n->cases = st_open(n->a, &n->diags, str_fmt(n->a, "%s/cases.safetensors", folder));
  if (!n->cases) fail_network(n, name);
}

static ir_tensor *part(const network *n, int batch, const char *way, const char *what) {
  const char *full = str_fmt(n->a, "%d.%s.%s", batch, way, what);
  const st_tensor *t = st_find(n->cases, full);
  if (!t) fail_msg("no tensor %s", full);
  return st_copy(n->a, t);
}

static void compare(const char *who, const ir_tensor *got, const ir_tensor *want) {
  assert_int_equal(got->rank, want->rank);
  for (uint32_t i = 0; i < want->rank; i++) assert_int_equal(got->dim[i], want->dim[i]);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < ir_tensor_count(want); i++) {
    double x = ((const float *)got->data)[i], y = ((const float *)want->data)[i];
    if (!isfinite(x)) fail_msg("%s: element %lld is %g", who, (long long)i, x);
    worst = fmax(worst, fabs(x - y)), largest = fmax(largest, fabs(y));
  }
  if (!(worst < BOUND * largest)) fail_msg("%s errs by %g of the largest", who, worst / largest);
}

static void interpret(network *n) {
  frontend_options o = {.n_configs = 1, .configs = &n->config, .n_weights = 1, .weights = &n->weights};
  ir_module *m = frontend_load(n->a, &n->diags, n->path, NULL, &o);
  if (!m || !frontend_bind_weights(m, &n->diags, n->path, &o, NULL)) fail_network(n, n->path);
  m->diags = &n->diags;
  ir_graph *g = ir_graph_find(m, "forward");
  assert_non_null(g);
  assert_true(g->body->n_params <= MAX_TENSORS && g->body->n_yields <= MAX_TENSORS);
  for (int batch = 1; batch <= 2; batch++) {
    const ir_tensor *in[MAX_TENSORS];
    ir_tensor *out[MAX_TENSORS];
    for (uint32_t i = 0; i < g->body->n_params; i++) in[i] = part(n, batch, "in", g->param_names[i]);
    if (!interp_run(n->a, g, in, out, NULL)) fail_network(n, n->path);
    for (uint32_t i = 0; i < g->body->n_yields; i++)
      compare("the interpreter", out[i], part(n, batch, "out", g->output_names[i]));
  }
}

static nnc_tensor tensor_of(const ir_tensor *t) { return nnc_tensor_of(NNC_F32, t->data, t->rank, t->dim); }

static void run_compiled(const network *n, const char *cpu) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.configs = &n->config, o.n_configs = 1;
  o.weights = &n->weights, o.n_weights = 1;
  o.cpu = cpu;
  nnc_module *m;
  nnc_session *s;
  assert_int_equal(nnc_module_open(&m, n->path, &o, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&s, m, NULL), NNC_OK);
  size_t n_in = nnc_module_input_count(m, 0), n_out = nnc_module_output_count(m, 0);
  assert_true(n_in <= MAX_TENSORS && n_out <= MAX_TENSORS);
  for (int batch = 1; batch <= 2; batch++) {
    nnc_tensor in[MAX_TENSORS], out[MAX_TENSORS];
    ir_tensor *got[MAX_TENSORS], *want[MAX_TENSORS];
    nnc_tensor_info info;
    for (size_t i = 0; i < n_in; i++) {
      assert_int_equal(nnc_module_input(m, 0, i, &info), NNC_OK);
      in[i] = tensor_of(part(n, batch, "in", info.name));
    }
    for (size_t i = 0; i < n_out; i++) {
      assert_int_equal(nnc_module_output(m, 0, i, &info), NNC_OK);
      want[i] = part(n, batch, "out", info.name);
      got[i] = ir_tensor_new(n->a, DT_f32, want[i]->rank, want[i]->dim);
      out[i] = tensor_of(got[i]);
    }
    if (nnc_run(s, 0, in, n_in, out, n_out)) fail_msg("%s: %s", cpu, nnc_session_error(s));
    for (size_t i = 0; i < n_out; i++) compare(cpu, got[i], want[i]);
  }
  nnc_session_free(s);
  nnc_module_free(m);
}

static void check(const char *name) {
  static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};
  network n = {.a = arena_new(NULL)};
  assert_non_null(n.a);
  if (setjmp(*arena_guard(n.a))) fail_msg("out of memory");
  load(&n, name);
  interpret(&n);
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
    if (target_supported(target_find(levels[i]))) run_compiled(&n, levels[i]);
  arena_free(n.a);
}

#define TEST(name)                                                                                                     \
  static void name(void **state) {                                                                                     \
    (void)state;                                                                                                       \
    check(#name);                                                                                                      \
  }
NETWORKS(TEST)

int main(void) {
#define ENTRY(name) cmocka_unit_test(name),
  const struct CMUnitTest tests[] = {NETWORKS(ENTRY)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
