// AMX emulated: see amx_emulate.h.
//
// The processor that lacks AMX raises #UD at a tile instruction; the handler decodes it from the bytes at the
// instruction pointer (three-byte VEX, map 0F38, W0, L0), takes registers from the interrupted context, does what the
// Intel SDM (vol. 2, "Intel AMX instruction reference") says, on tile state of the thread, and steps over it. Any other
// illegal instruction gets the default action.
//
// TDPBF16PS: inputs that are subnormal count as zero, so do such results; rounding is to nearest even, whatever MXCSR
// says; the even and the odd elements of the pairs are summed apart, their sums added, and that added to the tile.
#define _GNU_SOURCE
#include "support/amx_emulate.h"

#include "ir/dtype.h"
#include <cpuid.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { N_TILES = 8, ROWS = 16, ROW_BYTES = 64, CONFIG_BYTES = 64 };
enum { PREFIX_none, PREFIX_66, PREFIX_F3, PREFIX_F2 };
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

typedef struct tiles {
  uint8_t palette, rows[N_TILES];
  uint16_t row_bytes[N_TILES];
  uint8_t at[N_TILES][ROWS][ROW_BYTES];
  uint64_t n_emulated;
} tiles;

static _Thread_local tiles state;

typedef struct instruction {
  uint8_t opcode, prefix, reg, rm, third; // register numbers; rm: of a register operand
  bool in_memory;
  uint8_t *address;
  int64_t stride;
  size_t bytes;
} instruction;

// -- decoding --

static int64_t register_value(const ucontext_t *c, unsigned number) {
  static const int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return c->uc_mcontext.gregs[order[number]];
}

static int64_t displacement(const uint8_t *p, size_t bytes) {
  int32_t wide = 0;
  if (bytes == 1) return (int8_t)*p;
  memcpy(&wide, p, bytes);
  return wide;
}

// The memory operand behind ModRM at p[4].
static void decode_memory(const ucontext_t *c, const uint8_t *p, instruction *i) {
  uint8_t mod = p[4] >> 6, rm = p[4] & 7, high_base = (p[1] & 0x20) ? 0 : 8, high_index = (p[1] & 0x40) ? 0 : 8;
  size_t at = 5, bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  int64_t address = 0;
  bool relative = false;
  if (rm == 4) {
    uint8_t sib = p[at++], index = (uint8_t)((sib >> 3 & 7) | high_index), base = (uint8_t)((sib & 7) | high_base);
    if (index != 4) i->stride = (int64_t)((uint64_t)register_value(c, index) << (sib >> 6));
    if (mod == 0 && (sib & 7) == 5) bytes = 4;
    else address = register_value(c, base);
  } else if (mod == 0 && rm == 5) {
    relative = true, bytes = 4;
  } else {
    address = register_value(c, rm | high_base);
  }
  i->bytes = at + bytes;
  address += bytes ? displacement(p + at, bytes) : 0;
  if (relative) address += (int64_t)(uintptr_t)p + (int64_t)i->bytes;
  i->address = (uint8_t *)(uintptr_t)address; // NOLINT: what the instruction says
}

static bool decode(const ucontext_t *c, instruction *i) {
  const uint8_t *p = (const uint8_t *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP];
  if (p[0] != 0xc4 || (p[1] & 0x1f) != 2 || (p[2] & 0x84) != 0) return false;
  *i = (instruction){.opcode = p[3], .prefix = p[2] & 3, .reg = p[4] >> 3 & 7, .rm = p[4] & 7, .bytes = 5};
  i->third = (uint8_t)(~(p[2] >> 3) & 7);
  i->in_memory = p[4] >> 6 != 3;
  if (i->in_memory) decode_memory(c, p, i);
  return i->opcode == 0x49 || i->opcode == 0x4b || i->opcode == 0x5c || i->opcode == 0x5e;
}

// -- meaning --

static bool configure(const uint8_t *from) {
  if (from[0] > 1) return false;
  memset(&state, 0, offsetof(tiles, n_emulated));
  state.palette = from[0];
  for (int t = 0; t < N_TILES && state.palette; t++) {
    memcpy(&state.row_bytes[t], from + 16 + 2 * t, 2);
    state.rows[t] = from[48 + t];
    if (state.rows[t] > ROWS || state.row_bytes[t] > ROW_BYTES) return false;
  }
  return true;
}

static void store_config(uint8_t *to) {
  memset(to, 0, CONFIG_BYTES);
  to[0] = state.palette;
  memcpy(to + 16, state.row_bytes, sizeof state.row_bytes);
  memcpy(to + 48, state.rows, sizeof state.rows);
}

