// See cached_model.h.
#include "cached_model.h"
#include "frontend/safetensors.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char model[] =
    "nnc: 1\nname: m\nconfig: {shift: 1}\ninclude:\n  inner: inner.yaml\ninputs:\n  x: f32[1, 3]\n"
    "steps:\n- y@fc: linear(x, 2)\n- z: inner.scaled(y) + shift\noutputs:\n  z: z\n";
static const char inner[] = "nnc: 1\nblocks:\n  scaled(x):\n  - return: 10 * x\n";

void settle(void) { usleep(70000); }

void cached_weights(scratch *s, const char *name, float first) {
  static const char *const names[] = {"fc.weight", "fc.bias"};
  ir_tensor *w = ir_tensor_new(s->a, DT_f32, 2, (const int64_t[]){2, 3}),
            *b = ir_tensor_new(s->a, DT_f32, 1, (const int64_t[]){2});
  for (int i = 0; i < 6; i++) ((float *)w->data)[i] = first + (float)i;
  const ir_tensor *tensors[] = {w, b};
  assert_true(st_write(s->a, &s->l, scratch_path(s, name), 2, names, tensors, 0, NULL, NULL));
  settle();
}

int cached_open(void **state) {
  int rc = scratch_open(state);
  if (rc) return rc;
  scratch *s = *state;
  unsetenv("NNC_NO_CACHE");
  setenv("NNC_CACHE_DIR", scratch_path(s, "cache"), 1);
  unsetenv("NNC_CACHE_SIZE");
  unsetenv("NNC_CACHE_WEIGHTS_SIZE");
  scratch_file(s, "m.yaml", STR(model));
  scratch_file(s, "inner.yaml", STR(inner));
  scratch_file(s, "c.json", STR("{\"shift\": 5}"));
  cached_weights(s, "w.safetensors", 0);
  return 0;
}

int cached_close(void **state) {
  setenv("NNC_NO_CACHE", "1", 1);
  return scratch_close(state);
}

nnc_compile_options cached_options(scratch *s) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  const char **config = ARENA_ARRAY(s->a, const char *, 1), **weights = ARENA_ARRAY(s->a, const char *, 1);
  *config = scratch_path(s, "c.json");
  *weights = scratch_path(s, "w.safetensors");
  o.configs = config, o.n_configs = 1;
  o.weights = weights, o.n_weights = 1;
  return o;
}

outcome cached_run(scratch *s, const nnc_compile_options *options) {
  nnc_module *m;
  nnc_diagnostics *d;
  nnc_session *session;
  nnc_module_stats stats;
  outcome r = {0};
  nnc_status status = nnc_module_open(&m, scratch_path(s, "m.yaml"), options, &d);
  r.warnings = nnc_diagnostics_count(d);
  if (status) fail_msg("status %d: %s", (int)status, r.warnings ? nnc_diagnostics_get(d, 0)->text : "");
  nnc_diagnostics_free(d);
  assert_int_equal(nnc_module_get_stats(m, &stats), NNC_OK);
  assert_int_equal(stats.parameters, 8);
  assert_true(stats.kernels > 0 && stats.code_bytes > 0);
  r.image = stats.passes_ms == 0;
  r.prepared = stats.frontend_ms == 0;
  assert_int_equal(nnc_session_new(&session, m, NULL), NNC_OK);
  float x[3] = {1, 2, 3};
  nnc_tensor in = nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){1, 3}),
             out = nnc_tensor_of(NNC_F32, r.y, 2, (const int64_t[]){1, 2});
  assert_int_equal(nnc_run(session, 0, &in, 1, &out, 1), NNC_OK);
  nnc_session_free(session);
  nnc_module_free(m);
  return r;
}

static size_t look(scratch *s, const char *extension, const char **last) {
  size_t n = 0, tail = strlen(extension);
  DIR *d = opendir(scratch_path(s, "cache"));
  for (const struct dirent *e; d && (e = readdir(d));) {
    size_t length = strlen(e->d_name);
    if (e->d_name[0] == '.' || length < tail || strcmp(e->d_name + length - tail, extension) != 0) continue;
    n++;
    *last = str_fmt(s->a, "%s/%s", scratch_path(s, "cache"), e->d_name);
  }
  if (d) closedir(d);
  return n;
}

size_t cached_files(scratch *s, const char *extension) {
  const char *last;
  return look(s, extension, &last);
}

const char *cached_file(scratch *s, const char *extension) {
  const char *last = NULL;
  assert_int_equal(look(s, extension, &last), 1);
  return last;
}
