// BERT by the public API, against what the transformers library computes: every checkpoint at every CPU level, every
// size from one compiled model, AOT libraries, wrong sizes and wrong tokens, two threads.
#include "bert_case.h"
#include "frontend/frontend.h"
#include "base/file.h"
#include "ir/target.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

// f32 against f64: up to three layers of some twenty dependent operations and products of up to 130 terms.
static const double BOUND = 1e-5;

enum { MAX_FLOATS = 64 * BERT_MAX_SEQ * 96 };

static float hidden[MAX_FLOATS], pooled[64 * 96], hidden2[MAX_FLOATS], pooled2[64 * 96];

static void check(const bert_checkpoint *c, const bert_case *k) {
  double e = bert_error(hidden, k->hidden, (size_t)(k->batch * k->seq * c->width));
  double p = bert_error(pooled, k->pooled, (size_t)(k->batch * c->width));
  if (!(e < BOUND && p < BOUND)) fail_msg("%s, case %s: error %g in hidden, %g in pooled", c->folder, k->name, e, p);
}

static nnc_session *new_session(const nnc_module *m, unsigned threads) {
  nnc_session_options o = NNC_SESSION_OPTIONS_INIT;
  o.threads = threads;
  nnc_session *s;
  assert_int_equal(nnc_session_new(&s, m, &o), NNC_OK);
  return s;
}

static void agrees_with_transformers(void **state) {
  (void)state;
  static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4"};
  for (const char *const *name = bert_checkpoints; *name; name++) {
    bert_checkpoint c;
    bert_open(&c, *name);
    for (size_t i = 0; i < 3; i++) {
      if (!target_supported(target_find(levels[i]))) continue;
      nnc_module *m = bert_module(&c, levels[i]);
      nnc_session *s = new_session(m, 2);
      for (size_t k = 0; k < c.n_cases; k++) {
        assert_int_equal(bert_run(s, c.width, &c.cases[k], hidden, pooled), NNC_OK);
        check(&c, &c.cases[k]);
      }
      nnc_session_free(s);
      nnc_module_free(m);
    }
    bert_close(&c);
  }
}

// The rows of a case again and again until there are `batch` of them, hidden tokens behind each until it has `seq`:
// neither changes what the tokens that were there become.
typedef struct padded {
  bert_case in;
  int32_t ids[64 * BERT_MAX_SEQ], mask[64 * BERT_MAX_SEQ], types[64 * BERT_MAX_SEQ];
} padded;

static void pad(padded *p, const bert_case *k, int64_t batch, int64_t seq) {
  p->in = (bert_case){.batch = batch, .seq = seq, .ids = p->ids, .mask = p->mask, .types = p->types};
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t i = 0; i < seq; i++) {
      int64_t to = b * seq + i, from = b % k->batch * k->seq + i;
      bool there = i < k->seq;
      p->ids[to] = there ? k->ids[from] : (int32_t)(i * 7 % 50);
      p->mask[to] = there ? k->mask[from] : 0;
      p->types[to] = there ? k->types[from] : 1;
    }
  }
}

static void check_padded(const bert_checkpoint *c, const padded *p, const bert_case *k) {
  size_t row = (size_t)(k->seq * c->width);
  for (int64_t b = 0; b < p->in.batch; b++) {
    double e = bert_error(hidden + b * p->in.seq * c->width, k->hidden + b % k->batch * k->seq * c->width, row);
    double q = bert_error(pooled + b * c->width, k->pooled + b % k->batch * c->width, (size_t)c->width);
    if (!(e < BOUND && q < BOUND))
      fail_msg("case %s as [%lld, %lld], row %lld: error %g in hidden, %g in pooled", k->name, (long long)p->in.batch,
               (long long)p->in.seq, (long long)b, e, q);
  }
}

// One compiled model, one session: batch 1..8 by every length, and the largest sizes.
static void serves_every_size(void **state) {
  (void)state;
  static padded p;
  bert_checkpoint c;
  bert_open(&c, "gelu");
  nnc_module *m = bert_module(&c, NULL);
  nnc_session *s = new_session(m, 1);
  for (int64_t batch = 1; batch <= 8; batch++) {
    for (int64_t seq = 1; seq <= BERT_MAX_SEQ; seq++) {
      const bert_case *k = NULL; // the longest that fits
      for (size_t i = 0; i < c.n_cases; i++)
        if (c.cases[i].seq <= seq && (!k || c.cases[i].seq > k->seq)) k = &c.cases[i];
      pad(&p, k, batch, seq);
      assert_int_equal(bert_run(s, c.width, &p.in, hidden, pooled), NNC_OK);
      check_padded(&c, &p, k);
    }
  }
  pad(&p, bert_find(&c, "2_ragged"), 64, BERT_MAX_SEQ);
  assert_int_equal(bert_run(s, c.width, &p.in, hidden, pooled), NNC_OK);
  check_padded(&c, &p, bert_find(&c, "2_ragged"));
  nnc_session_free(s);
  nnc_module_free(m);
  bert_close(&c);
}

