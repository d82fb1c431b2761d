// Wrong models never crash, hang or go through in silence: example models and the small ones of tests/diag with tokens
// dropped, doubled, swapped and replaced are elaborated. Either messages come out, or a graph that verifies.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/file.h"
#include "frontend/frontend.h"

static const char *const sources[] = {
    "tests/models/bert.yaml",  "tests/models/centernet_decode.yaml",
    "tests/models/gru.yaml",   "tests/models/t5_encoder.yaml",
    "tests/models/llama.yaml", "tests/models/glow.yaml",
    "tests/models/vqgan.yaml", "tests/models/detr.yaml",
    "tests/diag/values.yaml",  "tests/diag/names.yaml",
    "tests/diag/control.yaml", "tests/diag/config.yaml",
};

// Makes the models small, so that a round is quick; keys that a model lacks are left out.
static const frontend_pair small[] = {
    {"num_hidden_layers", "1"}, {"num_layers", "1"}, {"depth", "1"}, {"encoder_layers", "1"}, {"decoder_layers", "1"},
};

static const char *const tokens[] = {
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "0.5",
    "inf",
    "None",
    "True",
    "'a'",
    "()",
    "x",
    "(x, x)",
    "x[0]",
    "x[:, None]",
    "x[::-1]",
    "x[...]",
    "batch",
    "seq",
    "batch * seq",
    "f32",
    "shape(x)",
    "len(x)",
    "iota(seq)",
    "iota(5)",
    "sum(x)",
    "sum(x, dim=0)",
    "zeros(3)",
    "zeros(seq)",
    "reshape(x, -1)",
    "concat((x, x))",
    "softmax(x)",
    "linear(x, 3)",
    "param(3)",
    "chunk(x, 2)",
    "take(x, iota(2))",
    "matmul(x, x)",
    "einsum('ij,jk->ik', x, x)",
    "topk(x, 3)",
    "transpose(x)",
    "pad(x, ((1, 1),))",
    "conv2d(x, 4, 3)",
    "max_pool2d(x, 2)",
    "attention(x, x, x)",
    "range(3)",
    "enumerate((1, 2))",
    "where(x > 0, x, 0)",
    "cast(x, i32)",
    "cumsum(x)",
    "interpolate(x, scale=2)",
    "pixel_shuffle(x, 2)",
    "gather(x, iota(3), 0)",
    "forward(x)",
    "roll(x, 1, 0)",
    "diag(x)",
    "gru(x, 3)",
    "sqrt(seq)",
};

typedef struct rng {
  uint64_t s;
} rng;

static uint32_t pick(rng *r, size_t n) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)((r->s >> 33) % n);
}

static bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

// Replaces a word, or takes away or doubles a character, in a few places.
static str mutated(arena *a, str text, rng *r) {
  for (uint32_t i = 0, n = 1 + pick(r, 3); i < n && text.n > 2; i++) {
    size_t at = pick(r, text.n), end = at;
    const char *with = "";
    uint32_t how = pick(r, 8);
    if (how < 6) { // a word
      while (at < text.n && !is_word(text.p[at])) at++;
      for (end = at; end < text.n && is_word(text.p[end]);) end++;
      with = tokens[pick(r, sizeof tokens / sizeof *tokens)];
    } else if (how == 6) { // a character gone
      end = at + 1;
    } else { // a line again
      while (at > 0 && text.p[at - 1] != '\n') at--;
      size_t stop = at;
      while (stop < text.n && text.p[stop] != '\n') stop++;
      with = str_fmt(a, "%.*s\n", (int)(stop - at), text.p + at);
      end = at;
    }
    strbuf b;
    sb_init(&b, a);
    sb_bytes(&b, text.p, at);
    sb_z(&b, with);
    sb_bytes(&b, text.p + end, text.n - end);
    text = sb_str(&b);
  }
  return text;
}

static str cut(str text, rng *r) { // one case of a file of tests/diag
  str mark = STR("%%% ");
  size_t from = pick(r, text.n), n = 0;
  if (!str_starts(text, mark)) return text;
  while (from > 0 && !(str_starts((str){text.p + from, text.n - from}, mark) && text.p[from - 1] == '\n')) from--;
  while (from < text.n && text.p[from] != '\n') from++;
  str rest = {text.p + from + 1, text.n - from - 1};
  while (n < rest.n && !(n && rest.p[n - 1] == '\n' && str_starts((str){rest.p + n, rest.n - n}, mark))) n++;
  return (str){rest.p, n};
}

typedef struct counts {
  size_t rounds, sound, refused;
} counts;

static void one_round(const char *source, rng *r, counts *n) {
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("%s: the arena unwound", source);
  diag_list l;
  diag_init(&l, a);
  str text;
  assert_true(file_read(a, &l, str_fmt(a, "%s/%s", NNC_SOURCE_DIR, source), 1 << 20, &text));
  text = mutated(a, cut(text, r), r);
  frontend_pair sets[sizeof small / sizeof *small];
  frontend_options o = {.sets = sets};
  for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
    const char *key = str_fmt(a, "%s:", small[i].key);
    for (size_t k = 0; k + strlen(key) < text.n; k++) {
      if (!str_starts((str){text.p + k, text.n - k}, str_of(key))) continue;
      sets[o.n_sets++] = small[i];
      break;
    }
  }
  const char *path = str_fmt(a, "%s/%s", NNC_SOURCE_DIR, source);
  ir_module *m = frontend_load(a, &l, path, &text, &o);
  bool sound = m && graph_verify(m);
  bool internal = false;
  for (size_t i = 0; i < l.items.n; i++) internal |= l.items.at[i]->id == DIAG_ID_internal;
  if (internal || (m && !sound) || (!m && !diag_failed(&l))) {
    strbuf b;
    sb_init(&b, a);
    diag_render_all(&l, false, &b);
    fail_msg("%s\n%.*s\n%s", source, STR_ARG(text), sb_cstr(&b));
  }
  n->rounds++;
  n->sound += m != NULL;
  n->refused += m == NULL;
  arena_free(a);
}

static void wrong_models_are_refused(void **state) {
  (void)state;
  const char *wanted = getenv("NNC_FUZZ_ROUNDS");
  size_t rounds = wanted ? strtoul(wanted, NULL, 10) : 600;
  rng r = {wanted ? (uint64_t)time(NULL) : 1};
  counts n = {0};
  for (size_t i = 0; i < rounds; i++) one_round(sources[i % (sizeof sources / sizeof *sources)], &r, &n);
  print_message("%zu rounds: %zu sound, %zu refused\n", n.rounds, n.sound, n.refused);
  assert_true(n.sound > rounds / 50 && n.refused > rounds / 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(wrong_models_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
