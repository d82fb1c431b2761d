// The example models at toy sizes with made-up weights, run by the interpreter. Each is judged by a property that its
// code does not spell out: an inverse undoes, a cache changes nothing, padding is not seen, an entry is the composition
// of others.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"

typedef struct toy {
  arena *a;
  diag_list l;
  ir_module *m;
} toy;

enum { MAX_PAIRS = 10 };

static void fail_toy(toy *t, const char *what) {
  strbuf b;
  sb_init(&b, t->a);
  diag_render_all(&t->l, false, &b);
  fail_msg("%s\n%s", what, sb_cstr(&b));
}

// Uniform in -1..1, the same for the same name and place: a weight has its values wherever it occurs.
static float noise(const char *name, uint64_t i) {
  return (float)((double)(hash_bytes(name, strlen(name), i) >> 40) / (double)(1 << 23) - 1.0);
}

static void fill_weights(toy *t, const char *prefix, float amplitude) {
  for (size_t k = 0; k < t->m->weights.n; k++) {
    ir_weight *w = t->m->weights.at[k];
    const char *name = str_fmt(t->a, "%s%s", prefix, w->name);
    const idx *count = ir_type_count(t->m, w->type);
    int64_t n = 0, last = 1;
    idx_is_const(count, &n);
    if (w->type.rank) idx_is_const(w->type.dim[w->type.rank - 1], &last);
    float *data = ARENA_ARRAY(t->a, float, (size_t)n);
    bool ones = w->init && !strcmp(w->init, "ones"), square = w->type.rank == 2 && w->type.dim[0] == w->type.dim[1];
    for (int64_t i = 0; i < n; i++) {
      bool diagonal = square && i % (last + 1) == 0;
      data[i] = (ones || diagonal ? 1.0f : 0.0f) + amplitude * noise(name, (uint64_t)i);
    }
    w->data = data;
  }
}

static toy load_scaled(const char *name, const char *prefix, float amplitude, const frontend_pair *sets,
                       const frontend_pair *dims) {
  toy t = {.a = arena_new(NULL)};
  if (setjmp(*arena_guard(t.a))) fail_msg("%s: the arena unwound", name);
  diag_init(&t.l, t.a);
  frontend_options o = {.sets = sets, .dims = dims};
  while (sets && sets[o.n_sets].key) o.n_sets++;
  while (dims && dims[o.n_dims].key) o.n_dims++;
  t.m = frontend_load(t.a, &t.l, str_fmt(t.a, "%s/tests/models/%s.yaml", NNC_SOURCE_DIR, name), NULL, &o);
  if (!t.m) fail_toy(&t, name);
  t.m->diags = ARENA_NEW(t.a, diag_list);
  diag_init(t.m->diags, t.a);
  fill_weights(&t, prefix, amplitude);
  return t;
}

static toy load(const char *name, const char *prefix, const frontend_pair *sets, const frontend_pair *dims) {
  return load_scaled(name, prefix, 0.3f, sets, dims);
}

static ir_tensor **run(toy *t, const char *entry, const ir_tensor *const *in) {
  ir_graph *g = ir_graph_find(t->m, entry);
  assert_non_null(g);
  ir_tensor **out = ARENA_ARRAY(t->a, ir_tensor *, g->body->n_yields);
  if (!interp_run(t->a, g, in, out, NULL)) {
    strbuf b;
    sb_init(&b, t->a);
    diag_render_all(t->m->diags, false, &b);
    fail_msg("%s\n%s", entry, sb_cstr(&b));
  }
  return out;
}

static ir_tensor *tensor(toy *t, dtype dt, uint32_t rank, const int64_t *dim) {
  return ir_tensor_new(t->a, dt, rank, dim);
}

static ir_tensor *noise_tensor(toy *t, const char *name, uint32_t rank, const int64_t *dim) {
  ir_tensor *x = tensor(t, DT_f32, rank, dim);
  for (int64_t i = 0; i < ir_tensor_count(x); i++) ((float *)x->data)[i] = noise(name, (uint64_t)i);
  return x;
}

