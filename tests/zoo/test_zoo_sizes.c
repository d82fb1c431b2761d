// The transformer zoo at its published sizes: the exact number of parameters, by the defaults of each model file and by
// the configs of other checkpoints, without a word from the front end. And that no checkpoint is without a test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <glob.h>
#include <string.h>

#include <cmocka.h>

#include "zoo/zoo.h"
#include "frontend/frontend.h"

enum { MAX_SETS = 8 };

typedef struct configuration {
  const char *name;
  uint64_t parameters;
  frontend_pair sets[MAX_SETS]; // up to the first without a key
} configuration;

// What torch counts for the class that the model follows, at these sizes. Marian's has the bias of its logits besides,
// a buffer there; those of OadTR lack 8,192 that its program never uses.
static const configuration configurations[] = {
    {"gpt2", 124439808, {{0}}},
    {"gpt2", 354823168, {{"n_embd", "1024"}, {"n_layer", "24"}, {"n_head", "16"}}}, // GPT-2 medium
    {"llama", 6738415616, {{0}}},                                                   // Llama-7B
    {"llama",
     1235814400,
     {{"vocab_size", "128256"},
      {"hidden_size", "2048"},
      {"intermediate_size", "8192"},
      {"num_hidden_layers", "16"},
      {"num_key_value_heads", "8"},
      {"tie_word_embeddings", "True"}}}, // Llama-3.2-1B
    {"vit", 86389248, {{0}}},            // ViT-B/16
    {"vit",
     304351232,
     {{"hidden_size", "1024"},
      {"num_hidden_layers", "24"},
      {"num_attention_heads", "16"},
      {"intermediate_size", "4096"}}}, // ViT-L/16
    {"vit",
     632404480,
     {{"hidden_size", "1280"},
      {"num_hidden_layers", "32"},
      {"num_attention_heads", "16"},
      {"intermediate_size", "5120"},
      {"patch_size", "14"}}},        // ViT-H/14
    {"t5_encoder", 35330816, {{0}}}, // T5-small
    {"t5_encoder",
     4762310656,
     {{"d_model", "4096"},
      {"d_ff", "10240"},
      {"num_layers", "24"},
      {"num_heads", "64"},
      {"feed_forward_proj", "'gated-gelu'"}}}, // T5 v1.1 XXL
    {"clip_text", 63165952, {{0}}},            // CLIP ViT-B/32
    {"clip_text",
     123060480,
     {{"hidden_size", "768"}, {"intermediate_size", "3072"}, {"num_attention_heads", "12"}}},        // CLIP ViT-L/14
    {"transformer", 44140544, {{0}}},                                                                // base
    {"transformer", 176361472, {{"d_model", "1024"}, {"nhead", "16"}, {"dim_feedforward", "4096"}}}, // big
    {"marian",
     73944309,
     {{"d_model", "512"},
      {"encoder_layers", "6"},
      {"decoder_layers", "6"},
      {"encoder_attention_heads", "8"},
      {"decoder_attention_heads", "8"},
      {"encoder_ffn_dim", "2048"},
      {"decoder_ffn_dim", "2048"}}},                                             // opus-mt-en-de
    {"linear_transformer", 6391838, {{0}}},                                      // for MNIST
    {"linear_transformer", 12709918, {{"n_layers", "16"}, {"max_len", "3072"}}}, // for CIFAR-10
    {"flash", 111992089, {{0}}},                                                 // base
    {"flash", 111979801, {{"attention", "'quadratic'"}}},                        // base, FLASH-Quad
    {"medusa", 7477682176, {{0}}},                                               // 5 heads on Vicuna-7B
    {"oadtr", 74700844, {{0}}},                                                  // THUMOS14, 3,072 features
    {"oadtr", 75749420, {{"dim_rgb", "3072"}, {"dim_feature", "4096"}}},
};

static void check(arena *a, const configuration *c) {
  size_t n_sets = 0;
  while (n_sets < MAX_SETS && c->sets[n_sets].key) n_sets++;
  diag_list l;
  diag_init(&l, a);
  const char *path = str_fmt(a, "%s/models/transformer/%s.yaml", NNC_SOURCE_DIR, c->name);
  const ir_module *m = frontend_load(a, &l, path, NULL, &(frontend_options){.n_sets = n_sets, .sets = c->sets});
  if (!m || l.items.n) fail_msg("%s, %zu sets: %zu diagnostics", c->name, n_sets, l.items.n);
  uint64_t n = frontend_parameter_count(m);
  if (n != c->parameters)
    fail_msg("%s, %zu sets: %llu parameters, not %llu", c->name, n_sets, (unsigned long long)n,
             (unsigned long long)c->parameters);
}

static void check_all(arena *a) {
  for (size_t i = 0; i < sizeof configurations / sizeof *configurations; i++) check(a, &configurations[i]);
}

static void have_as_many_parameters_as_published(void **state) {
  (void)state;
  arena *a = arena_new(NULL);
  assert_non_null(a);
  if (setjmp(*arena_guard(a))) fail_msg("out of memory");
  check_all(a);
  arena_free(a);
}

static bool is_run(str model) {
#define NAME(model) #model,
  static const char *const names[] = {ZOO_DECODERS(NAME) ZOO_ENCODERS(NAME) ZOO_PAIRS(NAME) ZOO_LINEAR(NAME)};
#undef NAME
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (str_eq(model, str_of(names[i]))) return true;
  return false;
}

static void every_checkpoint_is_run(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(NNC_SOURCE_DIR "/tests/zoo/*-*", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *name = strrchr(found.gl_pathv[i], '/') + 1;
    if (!is_run((str){name, strcspn(name, "-")})) fail_msg("no program runs %s", name);
  }
  globfree(&found);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(have_as_many_parameters_as_published),
                                     cmocka_unit_test(every_checkpoint_is_run)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
