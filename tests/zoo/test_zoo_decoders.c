// The zoo's models of one sequence that score what comes next.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "zoo/zoo.h"

ZOO_DECODERS(ZOO_TEST)

int main(void) {
  const struct CMUnitTest tests[] = {ZOO_DECODERS(ZOO_ENTRY)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