static ir_tensor *int_tensor(toy *t, uint32_t rank, const int64_t *dim, const int32_t *values) {
  ir_tensor *x = tensor(t, DT_i32, rank, dim);
  memcpy(x->data, values, (size_t)ir_tensor_count(x) * sizeof *values);
  return x;
}

static float at(const ir_tensor *t, int64_t i) { return ((const float *)t->data)[i]; }

static void expect_close(const ir_tensor *got, const ir_tensor *want, float tolerance) {
  assert_int_equal(ir_tensor_count(got), ir_tensor_count(want));
  for (int64_t i = 0; i < ir_tensor_count(want); i++) {
    assert_true(isfinite(at(want, i)));
    assert_float_equal(at(got, i), at(want, i), tolerance);
  }
}

#define DIMS(...)    ((const int64_t[]){__VA_ARGS__})
#define INTS(...)    ((const int32_t[]){__VA_ARGS__})
#define PAIRS(...)   ((const frontend_pair[]){__VA_ARGS__, {NULL, NULL}})
#define TENSORS(...) ((const ir_tensor *const[]){__VA_ARGS__})

static void glow_inverts(void **state) {
  (void)state; // small weights: couplings that saturate divide by almost nothing
  toy t = load_scaled("glow", "", 0.05f, PAIRS({"image_size", "8"}, {"n_levels", "2"}, {"depth", "2"}, {"width", "6"}),
                      NULL);
  const ir_tensor *x = noise_tensor(&t, "x", 4, DIMS(2, 3, 8, 8));
  ir_tensor **out = run(&t, "forward", &x);
  assert_true(fabsf(at(out[0], 0) - at(x, 0)) > 1e-6f || fabsf(at(out[0], 1) - at(x, 1)) > 1e-6f);
  expect_close(run(&t, "inverse", TENSORS(out[0]))[0], x, 1e-4f);
  arena_free(t.a);
}

// Tokens that come one by one through the cache are those of a model that sees the whole text each time.
static void llama_cache_changes_nothing(void **state) {
  (void)state;
  enum { PROMPT = 3, NEW = 5, VOCABULARY = 13, BATCH = 2, EOS = 2 };
  toy t = load("llama", "",
               PAIRS({"vocab_size", "13"}, {"hidden_size", "16"}, {"intermediate_size", "24"},
                     {"num_hidden_layers", "2"}, {"num_attention_heads", "4"}, {"num_key_value_heads", "2"},
                     {"max_new_tokens", "5"}, {"eos_token_id", "2"}),
               PAIRS({"capacity", "16"}));
  int32_t text[BATCH][PROMPT + NEW] = {{5, 9, 3}, {1, 0, 7}};
  int32_t prompt[BATCH * PROMPT];
  for (int b = 0; b < BATCH; b++) memcpy(prompt + b * PROMPT, text[b], PROMPT * sizeof *prompt);
  ir_tensor **out = run(&t, "generate", TENSORS(int_tensor(&t, 2, DIMS(BATCH, PROMPT), prompt), NULL, NULL));
  const int32_t *sequences = out[0]->data;
  int32_t length = *(const int32_t *)out[1]->data;
  bool done[BATCH] = {false};
  assert_true(length >= 1 && length <= NEW);
  for (int k = 0; k < length; k++) {
    int n = PROMPT + k;
    int32_t *ids = ARENA_ARRAY(t.a, int32_t, (size_t)(BATCH * n));
    for (int b = 0; b < BATCH; b++) memcpy(ids + b * n, text[b], (size_t)n * sizeof *ids);
    const ir_tensor *logits = run(&t, "forward", TENSORS(int_tensor(&t, 2, DIMS(BATCH, n), ids)))[0];
    for (int b = 0; b < BATCH; b++) {
      int32_t best = 0;
      for (int32_t v = 1; v < VOCABULARY; v++) {
        int64_t row = ((int64_t)b * n + n - 1) * VOCABULARY;
        if (at(logits, row + v) > at(logits, row + best)) best = v;
      }
      text[b][n] = best;
      assert_int_equal(sequences[b * NEW + k], done[b] ? EOS : best);
      done[b] |= best == EOS;
    }
  }
  for (int b = 0; b < BATCH; b++) {
    for (int k = length; k < NEW; k++) assert_int_equal(sequences[b * NEW + k], EOS);
  }
  arena_free(t.a);
}