static void load_tile(unsigned t, const uint8_t *from, int64_t stride) {
  memset(state.at[t], 0, sizeof state.at[t]);
  for (int r = 0; r < state.rows[t]; r++) memcpy(state.at[t][r], from + r * stride, state.row_bytes[t]);
}

static void store_tile(unsigned t, uint8_t *to, int64_t stride) {
  for (int r = 0; r < state.rows[t]; r++) memcpy(to + r * stride, state.at[t][r], state.row_bytes[t]);
}

static float flushed(float x) { return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x; }

static float bf16_at(const uint8_t *row, int i) {
  uint16_t bits;
  memcpy(&bits, row + 2 * i, 2);
  return flushed(bf16_to_f32(bits));
}

static void dot_bf16(unsigned to, unsigned a, unsigned b) {
  for (int r = 0; r < state.rows[to]; r++)
    for (int c = 0; c < state.row_bytes[to] / 4; c++) {
      float even = 0, odd = 0, sum;
      for (int k = 0; k < state.row_bytes[a] / 4; k++) {
        const uint8_t *x = state.at[a][r], *y = state.at[b][k];
        even = flushed(fmaf(bf16_at(x, 2 * k), bf16_at(y, 2 * c), even));
        odd = flushed(fmaf(bf16_at(x, 2 * k + 1), bf16_at(y, 2 * c + 1), odd));
      }
      memcpy(&sum, state.at[to][r] + 4 * c, 4);
      sum = flushed(flushed(sum) + flushed(even + odd));
      memcpy(state.at[to][r] + 4 * c, &sum, 4);
    }
}

static int32_t byte_at(const uint8_t *row, int i, bool is_signed) { return is_signed ? (int8_t)row[i] : row[i]; }

static void dot_bytes(unsigned to, unsigned a, unsigned b, bool a_signed, bool b_signed) {
  for (int r = 0; r < state.rows[to]; r++)
    for (int c = 0; c < state.row_bytes[to] / 4; c++) {
      uint32_t sum; // wraps
      memcpy(&sum, state.at[to][r] + 4 * c, 4);
      for (int k = 0; k < state.row_bytes[a]; k++)
        sum += (uint32_t)(byte_at(state.at[a][r], k, a_signed) * byte_at(state.at[b][k / 4], 4 * c + k % 4, b_signed));
      memcpy(state.at[to][r] + 4 * c, &sum, 4);
    }
}

static bool carry_out(const instruction *i) {
  if (i->opcode == 0x49 && i->in_memory && i->prefix == PREFIX_none) return configure(i->address);
  if (i->opcode == 0x49 && i->in_memory && i->prefix == PREFIX_66) return store_config(i->address), true;
  if (i->opcode == 0x49 && !i->in_memory && i->prefix == PREFIX_none)
    return memset(&state, 0, offsetof(tiles, n_emulated)), true;
  if (!state.palette) return false; // the rest wants tiles configured
  if (i->opcode == 0x49 && !i->in_memory && i->prefix == PREFIX_F2)
    return memset(state.at[i->reg], 0, sizeof state.at[0]), true;
  if (i->opcode == 0x4b && i->in_memory && (i->prefix == PREFIX_F2 || i->prefix == PREFIX_66))
    return load_tile(i->reg, i->address, i->stride), true;
  if (i->opcode == 0x4b && i->in_memory && i->prefix == PREFIX_F3)
    return store_tile(i->reg, i->address, i->stride), true;
  if (i->in_memory || i->opcode == 0x49 || i->opcode == 0x4b) return false;
  if (i->opcode == 0x5c && i->prefix == PREFIX_F3) return dot_bf16(i->reg, i->rm, i->third), true;
  if (i->opcode != 0x5e) return false;
  bool a_signed = i->prefix == PREFIX_F2 || i->prefix == PREFIX_F3;
  return dot_bytes(i->reg, i->rm, i->third, a_signed, i->prefix == PREFIX_F2 || i->prefix == PREFIX_66), true;
}

static void on_illegal(int signal_number, siginfo_t *info, void *context) {
  ucontext_t *c = context;
  instruction i;
  (void)info;
  if (!decode(c, &i) || !carry_out(&i)) {
    signal(signal_number, SIG_DFL); // it is met again
    return;
  }
  state.n_emulated++;
  c->uc_mcontext.gregs[REG_RIP] += (greg_t)i.bytes;
}

uint64_t amx_emulated(void) { return state.n_emulated; }

bool amx_make_ready(void) {
  enum { BF16_TILE_INT8 = 1 << 22 | 1 << 24 | 1 << 25 };
  uint32_t eax, ebx, ecx, edx;
  bool has = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & BF16_TILE_INT8) == BF16_TILE_INT8;
  if (has && !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)) return true;
  struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO};
  if (sigaction(SIGILL, &action, NULL)) abort();
  return false;
}
