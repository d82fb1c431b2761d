// nnc bench --roofline and --svg: rates, limits and shares that follow from each other; a chart whose numbers keep
// apart.
#include "spawn.h"
#include "base/file.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static double number(const json_t *o, const char *key) {
  const json_t *v = json_object_get(o, key);
  if (!json_is_number(v)) fail_msg("`%s` is no number", key);
  return json_number_value(v);
}

// JSON texts have nine digits.
static bool same(double a, double b) { return fabs(a - b) <= 1e-7 * fmax(fabs(a), fabs(b)); }

static void rates_follow_from_each_other(void **state) {
  workplace *w = *state;
  const json_t *o =
      parse_json(w, expect_status(w, 0, "bench %s --dim batch=16 --runs 20 --threads 2 --roofline --json", DIGITS).out);
  const json_t *f = json_object_get(o, "roofline"), *list = json_object_get(f, "kernels"), *k;
  double peak = number(f, "peak_gflops"), memory = number(f, "read_gbytes_per_s");
  double flops = 0, bytes = 0, share = 0, before = INFINITY, calls = 0;
  size_t i;
  assert_true(same(peak, number(o, "peak_gflops")) && memory > 0);
  json_array_foreach(list, i, k) {
    double ms = number(k, "ms"), limit_ms = fmax(number(k, "flops") / peak, number(k, "bytes_moved") / memory) * 1e-6;
    assert_true(ms > 0 && number(k, "share") <= before);
    assert_true(same(number(k, "gflops"), number(k, "flops") / ms * 1e-6));
    assert_true(same(number(k, "gbytes_per_s"), number(k, "bytes_moved") / ms * 1e-6));
    assert_true(same(number(k, "flops_per_byte"), number(k, "flops") / number(k, "bytes_moved")));
    assert_true(same(number(k, "limit_gflops"), fmin(peak, number(k, "flops_per_byte") * memory)));
    assert_true(same(number(k, "percent_of_limit"), 100 * limit_ms / ms));
    assert_has(json_string_value(json_object_get(k, "yaml")), "digits.yaml:");
    before = number(k, "share");
    flops += number(k, "flops"), bytes += number(k, "bytes_moved"), share += before, calls += number(k, "calls");
  }
  assert_true(same(share, 1) && flops == number(o, "flops") && bytes == number(o, "bytes_moved"));
  assert_true(calls > (double)json_array_size(list)); // layers share their kernels
  assert_null(json_object_get(parse_json(w, expect_status(w, 0, "bench %s --runs 1 --json", DIGITS).out), "roofline"));
}

static void a_table_of_kernels(void **state) {
  workplace *w = *state;
  const char *text = expect_status(w, 0, "bench %s --runs 3 --roofline", DIGITS).out;
  assert_has(text, "GB/s read from memory, both measured\n");
  assert_has(text, "of limit  kernel\n  1  ");
  assert_has(text, "_attention  digits.yaml:22\n");
}

// Twelve kernels that are nearly alike: their dots lie on each other, their numbers must not.
static void numbers_keep_apart(void **state) {
  workplace *w = *state;
  write_text(w, "a&b.yaml",
             "nnc: 1\nname: alike\ninputs:\n  x: f32[32, 64]\nsteps:\n- for i in range(12):\n"
             "  - x@l{i}: linear(x, 64 + 8 * i)\noutputs:\n  y: sum(x)\n");
  expect_status(w, 0, "bench a&b.yaml --weights random --runs 5 --threads 1 --svg chart.svg");
  str file;
  assert_true(file_read(w->a, &w->l, in_folder(w, "chart.svg"), 1 << 20, &file));
  assert_has(file.p, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
  assert_has(file.p, "a&amp;b.yaml, entry forward");
  assert_has(file.p, "</svg>\n");
  double x[16], y[16];
  int n = 0, shown;
  static const char mark[] = "<text class=\"number\" ";
  for (const char *p = strstr(file.p, mark); p; p = strstr(p + 1, mark), n++) {
    assert_in_range(n, 0, 11);
    assert_int_equal(
        sscanf(p, "<text class=\"number\" text-anchor=\"middle\" x=\"%lf\" y=\"%lf\">%d<", &x[n], &y[n], &shown), 3);
    for (int i = 0; i < n; i++) assert_true(fabs(x[i] - x[n]) >= 12 || fabs(y[i] - y[n]) >= 12); // a digit: 8 by 12
  }
  assert_int_equal(n, 12);
  expect_error(w, 3, "cannot write", "bench a&b.yaml --weights random --runs 1 --json --svg absent/chart.svg");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rates_follow_from_each_other),
      cmocka_unit_test(a_table_of_kernels),
      cmocka_unit_test(numbers_keep_apart),
  };
  return cmocka_run_group_tests(tests, workplace_open, workplace_close);
}
