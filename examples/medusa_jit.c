/* Decodes with and without Medusa heads, through nnc's public API: how many bytes each step of the heads' model
 * accepts, and that the text is the same.
 *
 *   medusa_jit LLAMA.yaml MEDUSA.yaml FOLDER
 *
 * FOLDER holds config.json, model.safetensors, medusa/config.json and medusa/medusa_lm_head.safetensors, and
 * heldout.txt, of which evenly spaced pieces are the prompts. */
#define _POSIX_C_SOURCE 200809L
#include <nnc/nnc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROMPT = 56, NEW = 160, PROMPTS = 16, GUESSES = 3 };

typedef struct decoder {
  nnc_module *module;
  nnc_session *session;
} decoder;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int open_decoder(decoder *d, const char *model, size_t n, const char *const *configs,
                        const char *const *weights) {
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  options.configs = configs, options.n_configs = n;
  options.weights = weights, options.n_weights = n;
  nnc_diagnostics *messages;
  nnc_status status = nnc_module_open(&d->module, model, &options, &messages);
  for (size_t i = 0; i < nnc_diagnostics_count(messages); i++) fputs(nnc_diagnostics_get(messages, i)->text, stderr);
  nnc_diagnostics_free(messages);
  nnc_session_options one = NNC_SESSION_OPTIONS_INIT;
  one.threads = 1;
  return status || nnc_session_new(&d->session, d->module, &one);
}

static int run(decoder *d, const char *entry, nnc_tensor *in, size_t n_in, nnc_tensor *out, size_t n_out) {
  size_t i = 0;
  while (i < nnc_module_entry_count(d->module) && strcmp(nnc_module_entry_name(d->module, i), entry) != 0) i++;
  if (!nnc_run(d->session, i, in, n_in, out, n_out)) return 0;
  return fprintf(stderr, "%s: %s\n", entry, nnc_session_error(d->session)), 1;
}

/* One token behind the session's and these; the rest of the inputs have their defaults. */
static int read_tokens(decoder *d, const char *entry, int32_t *ids, int64_t n, int32_t *token) {
  nnc_tensor in[] = {nnc_tensor_of(NNC_I32, ids, 2, (int64_t[]){1, n}), nnc_tensor_of(NNC_I32, NULL, 1, (int64_t[]){1}),
                     nnc_tensor_of(NNC_F32, NULL, 0, NULL), nnc_tensor_of(NNC_F32, NULL, 2, (int64_t[]){1, 256})};
  nnc_tensor out = nnc_tensor_of(NNC_I32, token, 1, (int64_t[]){1});
  return run(d, entry, in, strcmp(entry, "next") == 0 ? 4 : 2, &out, 1);
}

static int plain(decoder *d, int32_t *ids, int32_t *made) {
  if (nnc_session_reset(d->session) || read_tokens(d, "next", ids, PROMPT, made)) return 1;
  for (int n = 1; n < NEW; n++)
    if (read_tokens(d, "next", made + n - 1, 1, made + n)) return 1;
  return 0;
}

/* Counts its steps; each gives the token that was certain before it, and those that it accepts. */
static int with_heads(decoder *d, int32_t *ids, int32_t *made, int *steps) {
  int32_t token, tokens[GUESSES + 1], count;
  if (nnc_session_reset(d->session) || read_tokens(d, "begin", ids, PROMPT, &token)) return 1;
  for (int n = 0; n < NEW; ++*steps) {
    nnc_tensor in = nnc_tensor_of(NNC_F32, NULL, 1, (int64_t[]){1});
    nnc_tensor out[] = {nnc_tensor_of(NNC_I32, tokens, 2, (int64_t[]){1, GUESSES + 1}),
                        nnc_tensor_of(NNC_I32, &count, 1, (int64_t[]){1})};
    if (run(d, "step", &in, 1, out, 2)) return 1;
    for (int i = 0; i < count && n < NEW; i++) made[n++] = tokens[i];
  }
  return 0;
}

static int compare(decoder *llama, decoder *medusa, const unsigned char *text, size_t n_text) {
  double plain_ms = 0, heads_ms = 0;
  int steps = 0;
  for (size_t k = 0; k < PROMPTS; k++) {
    int32_t ids[PROMPT], expected[NEW], made[NEW];
    for (size_t i = 0; i < PROMPT; i++) ids[i] = text[(n_text - PROMPT) * k / PROMPTS + i];
    double start = now_ms();
    if (plain(llama, ids, expected)) return 1;
    double between = now_ms();
    if (with_heads(medusa, ids, made, &steps)) return 1;
    plain_ms += between - start, heads_ms += now_ms() - between;
    if (memcmp(made, expected, sizeof made) != 0) return fprintf(stderr, "prompt %zu: the texts differ\n", k), 1;
  }
  double tokens = PROMPTS * NEW;
  printf("Medusa: %.2f tokens a step on %d held-out prompts, the same text; %.0f tokens/s, %.0f without heads\n",
         tokens / steps, PROMPTS, tokens / heads_ms * 1e3, tokens / plain_ms * 1e3);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: medusa_jit LLAMA MEDUSA FOLDER\n"), 2;
  static const char *const names[] = {"config.json", "model.safetensors", "medusa/config.json",
                                      "medusa/medusa_lm_head.safetensors", "heldout.txt"};
  static unsigned char text[1 << 16];
  char path[5][4096], base[4096 + 8];
  for (int i = 0; i < 5; i++) snprintf(path[i], sizeof path[i], "%s/%s", argv[3], names[i]);
  snprintf(base, sizeof base, "base=%s", path[0]);
  FILE *f = fopen(path[4], "rb");
  if (!f) return perror(path[4]), 1;
  size_t n_text = fread(text, 1, sizeof text, f);
  fclose(f);
  if (n_text < PROMPT) return fprintf(stderr, "%s is too short\n", path[4]), 1;

  decoder llama = {0}, medusa = {0};
  int failed = open_decoder(&llama, argv[1], 1, (const char *[]){path[0]}, (const char *[]){path[1]}) ||
               open_decoder(&medusa, argv[2], 2, (const char *[]){base, path[2]}, (const char *[]){path[1], path[3]}) ||
               compare(&llama, &medusa, text, n_text);
  nnc_session_free(llama.session), nnc_session_free(medusa.session);
  nnc_module_free(llama.module), nnc_module_free(medusa.module);
  return failed;
}
