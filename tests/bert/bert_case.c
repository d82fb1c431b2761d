// See bert_case.h.
#include "bert_case.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

const char *const bert_checkpoints[] = {"gelu", "gelu_new", "relu", "deep", "odd", "first_names", NULL};

static const st_tensor *part(const st_file *f, const char *name, const char *what) {
  char full[128];
  snprintf(full, sizeof full, "%s.%s", name, what);
  const st_tensor *t = st_find(f, full);
  if (!t) fail_msg("no tensor %s", full);
  return t;
}

static void add_case(bert_checkpoint *c, const st_file *f, const st_tensor *ids, const char *name) {
  assert_true(c->n_cases < BERT_MAX_CASES);
  const st_tensor *hidden = part(f, name, "last_hidden_state");
  c->width = hidden->dim[2];
  c->cases[c->n_cases++] = (bert_case){
      .name = name,
      .batch = ids->dim[0],
      .seq = ids->dim[1],
      .ids = st_copy(c->a, ids)->data,
      .mask = st_copy(c->a, part(f, name, "attention_mask"))->data,
      .types = st_copy(c->a, part(f, name, "token_type_ids"))->data,
      .hidden = st_copy(c->a, hidden)->data,
      .pooled = st_copy(c->a, part(f, name, "pooler_output"))->data,
  };
}

static void load(bert_checkpoint *c, const char *name) {
  c->folder = str_fmt(c->a, "%s/tests/bert/%s", NNC_SOURCE_DIR, name);
  c->config = str_fmt(c->a, "%s/config.json", c->folder);
  const char *index = str_fmt(c->a, "%s/model.safetensors.index.json", c->folder);
  c->weights = access(index, R_OK) == 0 ? index : str_fmt(c->a, "%s/model.safetensors", c->folder);
  diag_list l;
  diag_init(&l, c->a);
  const st_file *f = st_open(c->a, &l, str_fmt(c->a, "%s/cases.safetensors", c->folder));
  assert_non_null(f);
  for (size_t i = 0; i < st_count(f); i++) {
    const st_tensor *t = st_at(f, i);
    size_t n = strlen(t->name), tail = strlen(".input_ids");
    if (n > tail && strcmp(t->name + n - tail, ".input_ids") == 0)
      add_case(c, f, t, str_dup(c->a, (str){t->name, n - tail}));
  }
  assert_true(c->n_cases > 0);
}

void bert_open(bert_checkpoint *c, const char *name) {
  *c = (bert_checkpoint){.a = arena_new(NULL)};
  assert_non_null(c->a);
  if (setjmp(*arena_guard(c->a))) fail_msg("out of memory");
  load(c, name);
}

void bert_close(bert_checkpoint *c) { arena_free(c->a); }

const bert_case *bert_find(const bert_checkpoint *c, const char *name) {
  size_t i = 0;
  while (i < c->n_cases && strcmp(c->cases[i].name, name) != 0) i++;
  if (i == c->n_cases) fail_msg("%s has no case %s", c->folder, name);
  return &c->cases[i];
}

nnc_module *bert_module(const bert_checkpoint *c, const char *cpu) {
  nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
  o.cpu = cpu;
  o.configs = &c->config, o.n_configs = 1;
  o.weights = &c->weights, o.n_weights = 1;
  nnc_module *m;
  nnc_diagnostics *d;
  nnc_status status = nnc_module_open(&m, BERT_YAML, &o, &d);
  for (size_t i = 0; i < nnc_diagnostics_count(d); i++)
    if (nnc_diagnostics_get(d, i)->severity == NNC_ERROR) print_error("%s", nnc_diagnostics_get(d, i)->text);
  nnc_diagnostics_free(d);
  assert_int_equal(status, NNC_OK);
  return m;
}

static nnc_tensor tokens(const bert_case *in, const int32_t *data) {
  return nnc_tensor_of(NNC_I32, (void *)(uintptr_t)data, 2, (const int64_t[]){in->batch, in->seq});
}

nnc_status bert_run(nnc_session *s, int64_t width, const bert_case *in, float *hidden, float *pooled) {
  nnc_tensor inputs[] = {tokens(in, in->ids), tokens(in, in->mask), tokens(in, in->types)};
  nnc_tensor outputs[] = {nnc_tensor_of(NNC_F32, hidden, 3, (const int64_t[]){in->batch, in->seq, width}),
                          nnc_tensor_of(NNC_F32, pooled, 2, (const int64_t[]){in->batch, width})};
  return nnc_run(s, 0, inputs, 3, outputs, 2);
}

double bert_error(const float *got, const float *want, size_t n) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < n; i++) {
    double e = fabs((double)got[i] - (double)want[i]);
    if (isnan(e)) return e;
    worst = fmax(worst, e);
    largest = fmax(largest, fabs((double)want[i]));
  }
  return worst / largest;
}
