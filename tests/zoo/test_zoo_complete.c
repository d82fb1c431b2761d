// That no checkpoint of the transformer zoo is without a program that runs it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <glob.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "zoo/zoo.h"

static bool is_run(str model) {
#define NAME(model) #model,
  static const char *const names[] = {ZOO_DECODERS(NAME) ZOO_ENCODERS(NAME) ZOO_PAIRS(NAME) ZOO_LINEAR(NAME)};
#undef NAME
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (str_eq(model, str_of(names[i]))) return true;
  return false;
}

static void every_checkpoint_is_run(void **state) {
  (void)state;
  glob_t found;
  assert_int_equal(glob(NNC_SOURCE_DIR "/tests/zoo/*-*", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *name = strrchr(found.gl_pathv[i], '/') + 1;
    if (!is_run((str){name, strcspn(name, "-")})) fail_msg("no program runs %s", name);
  }
  globfree(&found);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_checkpoint_is_run)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
