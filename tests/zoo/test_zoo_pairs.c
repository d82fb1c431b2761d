// The zoo's models of two sequences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zoo/zoo.h"

ZOO_PAIRS(ZOO_TEST)

int main(void) {
  const struct CMUnitTest tests[] = {ZOO_PAIRS(ZOO_ENTRY)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
