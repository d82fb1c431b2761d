// The ten example models: they elaborate without a word, their graphs verify and read back, and their weights are those
// of the published checkpoints: the exact number of parameters in every configuration, as for the transformer zoo, and
// names taken from the checkpoints.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"

typedef struct loaded {
  arena *a;
  diag_list l;
  ir_module *m;
} loaded;

static const char *messages(loaded *x) {
  strbuf b;
  sb_init(&b, x->a);
  diag_render_all(&x->l, false, &b);
  return sb_cstr(&b);
}

#define EXAMPLES "tests/models"
#define ZOO      "models/transformer"

static void load(loaded *x, const char *folder, const char *name, size_t n_sets, const frontend_pair *sets) {
  x->a = arena_new(NULL);
  assert_non_null(x->a);
  if (setjmp(*arena_guard(x->a))) fail_msg("%s: the arena unwound", name);
  diag_init(&x->l, x->a);
  const char *path = str_fmt(x->a, "%s/%s/%s.yaml", NNC_SOURCE_DIR, folder, name);
  x->m = frontend_load(x->a, &x->l, path, NULL, &(frontend_options){.n_sets = n_sets, .sets = sets});
  if (!x->m || x->l.items.n) fail_msg("%s says\n%s", name, messages(x));
}

enum { MAX_SETS = 8 };

typedef struct configuration {
  const char *name;
  uint64_t parameters;
  frontend_pair sets[MAX_SETS]; // up to the first without a key
} configuration;

static void check_count(const char *folder, const configuration *c) {
  size_t n_sets = 0;
  while (n_sets < MAX_SETS && c->sets[n_sets].key) n_sets++;
  loaded x;
  load(&x, folder, c->name, n_sets, c->sets);
  if (!graph_verify(x.m)) fail_msg("%s does not verify\n%s", c->name, messages(&x));
  uint64_t n = frontend_parameter_count(x.m);
  if (n != c->parameters)
    fail_msg("%s, %zu sets: %llu parameters, not %llu", c->name, n_sets, (unsigned long long)n,
             (unsigned long long)c->parameters);
  arena_free(x.a);
}

// clang-format off
#define LLAMA_1B \
  {"vocab_size", "128256"}, {"hidden_size", "2048"}, {"intermediate_size", "8192"}, {"num_hidden_layers", "16"}, \
  {"num_key_value_heads", "8"}, {"tie_word_embeddings", "True"}
// clang-format on

// Counts of the published models, by their configurations.
static const configuration configurations[] = {
    {"bert", 109482240, {{0}}}, // BERT-base with pooler
    {"bert",
     335141888,
     {{"hidden_size", "1024"},
      {"num_hidden_layers", "24"},
      {"num_attention_heads", "16"},
      {"intermediate_size", "4096"}}}, // BERT-large
    {"llama", 6738415616, {{0}}},      // Llama-7B
    {"llama", 1235814400, {LLAMA_1B}},
    {"t5_encoder", 35330816, {{0}}}, // T5-small
    {"t5_encoder",
     4762310656,
     {{"d_model", "4096"},
      {"d_ff", "10240"},
      {"num_layers", "24"},
      {"num_heads", "64"},
      {"feed_forward_proj", "'gated-gelu'"}}}, // T5 v1.1 XXL
    {"sd_unet", 859520964, {{0}}},             // Stable Diffusion 1.5
    {"sd_unet",
     865910724,
     {{"cross_attention_dim", "1024"},
      {"attention_head_dim", "(5, 10, 20, 20)"},
      {"use_linear_projection", "True"}}}, // Stable Diffusion 2.1
    {"ddim", 859520964, {{0}}},
    {"ddim",
     865910724,
     {{"unet.cross_attention_dim", "1024"},
      {"unet.attention_head_dim", "(5, 10, 20, 20)"},
      {"unet.use_linear_projection", "True"}}},
    {"vqgan", 72141699, {{0}}}, // f16, 1,024 codes
    {"vqgan", 76073859, {{"num_vq_embeddings", "16384"}}},
    {"vqgan",
     55322782,
     {{"block_out_channels", "(128, 256, 512)"},
      {"down_block_types", "('Down', 'Down', 'Down')"},
      {"up_block_types", "('Up', 'Up', 'Up')"},
      {"latent_channels", "3"},
      {"num_vq_embeddings", "8192"}}}, // vq-f4
    {"detr", 41577888, {{0}}},         // DETR-R50
    {"glow", 44562132, {{0}}},         // CIFAR-10
    {"gru", 259584, {{0}}},
    {"centernet_decode", 116244, {{0}}},
};