static void inputs_have_defaults(void **state) {
  (void)state;
  bert_checkpoint c;
  bert_open(&c, "gelu");
  nnc_module *m = bert_module(&c, NULL);
  nnc_session *s = new_session(m, 1);
  bert_case k = *bert_find(&c, "2_ragged");
  static int32_t ones[BERT_MAX_SEQ * 8], zeros[BERT_MAX_SEQ * 8];
  for (size_t i = 0; i < BERT_MAX_SEQ * 8; i++) ones[i] = 1;
  size_t n = (size_t)(k.batch * k.seq * c.width);
  k.mask = ones, k.types = zeros;
  assert_int_equal(bert_run(s, c.width, &k, hidden, pooled), NNC_OK);
  k.mask = k.types = NULL;
  assert_int_equal(bert_run(s, c.width, &k, hidden2, pooled2), NNC_OK);
  assert_memory_equal(hidden, hidden2, n * sizeof *hidden);
  nnc_session_free(s);
  nnc_module_free(m);
  bert_close(&c);
}

static void library_gives_the_same_bits(void **state) {
  (void)state;
  assert_int_equal(system("mkdir -p " NNC_BINARY_DIR "/bert-test"), 0);
  for (const char *const *name = bert_checkpoints; *name; name++) {
    bert_checkpoint c;
    bert_open(&c, *name);
    nnc_module *jit = bert_module(&c, NULL), *aot;
    const char *path = str_fmt(c.a, "%s/bert-test/%s.so", NNC_BINARY_DIR, *name);
    assert_int_equal(nnc_module_save(jit, path, NULL), NNC_OK);
    assert_int_equal(nnc_module_open(&aot, path, NULL, NULL), NNC_OK);
    nnc_session *one = new_session(jit, 1), *two = new_session(aot, 2);
    for (size_t k = 0; k < c.n_cases; k++) {
      const bert_case *in = &c.cases[k];
      assert_int_equal(bert_run(one, c.width, in, hidden, pooled), NNC_OK);
      assert_int_equal(bert_run(two, c.width, in, hidden2, pooled2), NNC_OK);
      assert_memory_equal(hidden, hidden2, (size_t)(in->batch * in->seq * c.width) * sizeof *hidden);
      assert_memory_equal(pooled, pooled2, (size_t)(in->batch * c.width) * sizeof *pooled);
    }
    nnc_session_free(one);
    nnc_session_free(two);
    nnc_module_free(jit);
    nnc_module_free(aot);
    bert_close(&c);
  }
}

static void refuses_sizes_out_of_range(void **state) {
  (void)state;
  static const int32_t ids[65 * (BERT_MAX_SEQ + 1)];
  static const struct {
    int64_t batch, seq;
    const char *says[2];
  } wrong[] = {
      {65, 3, {"batch", "1..64"}}, {1, 41, {"seq", "1..40"}}, {1, 0, {"seq", "1..40"}}, {0, 4, {"batch", "1..64"}}};
  bert_checkpoint c;
  bert_open(&c, "gelu");
  nnc_module *m = bert_module(&c, NULL);
  nnc_session *s = new_session(m, 1);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    bert_case in = {.batch = wrong[i].batch, .seq = wrong[i].seq, .ids = ids, .mask = ids, .types = ids};
    assert_int_equal(bert_run(s, c.width, &in, hidden, pooled), NNC_E_MODEL);
    for (size_t k = 0; k < 2; k++) assert_non_null(strstr(nnc_session_error(s), wrong[i].says[k]));
  }
  nnc_tensor in[] = {nnc_tensor_of(NNC_I32, (void *)(uintptr_t)ids, 2, (const int64_t[]){2, 5}),
                     nnc_tensor_of(NNC_I32, (void *)(uintptr_t)ids, 2, (const int64_t[]){2, 4}),
                     nnc_tensor_of(NNC_I32, (void *)(uintptr_t)ids, 2, (const int64_t[]){2, 5})};
  nnc_tensor out[2];
  assert_int_equal(nnc_shapes(s, 0, in, 3, out, 2), NNC_E_MODEL); // a mask of another length
  assert_non_null(strstr(nnc_session_error(s), "attention_mask"));
  nnc_session_free(s);
  nnc_module_free(m);
  bert_close(&c);
}

// The line of the model file that holds the text, as messages name it.
static const char *line_of(arena *a, const char *text) {
  diag_list l;
  diag_init(&l, a);
  str all;
  assert_true(file_read(a, &l, BERT_YAML, 1 << 20, &all));
  const char *at = strstr(all.p, text);
  assert_non_null(at);
  int line = 1;
  for (const char *p = all.p; p < at; p++) line += *p == '\n';
  return str_fmt(a, "line %d:", line);
}

