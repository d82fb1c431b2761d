// The built `nnc` as a child process under limits: what it says, how it ends, what it costs.
#ifndef NNC_TESTS_FAULT_CHILD_H
#define NNC_TESTS_FAULT_CHILD_H

#include "unit/scratch.h"

enum { CHILD_MAX_WORDS = 24 };

typedef struct child_limits {
  uint64_t file_bytes;          // no file grows larger (EFBIG); 0 = no limit
  uint64_t memory_bytes;        // address space; 0 = no limit; ignored under AddressSanitizer, which maps terabytes
  uint32_t kill_after_us;       // SIGKILL after so long; 0 = only after half a minute
  const char *out;              // where standard output goes; NULL = the file `.out`
  const char *const *variables; // of the environment: name, value, name, value, …, NULL; NULL = none
} child_limits;

typedef struct child_result {
  int status;      // exit status, or minus the signal that ended it
  double cpu_s;    // user and system time, children included
  const char *err; // standard error, in the scratch's arena
} child_result;

// Runs nnc in the scratch's folder. `words` ends with NULL.
child_result child_run(scratch *s, const child_limits *limits, const char *const *words);

// Runs it, with 8 GiB of address space, and checks what every run must keep: the exit status, `part` in what it says,
// no sanitizer's report, an end within a second of processor time (more under a sanitizer).
void child_expect(scratch *s, int status, const char *part, const char *const *words);
#define NNC(...) ((const char *const[]){__VA_ARGS__, NULL})

// The files in a folder of the scratch, those that begin with `.out` or `.err` left out, in order, a blank between two.
const char *child_files(scratch *s, const char *folder);

// Runs f in a process of its own, whose mounts nobody else sees, with a file system of these options (of tmpfs) on the
// scratch's folder `disk`; its exit status is what f returns.
enum { CHILD_NOT_PERMITTED = 77 };
int child_on_disk(scratch *s, const char *options, int (*f)(scratch *s));

#endif
