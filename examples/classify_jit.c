/* Classifies digits through nnc's public API: the YAML model is compiled in this process.
 *
 *   classify_jit MODEL.yaml HELDOUT.safetensors PIXELS PREDICTIONS IMAGE.png...
 *
 * Draws every image with its label (the first character of the file's name), the prediction and its probability; says
 * how long compiling and running take; and counts right answers on the held-out images. PIXELS receives the images as
 * floats and PREDICTIONS a line each, for comparison with classify_aot. */
#define _POSIX_C_SOURCE 200809L
#include "digit_files.h"
#include <nnc/nnc.h>
#include <time.h>

enum { COLUMNS = 5, BATCH = 64, TIMED_RUNS = 1001 };

static int best_of(const float *p) {
  int best = 0;
  for (int i = 1; i < CLASSES; i++)
    if (p[i] > p[best]) best = i;
  return best;
}

/* Runs `n` images; probabilities into p[n][10]. */
static nnc_status classify(nnc_session *s, float *images, int64_t n, float *p) {
  static float logits[BATCH * CLASSES];
  nnc_tensor in = nnc_tensor_of(NNC_F32, images, 3, (int64_t[]){n, SIDE, SIDE});
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, logits, 2, (int64_t[]){n, CLASSES}),
                      nnc_tensor_of(NNC_F32, p, 2, (int64_t[]){n, CLASSES})};
  nnc_status status = nnc_run(s, 0, &in, 1, out, 2);
  if (status) fprintf(stderr, "%s\n", nnc_session_error(s));
  return status;
}

static void draw(const float (*images)[PIXELS], const float (*p)[CLASSES], char **paths, int n) {
  static const char ink[] = " .:-=+*#%@";
  for (int y = 0; y < SIDE; y++) {
    for (int i = 0; i < n; i++) {
      for (int x = 0; x < SIDE; x++) {
        char c = ink[(int)(images[i][y * SIDE + x] * 9.0f + 0.5f)];
        printf("%c%c", c, c);
      }
      printf("    ");
    }
    putchar('\n');
  }
  for (int i = 0; i < n; i++) {
    const char *slash = strrchr(paths[i], '/');
    int best = best_of(p[i]);
    printf("%c is read as %d %3.0f%% ", slash ? slash[1] : paths[i][0], best, 100 * (double)p[i][best]);
  }
  printf("\n\n");
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median_us(nnc_session *s, float *image) {
  static double us[TIMED_RUNS];
  float p[CLASSES];
  for (int i = 0; i < TIMED_RUNS; i++) {
    double start = now_us();
    if (classify(s, image, 1, p)) return 0;
    us[i] = now_us() - start;
  }
  qsort(us, TIMED_RUNS, sizeof *us, ascending);
  return us[TIMED_RUNS / 2];
}

static size_t count_right(nnc_session *s, const heldout *h) {
  static float images[BATCH * PIXELS], p[BATCH][CLASSES];
  size_t right = 0;
  for (size_t at = 0; at < h->n; at += BATCH) {
    size_t n = h->n - at < BATCH ? h->n - at : BATCH;
    for (size_t i = 0; i < n * PIXELS; i++) images[i] = (float)h->images[at * PIXELS + i] / 16.0f;
    if (classify(s, images, (int64_t)n, p[0])) return 0;
    for (size_t i = 0; i < n; i++) right += best_of(p[i]) == h->labels[at + i];
  }
  return right;
}

static int classify_files(nnc_session *s, char **paths, int n, FILE *pixels, FILE *predictions) {
  float images[COLUMNS][PIXELS], p[COLUMNS][CLASSES];
  for (int i = 0; i < n; i++) {
    if (!read_digit(paths[i], images[i])) return fprintf(stderr, "%s is no 8x8 PNG\n", paths[i]), 1;
    if (classify(s, images[i], 1, p[i])) return 1;
    fwrite(images[i], sizeof images[i], 1, pixels);
    fprintf(predictions, "%d %.9g\n", best_of(p[i]), (double)p[i][best_of(p[i])]);
  }
  draw((const float(*)[PIXELS])images, (const float(*)[CLASSES])p, paths, n);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 6) return fprintf(stderr, "usage: classify_jit MODEL HELDOUT PIXELS PREDICTIONS IMAGE...\n"), 2;
  nnc_module *module;
  nnc_diagnostics *diagnostics;
  nnc_status status = nnc_module_open(&module, argv[1], NULL, &diagnostics);
  for (size_t i = 0; i < nnc_diagnostics_count(diagnostics); i++)
    fputs(nnc_diagnostics_get(diagnostics, i)->text, stderr);
  nnc_diagnostics_free(diagnostics);
  nnc_session *session;
  nnc_session_options options = NNC_SESSION_OPTIONS_INIT;
  options.threads = 1;
  if (status || nnc_session_new(&session, module, &options)) return 1;

  FILE *pixels = fopen(argv[3], "wb"), *predictions = fopen(argv[4], "w");
  heldout h;
  int failed = !pixels || !predictions || !read_heldout(argv[2], &h);
  for (int i = 5; i < argc && !failed; i += COLUMNS)
    failed = classify_files(session, argv + i, argc - i < COLUMNS ? argc - i : COLUMNS, pixels, predictions);
  if (!failed) {
    nnc_module_stats stats;
    float image[PIXELS];
    nnc_module_get_stats(module, &stats);
    read_digit(argv[5], image);
    size_t right = count_right(session, &h);
    printf("compiled in %.1f ms: %llu parameters, %llu kernels\n", stats.total_ms, (unsigned long long)stats.parameters,
           (unsigned long long)stats.kernels);
    printf("one image takes %.1f us on one thread\n", median_us(session, image));
    printf("held-out images: %zu of %zu right, %.2f%%\n", right, h.n, 100.0 * (double)right / (double)h.n);
    free(h.images), free(h.labels);
  }
  if (pixels) failed |= fclose(pixels) != 0;
  if (predictions) failed |= fclose(predictions) != 0;
  nnc_session_free(session);
  nnc_module_free(module);
  return failed;
}
