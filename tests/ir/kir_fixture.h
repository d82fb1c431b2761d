// What the tests of kernel IR share: one arena and one list of messages a test, texts to kernels, messages to text.
#ifndef NNC_TESTS_IR_KIR_FIXTURE_H
#define NNC_TESTS_IR_KIR_FIXTURE_H

#include "ir/kir.h"

typedef struct kir_fixture {
  arena *a;
  diag_list l;
} kir_fixture;

int kir_setup(void **state); // *state = kir_fixture
int kir_teardown(void **state);

kir_kernel *kir_from(kir_fixture *f, const char *text); // NULL after diagnostics
kir_kernel *kir_from_file(kir_fixture *f,
                          const char *name); // tests/ir/kernels/<name>.kir; fails the test on any diagnostic
const char *kir_text(kir_fixture *f, const kir_kernel *k);
const char *kir_messages(kir_fixture *f); // all so far, rendered
bool kir_reported(const kir_fixture *f, diag_id id);

// Uniform in [-1, 1), the same on every run.
float kir_random(uint64_t *seed);

#endif
