// The networks that tools/bench measures, on small configs, against what PyTorch computes in f64 of layers written
// apart from these files: tests/ref/gen/networks.py. A folder MODEL holds config, weights and cases of MODEL.yaml.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "frontend/frontend.h"

#define NETWORKS(M) M(mobilenet_v1) M(mobilenet_v2) M(resnet) M(sd_block) M(vqgan_decoder)

enum { MAX_TENSORS = 4 };

// f32 against f64, of the largest: sums of up to some hundred terms, in at most a dozen layers.
static const double BOUND = 2e-6;

typedef struct network {
  arena *a;
  diag_list diags;
  ir_module *m;
  const st_file *cases;
} network;

static void fail_network(network *n, const char *what) {
  strbuf b;
  sb_init(&b, n->a);
  diag_render_all(&n->diags, false, &b);
  fail_msg("%s\n%s", what, sb_cstr(&b));
}

static void load(network *n, const char *name) {
  const char *folder = str_fmt(n->a, "%s/tests/bench/%s", NNC_SOURCE_DIR, name),
             *path = str_fmt(n->a, "%s.yaml", folder);
  const char *config = str_fmt(n->a, "%s/config.json", folder);
  const char *weights = str_fmt(n->a, "%s/model.safetensors", folder);
  frontend_options o = {.n_configs = 1, .configs = &config, .n_weights = 1, .weights = &weights};
  diag_init(&n->diags, n->a);
  n->m = frontend_load(n->a, &n->diags, path, NULL, &o);
  if (!n->m || !frontend_bind_weights(n->m, &n->diags, path, &o, NULL)) fail_network(n, name);
  n->m->diags = &n->diags;
  n->cases = st_open(n->a, &n->diags, str_fmt(n->a, "%s/cases.safetensors", folder));
  if (!n->cases) fail_network(n, name);
}

static ir_tensor *part(const network *n, int batch, const char *way, const char *what) {
  const char *full = str_fmt(n->a, "%d.%s.%s", batch, way, what);
  const st_tensor *t = st_find(n->cases, full);
  if (!t) fail_msg("no tensor %s", full);
  return st_copy(n->a, t);
}

static void compare(const char *name, const ir_tensor *got, const ir_tensor *want) {
  assert_int_equal(got->rank, want->rank);
  for (uint32_t i = 0; i < want->rank; i++) assert_int_equal(got->dim[i], want->dim[i]);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < ir_tensor_count(want); i++) {
    double x = ((const float *)got->data)[i], y = ((const float *)want->data)[i];
    if (!isfinite(x)) fail_msg("%s: element %lld is %g", name, (long long)i, x);
    worst = fmax(worst, fabs(x - y)), largest = fmax(largest, fabs(y));
  }
  if (!(worst < BOUND * largest)) fail_msg("%s errs by %g of the largest", name, worst / largest);
}

static void run_case(network *n, const char *name, int batch) {
  ir_graph *g = ir_graph_find(n->m, "forward");
  assert_non_null(g);
  const ir_region *body = g->body;
  const ir_tensor *in[MAX_TENSORS];
  ir_tensor *out[MAX_TENSORS];
  assert_true(body->n_params <= MAX_TENSORS && body->n_yields <= MAX_TENSORS);
  for (uint32_t i = 0; i < body->n_params; i++) in[i] = part(n, batch, "in", g->param_names[i]);
  if (!interp_run(n->a, g, in, out, NULL)) fail_network(n, name);
  for (uint32_t i = 0; i < body->n_yields; i++) compare(name, out[i], part(n, batch, "out", g->output_names[i]));
}

static void check(const char *name) {
  network n = {.a = arena_new(NULL)};
  assert_non_null(n.a);
  if (setjmp(*arena_guard(n.a))) fail_msg("out of memory");
  load(&n, name);
  for (int batch = 1; batch <= 2; batch++) run_case(&n, name, batch);
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