// What torch counts for the class that the model follows, at these sizes. Marian's has the bias of its logits besides,
// a buffer there; those of OadTR lack 8,192 that its program never uses.
static const configuration zoo[] = {
    {"gpt2", 124439808, {{0}}},
    {"gpt2", 354823168, {{"n_embd", "1024"}, {"n_layer", "24"}, {"n_head", "16"}}}, // GPT-2 medium
    {"llama", 6738415616, {{0}}},                                                   // Llama-7B
    {"llama", 1235814400, {LLAMA_1B}},                                              // Llama-3.2-1B
    {"vit", 86389248, {{0}}},                                                       // ViT-B/16
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

static void parameter_counts(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof configurations / sizeof *configurations; i++) check_count(EXAMPLES, &configurations[i]);
  for (size_t i = 0; i < sizeof zoo / sizeof *zoo; i++) check_count(ZOO, &zoo[i]);
}

// -- names --

typedef struct expected_weight {
  const char *model, *name, *type;
  bool is_buffer;
} expected_weight;

static const expected_weight expected_weights[] = {
    {"bert", "embeddings.word_embeddings.weight", "f32[30522,768]", false},
    {"bert", "embeddings.LayerNorm.bias", "f32[768]", false},
    {"bert", "encoder.layer.11.attention.self.query.weight", "f32[768,768]", false},
    {"bert", "encoder.layer.0.attention.output.LayerNorm.weight", "f32[768]", false},
    {"bert", "encoder.layer.3.intermediate.dense.bias", "f32[3072]", false},
    {"bert", "pooler.dense.weight", "f32[768,768]", false},
    {"llama", "model.embed_tokens.weight", "f32[32000,4096]", false},
    {"llama", "model.layers.31.self_attn.o_proj.weight", "f32[4096,4096]", false},
    {"llama", "model.layers.0.mlp.gate_proj.weight", "f32[11008,4096]", false},
    {"llama", "model.layers.5.post_attention_layernorm.weight", "f32[4096]", false},
    {"llama", "lm_head.weight", "f32[32000,4096]", false},
    {"t5_encoder", "shared.weight", "f32[32128,512]", false},
    {"t5_encoder", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "f32[32,8]", false},
    {"t5_encoder", "encoder.block.5.layer.1.DenseReluDense.wo.weight", "f32[512,2048]", false},
    {"sd_unet", "time_embedding.linear_1.weight", "f32[1280,320]", false},
    {"sd_unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", "f32[640,768]", false},
    {"sd_unet", "down_blocks.2.resnets.0.conv_shortcut.weight", "f32[1280,640,1,1]", false},
    {"sd_unet", "mid_block.attentions.0.proj_in.weight", "f32[1280,1280,1,1]", false},
    {"sd_unet", "up_blocks.3.resnets.2.conv1.weight", "f32[320,640,3,3]", false},
    {"sd_unet", "up_blocks.0.upsamplers.0.conv.weight", "f32[1280,1280,3,3]", false},
    {"ddim", "unet.conv_in.weight", "f32[320,4,3,3]", false},
    {"ddim", "unet.up_blocks.1.attentions.2.transformer_blocks.0.ff.net.0.proj.bias", "f32[10240]", false},
    {"vqgan", "encoder.down_blocks.4.attentions.1.to_out.0.weight", "f32[512,512]", false},
    {"vqgan", "quantize.embedding.weight", "f32[1024,256]", false},
    {"vqgan", "decoder.mid_block.resnets.1.norm2.bias", "f32[512]", false},
    {"vqgan", "post_quant_conv.weight", "f32[256,256,1,1]", false},
    {"detr", "model.backbone.conv_encoder.model.encoder.stages.3.layers.0.shortcut.convolution.weight",
     "f32[2048,1024,1,1]", false},
    {"detr", "model.backbone.conv_encoder.model.embedder.embedder.normalization.running_var", "f32[64]", true},
    {"detr", "model.decoder.layers.5.encoder_attn.k_proj.bias", "f32[256]", false},
    {"detr", "model.query_position_embeddings.weight", "f32[100,256]", false},
    {"detr", "bbox_predictor.layers.2.weight", "f32[4,256]", false},
    {"glow", "model.0.0.actnorm_center.b", "f32[1,1,1,12]", false},
    {"glow", "model.2.31.f1.l_1.W", "f32[3,3,25,512]", false},
    {"glow", "model.1.7.f1.l_last.logs", "f32[1,24]", false},
    {"glow", "model.pool0.conv.b", "f32[1,1,1,12]", false},
    {"gru", "weight_hh_l0", "f32[768,256]", false},
    {"centernet_decode", "hm.2.bias", "f32[80]", false},
    {"centernet_decode", "wh.0.weight", "f32[64,64,3,3]", false},
};

