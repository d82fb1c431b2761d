// The constants of a compiled model: where each lies in memory, ready for the kernels.
#ifndef NNC_API_PREPARE_H
#define NNC_API_PREPARE_H

#include "api/compile.h"

// Finds them in the cache, or binds the weights and runs `prepare`, and keeps the result in the cache. `m` has
// the plan, which is checked, and the kernels of j->image. constants[i]: constant i of the image, NULL where no entry
// reads it. With `block`, it also gets the block of constants as one piece. All of it lives as long as the arena.
bool prepare_constants(compile_job *j, const rt_module *m, const void *const **constants, const void **block);

bool prepared_file_is_whole(int fd); // of a file in the cache: reads all of it

#endif