// Masked positions are not seen: the others are as without them.
static void padding_is_not_seen(toy *t, int64_t width, size_t n_inputs) {
  const ir_tensor *const plain[3] = {int_tensor(t, 2, DIMS(1, 3), INTS(4, 1, 6)), NULL, NULL};
  const ir_tensor *const padded[3] = {int_tensor(t, 2, DIMS(1, 5), INTS(4, 1, 6, 2, 2)),
                                      int_tensor(t, 2, DIMS(1, 5), INTS(1, 1, 1, 0, 0)), NULL};
  assert_int_equal(ir_graph_find(t->m, "forward")->body->n_params, n_inputs);
  const ir_tensor *want = run(t, "forward", plain)[0], *got = run(t, "forward", padded)[0];
  for (int64_t i = 0; i < 3 * width; i++) assert_float_equal(at(got, i), at(want, i), 1e-5f);
  bool masked = false; // the mask is what did it
  const ir_tensor *const open[3] = {padded[0], NULL, NULL};
  const ir_tensor *seen = run(t, "forward", open)[0];
  for (int64_t i = 0; i < 3 * width; i++) masked |= fabsf(at(seen, i) - at(want, i)) > 1e-4f;
  assert_true(masked);
  arena_free(t->a);
}

static void bert_padding(void **state) {
  (void)state;
  toy t = load("bert", "",
               PAIRS({"vocab_size", "9"}, {"hidden_size", "8"}, {"num_hidden_layers", "2"},
                     {"num_attention_heads", "2"}, {"intermediate_size", "16"}, {"max_position_embeddings", "16"}),
               NULL);
  padding_is_not_seen(&t, 8, 3);
}

static void t5_padding(void **state) {
  (void)state;
  toy t = load("t5_encoder", "",
               PAIRS({"vocab_size", "9"}, {"d_model", "8"}, {"d_kv", "4"}, {"d_ff", "16"}, {"num_layers", "2"},
                     {"num_heads", "2"}, {"feed_forward_proj", "'gated-gelu'"}),
               NULL);
  padding_is_not_seen(&t, 8, 2);
}

static void vqgan_is_its_parts(void **state) {
  (void)state;
  toy t = load("vqgan", "",
               PAIRS({"block_out_channels", "(4, 8)"}, {"down_block_types", "('Down', 'AttnDown')"},
                     {"up_block_types", "('AttnUp', 'Up')"}, {"layers_per_block", "1"}, {"latent_channels", "4"},
                     {"num_vq_embeddings", "11"}, {"norm_num_groups", "2"}),
               NULL);
  const ir_tensor *x = noise_tensor(&t, "x", 4, DIMS(1, 3, 6, 4));
  const ir_tensor *latents = run(&t, "encode", &x)[0];
  const ir_tensor *indices = run(&t, "quantize", &latents)[0];
  for (int64_t i = 0; i < ir_tensor_count(indices); i++) { // the code that is nearest, by definition
    const float *codes = ir_weight_find(t.m, "quantize.embedding.weight")->data;
    double best = INFINITY;
    int32_t nearest = -1;
    for (int32_t k = 0; k < 11; k++) {
      double d = 0;
      for (int64_t c = 0; c < 4; c++)
        d += pow((double)at(latents, c * ir_tensor_count(indices) + i) - (double)codes[k * 4 + c], 2);
      if (d < best) best = d, nearest = k;
    }
    assert_int_equal(((const int32_t *)indices->data)[i], nearest);
  }
  expect_close(run(&t, "forward", &x)[0], run(&t, "decode_indices", &indices)[0], 1e-6f);
  arena_free(t.a);
}

