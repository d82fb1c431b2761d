// What the fuzz targets share: an arena with a budget, a file that holds the bytes, checks that hold in every build.
#ifndef NNC_TESTS_FUZZ_SUPPORT_H
#define NNC_TESTS_FUZZ_SUPPORT_H

#include "base/diag.h"
#include "fuzz/targets.h"

// Aborts with the place; also where NDEBUG is defined.
#define FUZZ_CHECK(cond) ((cond) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #cond))
_Noreturn void fuzz_broken(const char *file, int line, const char *what);

// Runs body(a, l, user) with an arena of some 400 MB: what needs more unwinds, as without memory. An internal error is
// a broken promise.
void fuzz_guarded(void (*body)(arena *a, diag_list *l, void *user), void *user);

const char *fuzz_file(str bytes); // the path of a file that holds these bytes until the next call
bool fuzz_reported(const diag_list *l, diag_id id);
void fuzz_render(const diag_list *l); // every message can be printed, and its span lies in its file

#endif
