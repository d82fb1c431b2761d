/* Continues a text with the library that `nnc compile models/transformer/llama.yaml` writes for the model of
 * models/text: no nnc, no LLVM, only llama.h and llama.so. The same bytes as complete_jit.
 *
 *   complete_aot PROMPT BYTES TEMPERATURE SEED */
#include "llama.h"
#include "noise.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 256, CONTEXT = 256 };

int main(int argc, char **argv) {
  if (argc != 5) return fprintf(stderr, "usage: complete_aot PROMPT BYTES TEMPERATURE SEED\n"), 2;
  long n = (long)strlen(argv[1]), n_new = strtol(argv[2], NULL, 10);
  float temperature = strtof(argv[3], NULL), noise[VOCABULARY];
  uint64_t state = strtoull(argv[4], NULL, 10);
  int32_t text[CONTEXT];
  if (n < 1 || n_new < 1 || n_new > CONTEXT - n)
    return fprintf(stderr, "prompt and continuation have at most %d bytes\n", CONTEXT), 2;
  for (long i = 0; i < n; i++) text[i] = (unsigned char)argv[1][i];

  llama_session *session;
  int failed = llama_open(&session, 1);
  for (long k = 0; k < n_new && !failed; k++) { /* the prompt at once, then byte by byte */
    uniform(&state, noise, VOCABULARY);
    failed = llama_next(session, 1, k ? 1 : n, k ? text + n + k - 1 : text, NULL, &temperature, noise, text + n + k);
  }
  if (failed) fprintf(stderr, "%s\n", session ? llama_error(session) : "out of memory");
  llama_close(session);
  for (long i = 0; i < n + n_new && !failed; i++) putchar(text[i]);
  putchar('\n');
  return failed;
}