// The written-out loop is the prelude's layer.
static void gru_is_the_layer(void **state) {
  (void)state;
  toy t = load("gru", "", PAIRS({"input_size", "3"}, {"hidden_size", "4"}), NULL);
  const ir_tensor *x = noise_tensor(&t, "x", 3, DIMS(2, 5, 3));
  ir_tensor **want = run(&t, "forward", TENSORS(x, NULL));
  str text =
      STR("nnc: 1\nname: layer\ndims:\n  b: 1..8\n  t: 1..8\ninputs:\n  x: f32[b, t, 3]\nsteps:\n- y, h@.: gru(x, 4)\n"
          "outputs:\n  y: y\n  h: h\n");
  toy layer = {.a = t.a};
  diag_init(&layer.l, layer.a);
  layer.m = frontend_load(layer.a, &layer.l, "layer.yaml", &text, NULL);
  if (!layer.m) fail_toy(&layer, "gru");
  fill_weights(&layer, "", 0.3f);
  ir_tensor **got = run(&layer, "forward", &x);
  for (size_t i = 0; i < 2; i++) expect_close(got[i], want[i], 1e-6f);
  arena_free(t.a);
}

// The sampler's loop over the included UNet, against the same steps taken here one by one.
static void ddim_samples(void **state) {
  (void)state;
  enum { STEPS = 3, N = 4 * 4 * 8 };
#define UNET(p)                                                                                                        \
  {p "block_out_channels", "(4, 8)"}, {p "down_block_types", "('CrossAttnDown', 'Down')"}, {p "act_fn", "'silu'"},     \
      {p "up_block_types", "('Up', 'CrossAttnUp')"}, {p "layers_per_block", "1"}, {p "cross_attention_dim", "5"},      \
      {p "attention_head_dim", "2"}, {p "norm_num_groups", "2"}
  toy sampler = load("ddim", "", PAIRS(UNET("unet.")), NULL), unet = load("sd_unet", "unet.", PAIRS(UNET("")), NULL);
  const ir_tensor *latents = noise_tensor(&sampler, "latents", 4, DIMS(1, 4, 8, 16));
  const ir_tensor *context = noise_tensor(&sampler, "context", 3, DIMS(2, 3, 5));
  const ir_tensor *got =
      run(&sampler, "forward", TENSORS(latents, context, int_tensor(&sampler, 0, NULL, INTS(STEPS)), NULL))[0];
  double cumulated[1000], product = 1;
  for (int i = 0; i < 1000; i++) {
    double root = sqrt(0.00085) + (sqrt(0.012) - sqrt(0.00085)) * i / 999;
    cumulated[i] = product *= 1 - root * root;
  }
  int64_t n = ir_tensor_count(latents);
  ir_tensor *x = noise_tensor(&unet, "latents", 4, DIMS(1, 4, 8, 16));
  for (int i = 0; i < STEPS; i++) {
    int stride = 1000 / STEPS, step = (STEPS - 1 - i) * stride + 1;
    ir_tensor *both = tensor(&unet, DT_f32, 4, DIMS(2, 4, 8, 16));
    memcpy(both->data, x->data, (size_t)n * sizeof(float));
    memcpy((float *)both->data + n, x->data, (size_t)n * sizeof(float));
    const ir_tensor *eps =
        run(&unet, "forward", TENSORS(both, int_tensor(&unet, 1, DIMS(2), INTS(step, step)), context))[0];
    double a = cumulated[step], b = cumulated[step > stride ? step - stride : 0];
    for (int64_t k = 0; k < n; k++) {
      double e = (double)at(eps, k) + 7.5 * ((double)at(eps, n + k) - (double)at(eps, k));
      double x0 = ((double)at(x, k) - sqrt(1 - a) * e) / sqrt(a);
      ((float *)x->data)[k] = (float)(sqrt(b) * x0 + sqrt(1 - b) * e);
    }
  }
  for (int64_t k = 0; k < n; k++) {
    assert_true(isfinite(at(x, k)));
    assert_float_equal(at(got, k), at(x, k), 1e-3f * (1 + fabsf(at(x, k))));
  }
  arena_free(sampler.a);
  arena_free(unet.a);
}