static void weight_names(void **state) {
  (void)state;
  loaded x = {0};
  const char *model = "";
  for (size_t i = 0; i < sizeof expected_weights / sizeof *expected_weights; i++) {
    const expected_weight *e = &expected_weights[i];
    if (strcmp(model, e->model)) {
      arena_free(x.a);
      load(&x, EXAMPLES, model = e->model, 0, NULL);
    }
    const ir_weight *w = ir_weight_find(x.m, e->name);
    if (!w) fail_msg("%s has no weight %s", e->model, e->name);
    strbuf b;
    sb_init(&b, x.a);
    ir_type_print(&b, w->type);
    assert_string_equal(sb_cstr(&b), e->type);
    assert_int_equal(w->is_buffer, e->is_buffer);
  }
  arena_free(x.a);
}

// -- entries --

typedef struct expected_entry {
  const char *model, *entry, *outputs;
} expected_entry;

static const expected_entry expected_entries[] = {
    {"bert", "forward", "last_hidden_state: f32[batch,seq,768], pooler_output: f32[batch,768]"},
    {"centernet_decode", "forward", "boxes: f32[kept,4], scores: f32[kept], classes: i32[kept]"},
    {"ddim", "forward", "latents: f32[batch,4,height,width]"},
    {"detr", "forward", "logits: f32[batch,100,92], pred_boxes: f32[batch,100,4]"},
    {"glow", "forward", "eps: f32[batch,3072], log_prob: f32[batch], bits_per_dim: f32[batch]"},
    {"glow", "inverse", "x: f32[batch,3,32,32]"},
    {"gru", "forward", "output: f32[batch,seq,256], h_n: f32[batch,256]"},
    {"llama", "forward", "logits: f32[batch,t,32000]"},
    {"llama", "generate", "sequences: i32[batch,256], length: i32[]"},
    {"sd_unet", "forward", "sample: f32[batch,4,height,width]"},
    {"t5_encoder", "forward", "last_hidden_state: f32[batch,seq,512]"},
    {"vqgan", "encode", "latents: f32[batch,256,height//16,width//16]"},
    {"vqgan", "quantize", "indices: i32[batch,rows,cols]"},
    {"vqgan", "decode_indices", "sample: f32[batch,3,16*rows,16*cols]"},
    {"vqgan", "forward", "sample: f32[batch,3,height,width]"},
};

static uint32_t count_checks(const ir_region *r) {
  uint32_t n = 0;
  for (const ir_node *node = r->first; node; node = node->next) {
    n += node->op == OP_check;
    for (uint32_t i = 0; i < node->n_regions; i++) n += count_checks(node->regions[i]);
  }
  return n;
}

static void entry_types(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof expected_entries / sizeof *expected_entries; i++) {
    const expected_entry *e = &expected_entries[i];
    loaded x;
    load(&x, EXAMPLES, e->model, 0, NULL);
    const ir_graph *g = ir_graph_find(x.m, e->entry);
    assert_non_null(g);
    strbuf b;
    sb_init(&b, x.a);
    for (uint32_t k = 0; k < g->body->n_yields; k++) {
      sb_fmt(&b, "%s%s: ", k ? ", " : "", g->output_names[k]);
      ir_type_print(&b, g->body->yields[k]->type);
    }
    assert_string_equal(sb_cstr(&b), e->outputs);
    // Every shape is proved by the compiler, `height step 8` and all; only a cache that may be full is left to the run.
    if (strcmp(e->model, "llama")) assert_int_equal(count_checks(g->body), 0);
    arena_free(x.a);
  }
}

// -- text --

// The printed module reads back as the same module.
static void round_trips(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof configurations / sizeof *configurations; i++) {
    if (configurations[i].sets[0].key) continue;
    loaded x;
    load(&x, EXAMPLES, configurations[i].name, 0, NULL);
    strbuf first, second;
    sb_init(&first, x.a);
    sb_init(&second, x.a);
    graph_print(&first, x.m, false);
    diag_list l;
    diag_init(&l, x.a);
    ir_module *again = graph_parse(x.a, &l, diag_add_file(&l, "printed", sb_str(&first)));
    if (!again) {
      diag_render_all(&l, false, &second);
      fail_msg("%s does not read back\n%s", configurations[i].name, sb_cstr(&second));
    }
    graph_print(&second, again, false);
    assert_true(str_eq(sb_str(&first), sb_str(&second)));
    arena_free(x.a);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(parameter_counts), cmocka_unit_test(weight_names),
                                     cmocka_unit_test(entry_types), cmocka_unit_test(round_trips)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
