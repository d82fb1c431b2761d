/* Continues a text with the byte-level language model of models/text, through nnc's public API: the YAML model is
 * compiled in this process, and keys and values stay in the session, so that each byte costs one step of the model.
 *
 *   complete_jit MODEL.yaml CONFIG.json WEIGHTS.safetensors [PROMPT [BYTES [TEMPERATURE [SEED]]]]
 *
 * PROMPT, and up to BYTES bytes behind it as they come, go to standard output; how long it took to standard error.
 * TEMPERATURE 0, the default, takes the likeliest byte; a higher one draws, from noise that SEED decides. */
#define _POSIX_C_SOURCE 200809L
#include "noise.h"
#include <nnc/nnc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VOCABULARY = 256, CONTEXT = 256 };

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static size_t entry_named(const nnc_module *m, const char *name) {
  size_t i = 0;
  while (i < nnc_module_entry_count(m) && strcmp(nnc_module_entry_name(m, i), name) != 0) i++;
  return i;
}

typedef struct sampler {
  nnc_session *session;
  size_t entry; /* `next` */
  float temperature;
  uint64_t noise;
} sampler;

/* The byte behind what the session has seen and these `n` bytes; -1 after a message. */
static int next_byte(sampler *s, int32_t *ids, int64_t n) {
  static float noise[VOCABULARY];
  uniform(&s->noise, noise, VOCABULARY);
  int32_t token;
  nnc_tensor in[] = {nnc_tensor_of(NNC_I32, ids, 2, (int64_t[]){1, n}), nnc_tensor_of(NNC_I32, NULL, 1, (int64_t[]){1}),
                     nnc_tensor_of(NNC_F32, &s->temperature, 0, NULL),
                     nnc_tensor_of(NNC_F32, noise, 2, (int64_t[]){1, VOCABULARY})};
  nnc_tensor out = nnc_tensor_of(NNC_I32, &token, 1, (int64_t[]){1});
  if (nnc_run(s->session, s->entry, in, 4, &out, 1)) return fprintf(stderr, "%s\n", nnc_session_error(s->session)), -1;
  return token;
}

static int complete(sampler *s, const char *prompt, int64_t n_new) {
  int32_t ids[CONTEXT];
  int64_t n = (int64_t)strlen(prompt);
  for (int64_t i = 0; i < n; i++) ids[i] = (unsigned char)prompt[i];
  fputs(prompt, stdout);
  double start = now_ms(), first = start;
  for (int64_t k = 0; k < n_new; k++) {
    int token = next_byte(s, ids, k ? 1 : n);
    if (token < 0) return 1;
    if (k == 0) first = now_ms();
    ids[0] = token;
    putchar(token);
    fflush(stdout);
  }
  putchar('\n');
  double rest = now_ms() - first;
  fprintf(stderr, "%lld bytes read in %.1f ms", (long long)n, first - start);
  if (n_new > 1) fprintf(stderr, ", then %.0f tokens/s on one thread", (double)(n_new - 1) / rest * 1e3);
  fputc('\n', stderr);
  return 0;
}

static nnc_module *open_model(const char *path, const char *config, const char *weights) {
  nnc_compile_options options = NNC_COMPILE_OPTIONS_INIT;
  options.configs = &config, options.n_configs = 1;
  options.weights = &weights, options.n_weights = 1;
  nnc_module *m;
  nnc_diagnostics *messages;
  nnc_module_open(&m, path, &options, &messages);
  for (size_t i = 0; i < nnc_diagnostics_count(messages); i++) fputs(nnc_diagnostics_get(messages, i)->text, stderr);
  nnc_diagnostics_free(messages);
  return m;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 8)
    return fprintf(stderr, "usage: complete_jit MODEL CONFIG WEIGHTS [PROMPT [BYTES [TEMPERATURE [SEED]]]]\n"), 2;
  const char *prompt = argc > 4 ? argv[4] : "And it came to pass in those days, that ";
  size_t n = strlen(prompt);
  if (n == 0 || n >= CONTEXT) return fprintf(stderr, "a prompt has 1 to %d bytes\n", CONTEXT - 1), 2;
  int64_t n_new = argc > 5 ? strtol(argv[5], NULL, 10) : CONTEXT - (int64_t)n;
  if (n_new < 1 || n_new > CONTEXT - (int64_t)n)
    return fprintf(stderr, "behind this prompt there is room for 1 to %d bytes\n", CONTEXT - (int)n), 2;

  double start = now_ms();
  nnc_module *module = open_model(argv[1], argv[2], argv[3]);
  if (!module) return 1;
  nnc_module_stats stats;
  nnc_module_get_stats(module, &stats);
  fprintf(stderr, "ready in %.0f ms: %llu parameters, %llu kernels\n", now_ms() - start,
          (unsigned long long)stats.parameters, (unsigned long long)stats.kernels);

  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  options.threads = 1;
  sampler s = {.entry = entry_named(module, "next"),
               .temperature = argc > 6 ? strtof(argv[6], NULL) : 0,
               .noise = argc > 7 ? strtoull(argv[7], NULL, 10) : 0};
  int failed = nnc_session_new(&s.session, module, &options) || nnc_session_set_dim(s.session, "capacity", CONTEXT) ||
               complete(&s, prompt, n_new);
  nnc_session_free(s.session);
  nnc_module_free(module);
  return failed;
}
