// Loops and state on a device: a run waits for it as often as the host must know what it computes, whatever the number
// of turns: never inside a loop with a count, once a turn for the condition of a `while`, once at the end.
#include "device_case.h"
#include "api/handles.h"
#include "watched_api.h"

// A sampler: each turn makes noise from its number, and takes a step; the state counts the calls.
static const char sampler[] = "nnc: 1\nname: sampler\nstate:\n  calls: i32 = 0\nentries:\n  forward:\n    inputs:\n"
                              "      x: f32[4, 8]\n      turns: i32\n    steps:\n    - update calls: calls + 1\n"
                              "    - y: x\n"
                              "    - loop i in range(turns):\n"
                              "      - noise: normal(7 + i, 4, 8)\n"
                              "      - y: 0.9 * y - 0.1 * tanh(y) + 0.01 * noise\n"
                              "    outputs:\n      y: y\n      calls: calls\n";
// The number of turns is the model's own.
static const char fixed[] = "nnc: 1\nname: fixed\ninputs:\n  x: f32[4, 8]\nsteps:\n- y: x\n"
                            "- loop i in range(30):\n  - y: 0.9 * y + 0.01 * cast(i, f32)\noutputs:\n  y: y\n";
static const char halving[] = "nnc: 1\nname: halving\ninputs:\n  x: f32[4, 8]\nsteps:\n- y: x\n"
                              "- while amax(abs(y)) > 0.01, max 100:\n  - y: 0.5 * y\noutputs:\n  y: y\n";

static float x[32], y[32], z[32];

static nnc_status run(nnc_session *s, float *to, int32_t *turns, int32_t *calls) {
  nnc_tensor in[] = {nnc_tensor_of(NNC_F32, x, 2, (const int64_t[]){4, 8}), nnc_tensor_of(NNC_I32, turns, 0, NULL)};
  nnc_tensor out[] = {nnc_tensor_of(NNC_F32, to, 2, (const int64_t[]){4, 8}), nnc_tensor_of(NNC_I32, calls, 0, NULL)};
  return nnc_run(s, 0, in, turns ? 2 : 1, out, calls ? 2 : 1);
}

typedef struct both {
  nnc_module *device, *cpu;
  nnc_session *on_device, *on_cpu;
} both;

static both open_both(const char *text) {
  both b = {.device = open_on("opencl", NULL, text, NULL), .cpu = open_on(NULL, NULL, text, NULL)};
  watch_calls(&b.device->job->opencl->api);
  assert_int_equal(nnc_session_new(&b.on_device, b.device, NULL), NNC_OK);
  assert_int_equal(nnc_session_new(&b.on_cpu, b.cpu, NULL), NNC_OK);
  for (int i = 0; i < 32; i++) x[i] = (float)(i % 13 - 6) / 6;
  return b;
}

static void close_both(both *b) {
  nnc_session_free(b->on_device);
  nnc_session_free(b->on_cpu);
  nnc_module_free(b->device);
  nnc_module_free(b->cpu);
}

static int waits_of(both *b, int32_t *turns, int32_t *calls) {
  int32_t again;
  count_from_here();
  assert_int_equal(run(b->on_device, y, turns, calls), NNC_OK);
  int n = waits();
  assert_int_equal(run(b->on_cpu, z, turns, calls ? &again : NULL), NNC_OK);
  assert_true(error_of(y, z, 32) <= DEVICE_BOUND);
  if (calls) assert_int_equal(*calls, again);
  return n;
}

static void a_sampler_waits_at_the_end(void **state) {
  (void)state;
  needs_device();
  both b = open_both(sampler);
  int32_t turns = 2, calls;
  (void)waits_of(&b, &turns, &calls); // the first run makes memory
  int of_two = waits_of(&b, &turns, &calls);
  assert_in_range(of_two, 1, 3); // data errors before the loop, the number of turns, the end
  turns = 50;
  assert_int_equal(waits_of(&b, &turns, &calls), of_two);
  assert_int_equal(calls, 3);
  assert_true(calls_of(WATCHED_clEnqueueNDRangeKernel) >= turns);
  close_both(&b);
  b = open_both(fixed);
  (void)waits_of(&b, NULL, NULL);
  assert_in_range(waits_of(&b, NULL, NULL), 1, of_two);
  close_both(&b);
}

static void a_condition_is_waited_for(void **state) {
  (void)state;
  needs_device();
  both b = open_both(halving);
  (void)waits_of(&b, NULL, NULL);
  int n = waits_of(&b, NULL, NULL); // 1 to 2^-7: seven turns, and the one that finds it done
  assert_in_range(n, 8, 2 * 8 + 2);
  close_both(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_sampler_waits_at_the_end),
                                     cmocka_unit_test(a_condition_is_waited_for)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
