// The zoo's models without a softmax.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zoo/zoo.h"

ZOO_LINEAR(ZOO_TEST)

int main(void) {
  const struct CMUnitTest tests[] = {ZOO_LINEAR(ZOO_ENTRY)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