static void centernet_keeps_the_best(void **state) {
  (void)state;
  toy t =
      load("centernet_decode", "",
           PAIRS({"num_classes", "3"}, {"feature_channels", "4"}, {"head_conv", "4"}, {"max_detections", "6"}), NULL);
  const ir_tensor *features = noise_tensor(&t, "features", 4, DIMS(1, 4, 16, 18));
  ir_tensor *threshold = tensor(&t, DT_f32, 0, NULL);
  ir_tensor **all = run(&t, "forward", TENSORS(features, threshold));
  int64_t n = ir_tensor_count(all[1]);
  assert_int_equal(n, 6); // more than six peaks in 864 places
  for (int64_t i = 1; i < n; i++) assert_true(at(all[1], i) <= at(all[1], i - 1));
  *(float *)threshold->data = (at(all[1], 2) + at(all[1], 3)) / 2;
  ir_tensor **best = run(&t, "forward", TENSORS(features, threshold));
  assert_int_equal(best[0]->dim[0], 3);
  for (int64_t i = 0; i < 12; i++) assert_true(at(best[0], i) == at(all[0], i));
  for (int64_t i = 0; i < 3; i++) {
    int32_t class = ((const int32_t *)best[2]->data)[i];
    assert_true(class >= 0 && class < 3);
    assert_true(at(best[0], 4 * i) < 4 * 18 + 16 && at(best[0], 4 * i + 1) < 4 * 16 + 16);
  }
  arena_free(t.a);
}

static void detr_ignores_masked_pixels(void **state) {
  (void)state;
  toy t = load("detr", "",
               PAIRS({"d_model", "8"}, {"encoder_layers", "1"}, {"encoder_attention_heads", "2"},
                     {"encoder_ffn_dim", "8"}, {"decoder_layers", "1"}, {"decoder_attention_heads", "2"},
                     {"decoder_ffn_dim", "8"}, {"num_queries", "3"}, {"backbone_config.hidden_sizes", "(8, 8, 8, 8)"}),
               NULL);
  const ir_tensor *pixels = noise_tensor(&t, "pixels", 4, DIMS(1, 3, 64, 96));
  ir_tensor **open = run(&t, "forward", TENSORS(pixels, NULL));
  ir_tensor *mask = tensor(&t, DT_i32, 3, DIMS(1, 64, 96));
  for (int64_t i = 0; i < 64 * 96; i++) ((int32_t *)mask->data)[i] = 1;
  ir_tensor **ones = run(&t, "forward", TENSORS(pixels, mask));
  expect_close(ones[0], open[0], 0);
  for (int64_t i = 0; i < 64 * 96; i++) ((int32_t *)mask->data)[i] = i % 96 < 64;
  ir_tensor **part = run(&t, "forward", TENSORS(pixels, mask));
  for (int64_t i = 0; i < 12; i++) assert_true(at(part[1], i) > 0 && at(part[1], i) < 1);
  assert_true(fabsf(at(part[1], 0) - at(open[1], 0)) > 1e-6f);
  arena_free(t.a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(glow_inverts),
      cmocka_unit_test(llama_cache_changes_nothing),
      cmocka_unit_test(bert_padding),
      cmocka_unit_test(t5_padding),
      cmocka_unit_test(vqgan_is_its_parts),
      cmocka_unit_test(gru_is_the_layer),
      cmocka_unit_test(ddim_samples),
      cmocka_unit_test(centernet_keeps_the_best),
      cmocka_unit_test(detr_ignores_masked_pixels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