// A token or a type without a row in its table is an error that names the line, and the session goes on serving.
static void refuses_unknown_tokens(void **state) {
  (void)state;
  bert_checkpoint c;
  bert_open(&c, "gelu");
  nnc_module *m = bert_module(&c, NULL);
  nnc_session *s = new_session(m, 2);
  bert_case k = *bert_find(&c, "2_ragged");
  int32_t bad[BERT_MAX_SEQ * 8];
  size_t n = (size_t)(k.batch * k.seq);
  static const int32_t words[] = {50, -1, INT32_MAX, INT32_MIN}, types[] = {2, -1};
  for (size_t i = 0; i < 4; i++) {
    bert_case in = k;
    memcpy(bad, k.ids, n * sizeof *bad);
    bad[n - 1] = words[i];
    in.ids = bad;
    assert_int_equal(bert_run(s, c.width, &in, hidden, pooled), NNC_E_DATA);
    assert_non_null(strstr(nnc_session_error(s), line_of(c.a, "- w@embeddings.word_embeddings")));
  }
  for (size_t i = 0; i < 2; i++) {
    bert_case in = k;
    memcpy(bad, k.types, n * sizeof *bad);
    bad[0] = types[i];
    in.types = bad;
    assert_int_equal(bert_run(s, c.width, &in, hidden, pooled), NNC_E_DATA);
    assert_non_null(strstr(nnc_session_error(s), line_of(c.a, "- t@embeddings.token_type_embeddings")));
  }
  assert_int_equal(bert_run(s, c.width, &k, hidden, pooled), NNC_OK);
  check(&c, &k);
  nnc_session_free(s);
  nnc_module_free(m);
  bert_close(&c);
}

typedef struct worker {
  const nnc_module *m;
  const bert_checkpoint *c;
  float hidden[4 * BERT_MAX_SEQ * 96], pooled[4 * 96];
  nnc_status status;
} worker;

static void *run_worker(void *p) {
  worker *w = p;
  nnc_session *s = NULL;
  w->status = nnc_session_new(&s, w->m, NULL);
  for (size_t i = 0; i < 200 && !w->status; i++)
    w->status = bert_run(s, w->c->width, &w->c->cases[i % w->c->n_cases], w->hidden, w->pooled);
  if (!w->status) w->status = bert_run(s, w->c->width, bert_find(w->c, "2_ragged"), w->hidden, w->pooled);
  nnc_session_free(s);
  return NULL;
}

static void sessions_in_two_threads_agree(void **state) {
  (void)state;
  static worker w[2];
  bert_checkpoint c;
  bert_open(&c, "gelu");
  nnc_module *m = bert_module(&c, NULL);
  pthread_t t[2];
  for (int i = 0; i < 2; i++) w[i].m = m, w[i].c = &c;
  for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, run_worker, &w[i]), 0);
  for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
  assert_int_equal(w[0].status, NNC_OK);
  assert_int_equal(w[1].status, NNC_OK);
  const bert_case *k = bert_find(&c, "2_ragged");
  size_t n = (size_t)(k->batch * k->seq * c.width);
  assert_memory_equal(w[0].hidden, w[1].hidden, n * sizeof(float));
  assert_true(bert_error(w[0].hidden, k->hidden, n) < BOUND);
  nnc_module_free(m);
  bert_close(&c);
}

// -- the model file itself --

static ir_module *load(arena *a, diag_list *l, frontend_pair set) {
  frontend_options o = {.n_sets = set.key != NULL, .sets = &set};
  diag_init(l, a);
  return frontend_load(a, l, BERT_YAML, NULL, &o);
}

static void is_bert_base_by_default(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  diag_list l;
  ir_module *m = load(a, &l, (frontend_pair){0});
  assert_non_null(m);
  assert_int_equal(l.items.n, 0);
  assert_int_equal(frontend_parameter_count(m), 109482240); // bert-base-uncased
  arena_free(a);
}

static void refuses(frontend_pair set) {
  arena *a = arena_new(NULL);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  diag_list l;
  assert_null(load(a, &l, set));
  assert_int_equal(l.items.at[0]->id, DIAG_ID_require_false);
  arena_free(a);
}

static void refuses_other_configurations(void **state) {
  (void)state;
  static const frontend_pair sets[] = {{"position_embedding_type", "'relative_key'"},
                                       {"is_decoder", "True"},
                                       {"add_cross_attention", "True"},
                                       {"model_type", "'roberta'"},
                                       {"num_attention_heads", "7"}};
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) refuses(sets[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_transformers),      cmocka_unit_test(serves_every_size),
      cmocka_unit_test(inputs_have_defaults),          cmocka_unit_test(library_gives_the_same_bits),
      cmocka_unit_test(refuses_sizes_out_of_range),    cmocka_unit_test(refuses_unknown_tokens),
      cmocka_unit_test(sessions_in_two_threads_agree), cmocka_unit_test(is_bert_base_by_default),
      cmocka_unit_test(refuses_other_configurations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
