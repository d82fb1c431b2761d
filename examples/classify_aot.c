/* Classifies digits with the library that `nnc compile models/vision/digits.yaml` writes: no nnc, no LLVM, only
 * digits.h and digits.so. Images come on standard input, 64 floats each, ink 0 to 1; a line each goes out: the digit
 * and its probability. */
#include "digits.h"
#include <stdio.h>

int main(void) {
  digits_session *session;
  float image[64], logits[10], probability[10];
  if (digits_open(&session, 1)) return 1;
  while (fread(image, sizeof image, 1, stdin) == 1) {
    int best = 0;
    if (digits_forward(session, 1, image, logits, probability))
      return fprintf(stderr, "%s\n", digits_error(session)), 1;
    for (int i = 1; i < 10; i++) best = probability[i] > probability[best] ? i : best;
    printf("%d %.9g\n", best, (double)probability[best]);
  }
  digits_close(session);
  return 0;
}
