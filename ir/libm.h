// The routines of the C library that kernels may call: libm's functions of f64, one element a call. Everything else is
// vector code (docs/vector-math.md). Their names are reserved; the loader of kernels resolves them by this list and
// looks nowhere else.
#ifndef NNC_IR_LIBM_H
#define NNC_IR_LIBM_H

typedef struct libm_routine {
  const char *name;
  double (*of_one)(double); // or
  double (*of_two)(double, double);
} libm_routine;

const libm_routine *libm_find(const char *name); // NULL: kernels call no such routine

#endif
