// The models of models/transformer in the small configurations of tests/zoo, with random weights: on a device beside
// the CPU, each output within DEVICE_BOUND of its largest magnitude. tests/zoo holds the CPU to what other libraries
// compute.
#include "device_case.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT NNC_SOURCE_DIR "/"

typedef struct model_case {
  const char *model, *folder; // of models/transformer, of tests/zoo
  const char *base;           // config of an included model, or NULL
  const char *entry, *dims;
  int calls;     // with the state going on
  int32_t below; // integer inputs
} model_case;

// The first five in every run, all with NNC_CASES=all: the driver compiles for ten seconds and more a model, as long as
// its cache has none of the kernels. Under ASan, where nothing but that takes the time, the first two.
static const model_case cases[] = {
    {"vit", "vit-ragged", NULL, "forward", "batch=2", 1, 2},
    {"t5_encoder", "t5_encoder-gated", NULL, "forward", "batch=2 seq=7", 1, 40},
    {"oadtr", "oadtr-small", NULL, "forward", "batch=3", 1, 2},
    {"flash", "flash-mixed-causal", NULL, "forward", "batch=2 seq=11", 1, 40},
    {"medusa", "medusa-mha", "base=" ROOT "tests/zoo/medusa-mha/config.base.json", "begin", "batch=1 t=5", 2, 40},
    {"linear_transformer", "linear_transformer-causal", NULL, "forward", "batch=2 seq=9", 1, 40},
    {"clip_text", "clip_text-eos", NULL, "forward", "batch=2 seq=8", 1, 40},
    {"transformer", "transformer-pre", NULL, "forward", "batch=2 src_len=5 tgt_len=7", 1, 40},
    {"marian", "marian-apart", NULL, "forward", "batch=2 seq=6 decoder_seq=5", 1, 40},
    {"llama", "llama-gqa", NULL, "decode", "batch=2 t=3", 3, 40},
};
#if defined(__SANITIZE_ADDRESS__)
enum { N_USUAL = 2 };
#else
enum { N_USUAL = 5 };
#endif

static size_t case_count(void) {
  const char *asked = getenv("NNC_CASES");
  return asked && !strcmp(asked, "all") ? sizeof cases / sizeof *cases : N_USUAL;
}

static void on_a_device_as_on_the_cpu(void **state) {
  (void)state;
  needs_device();
  for (size_t i = 0; i < case_count(); i++) {
    static const char *const weights[] = {"random:1"};
    const model_case *m = &cases[i];
    char path[512], config[512];
    snprintf(path, sizeof path, ROOT "models/transformer/%s.yaml", m->model);
    snprintf(config, sizeof config, ROOT "tests/zoo/%s/config.json", m->folder);
    const char *const configs[] = {config, m->base};
    nnc_compile_options o = NNC_COMPILE_OPTIONS_INIT;
    o.configs = configs, o.n_configs = m->base ? 2 : 1;
    o.weights = weights, o.n_weights = 1;
    print_message("%s\n", m->folder);
    nnc_module *device = open_on("opencl", path, NULL, &o), *cpu = open_on(NULL, path, NULL, &o);
    compare_with_cpu(device, cpu, m->entry, m->dims, m->calls, m->below);
    nnc_module_free(device);
    nnc_module_free(cpu);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(on_a_device_as_on_the_cpu)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
