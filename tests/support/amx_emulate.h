// AMX where the processor has none: the tile instructions carried out by a handler of SIGILL, so that machine code with
// them runs in tests everywhere. Tests only.
#ifndef NNC_TESTS_SUPPORT_AMX_EMULATE_H
#define NNC_TESTS_SUPPORT_AMX_EMULATE_H

#include <stdbool.h>
#include <stdint.h>

// From here on tile instructions run in this process: by the processor, once the system has permitted it (true), or
// emulated (false).
bool amx_make_ready(void);

// Tile instructions that this thread has had emulated.
uint64_t amx_emulated(void);

#endif
