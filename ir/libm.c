// The routines of libm that kernels may call: see libm.h.
#include "ir/libm.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const libm_routine routines[] = {
    {"exp", exp, NULL},   {"expm1", expm1, NULL}, {"log", log, NULL},   {"log1p", log1p, NULL}, {"sin", sin, NULL},
    {"cos", cos, NULL},   {"tan", tan, NULL},     {"atan", atan, NULL}, {"tanh", tanh, NULL},   {"erf", erf, NULL},
    {"erfc", erfc, NULL}, {"pow", NULL, pow},     {"fmod", NULL, fmod}};

const libm_routine *libm_find(const char *name) {
  for (size_t i = 0; i < sizeof routines / sizeof *routines; i++)
    if (strcmp(routines[i].name, name) == 0) return &routines[i];
  return NULL;
}
