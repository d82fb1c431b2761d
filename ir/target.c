// Target descriptions: a constant table of CPU levels and cache classes, and the choice of a row by CPUID.
//
// In: the processor's feature bits, the registers that the operating system saves (XGETBV), its cache sizes. Out: a row
// of the table. Feature bits decide, not the processor's name: virtual machines change the two independently. Levels
// are those of the x86-64 psABI (AMD64 supplement, "micro-architecture levels"); v2 counts as the baseline. Measured
// cache sizes are rounded down to a class, so that a description is constant data and similar machines give equal
// kernels.
#define _GNU_SOURCE // syscall
#include "ir/target.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { KIB = 1024, LEVELS = 5, CACHE_CLASSES = 8 };

// A core does large pieces of work, which share what they read; a work-item one tile, for there are thousands of them.
#define CORE .block_rows = 192, .block_elements = 4096
// dot_rows x dot_cols: accumulators, one row of B and one register for A fit the register file; without fused
// multiply-add the products need two more. fma_per_ns is a typical server core, bytes_per_ns its share of memory.
#define ROW(l1_kib, l2_kib, ...)                                                                                       \
  { .l1_bytes = (l1_kib)*KIB, .l2_bytes = (l2_kib)*KIB, __VA_ARGS__ }
#define LEVEL(...)                                                                                                     \
  {                                                                                                                    \
    ROW(32, 256, __VA_ARGS__), ROW(48, 256, __VA_ARGS__), ROW(32, 512, __VA_ARGS__), ROW(48, 512, __VA_ARGS__),        \
        ROW(32, 1024, __VA_ARGS__), ROW(48, 1024, __VA_ARGS__), ROW(32, 2048, __VA_ARGS__), ROW(48, 2048, __VA_ARGS__) \
  }

static const target targets[LEVELS][CACHE_CLASSES] = {
    LEVEL(.name = "x86-64", .level = CPU_x86_64, .vector_bytes = 16, .n_vector_regs = 16, .has_fma = false,
          .dot_rows = 4, .dot_cols = 8, .fma_per_ns = 12, .bytes_per_ns = 10, CORE),
    LEVEL(.name = "x86-64-v3", .level = CPU_x86_64_v3, .vector_bytes = 32, .n_vector_regs = 16, .has_fma = true,
          .dot_rows = 6, .dot_cols = 16, .fma_per_ns = 50, .bytes_per_ns = 10, CORE),
    LEVEL(.name = "x86-64-v4", .level = CPU_x86_64_v4, .vector_bytes = 64, .n_vector_regs = 32, .has_fma = true,
          .dot_rows = 6, .dot_cols = 64, .fma_per_ns = 100, .bytes_per_ns = 10, CORE),
    LEVEL(.name = "x86-64-v4-bf16", .level = CPU_x86_64_v4_bf16, .vector_bytes = 64, .n_vector_regs = 32,
          .has_fma = true, .has_bf16 = true, .dot_rows = 6, .dot_cols = 64, .fma_per_ns = 100, .bytes_per_ns = 10,
          CORE),
    LEVEL(.name = "x86-64-v4-amx", .level = CPU_x86_64_v4_amx, .vector_bytes = 64, .n_vector_regs = 32, .has_fma = true,
          .has_bf16 = true, .has_amx = true, .dot_rows = 6, .dot_cols = 64, .fma_per_ns = 100, .bytes_per_ns = 10,
          CORE),
};
// What a work-item of an OpenCL device holds: vectors of four, tiles of 6 x 16 sums. Its kernels can be compiled for
// any CPU as well, hence the level; there they have no fused multiply-add.
#define OPENCL(NAME, WORKERS, F64, MMA)                                                                                \
  ROW(32, 256, .name = NAME, .level = CPU_x86_64, .vector_bytes = 16, .n_vector_regs = 32, .has_fma = false,           \
      .dot_rows = 6, .dot_cols = 16, .fma_per_ns = 100, .bytes_per_ns = 100, .block_rows = 6, .block_elements = 64,    \
      .workers = WORKERS, .shares_f64 = F64, .has_mma = MMA, .busy_groups = 128)
// Where local memory is memory like any other (PoCL, Mali) nothing is gained by sharing it; else groups of as many
// work-items as the device allows. Where it has no f64, kernels with f64 are the host's, which knows one worker.
static const target opencl[] = {OPENCL("opencl", 0, false, false),
                                OPENCL("opencl-local-64", 64, true, false),
                                OPENCL("opencl-local", 256, true, false),
                                OPENCL("opencl-local-64-f32", 64, false, false),
                                OPENCL("opencl-local-f32", 256, false, false),
                                OPENCL("opencl-mma", 256, true, true)};
// When a level is asked for by name: what its oldest servers have.
static const uint8_t default_class[LEVELS] = {0, 0, 4, 4, 7};

_Static_assert(CPU_x86_64 == 0 && CPU_x86_64_v3 == 1 && CPU_x86_64_v4 == 2 && CPU_x86_64_v4_bf16 == 3 &&
                   CPU_x86_64_v4_amx == 4,
               "targets[] is indexed by level");

static uint32_t cache_class(uint32_t l1_bytes, uint32_t l2_bytes) {
  uint32_t l2 = l2_bytes >= 2048 * KIB ? 3 : l2_bytes >= 1024 * KIB ? 2 : l2_bytes >= 512 * KIB ? 1 : 0;
  return 2 * l2 + (l1_bytes >= 48 * KIB);
}

#if defined(__x86_64__)

// The names of <cpuid.h> are macros of single bits, where Clang 14 has them too; these are the groups that a level asks
// for.
enum {
  V3_LEAF_1_ECX = bit_FMA | bit_SSE4_2 | bit_MOVBE | bit_POPCNT | bit_OSXSAVE | bit_AVX | bit_F16C,
  V3_LEAF_7_EBX = bit_BMI | bit_AVX2 | bit_BMI2,
  V4_LEAF_7_EBX = bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW,
  XCR0_SSE_AVX = 0x06, // XMM and the upper halves of YMM
  BF16_LEAF_7_ECX = bit_AVX512VNNI,
  BF16_LEAF_7_1_EAX = 1 << 5,                   // AVX512_BF16
  AMX_LEAF_7_EDX = 1 << 24 | 1 << 22 | 1 << 25, // TILE, BF16, INT8
  XCR0_AVX512 = 0xe0,                           // mask registers, upper halves of ZMM0-15, ZMM16-31
  XCR0_AMX = 0x60000,                           // tile configuration, tile data
  REQUEST_STATE = 0x1023,
  TILE_DATA = 18 // of arch_prctl: a process asks for tile data once before it uses them
};
static const uint32_t V4_LEAF_7_EBX_VL = (uint32_t)bit_AVX512VL; // bit 31, which no enum constant holds

static bool has_all(uint32_t bits, uint32_t wanted) { return (bits & wanted) == wanted; }

// What the operating system saves at a context switch: features without it fault.
static uint32_t saved_registers(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static cpu_level measured_level(void) {
  uint32_t eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, V3_LEAF_1_ECX)) return CPU_x86_64;
  uint32_t saved = saved_registers();
  if (!has_all(saved, XCR0_SSE_AVX)) return CPU_x86_64;
  if (!__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) || !has_all(ecx, bit_LZCNT)) return CPU_x86_64;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has_all(ebx, V3_LEAF_7_EBX)) return CPU_x86_64;
  bool v4 = has_all(ebx, V4_LEAF_7_EBX) && has_all(ebx, V4_LEAF_7_EBX_VL) && has_all(saved, XCR0_AVX512);
  if (!v4) return CPU_x86_64_v3;
  uint32_t eax1, ebx1, ecx1, edx1;
  bool bf16 = has_all(ecx, BF16_LEAF_7_ECX) && __get_cpuid_count(7, 1, &eax1, &ebx1, &ecx1, &edx1) &&
              has_all(eax1, BF16_LEAF_7_1_EAX);
  if (!bf16) return CPU_x86_64_v4;
  bool amx = has_all(edx, AMX_LEAF_7_EDX) && has_all(saved, XCR0_AMX) &&
             syscall(SYS_arch_prctl, (long)REQUEST_STATE, (long)TILE_DATA) == 0;
  return amx ? CPU_x86_64_v4_amx : CPU_x86_64_v4_bf16;
}

// Deterministic cache parameters: leaf 4 (Intel) and leaf 0x8000001d (AMD) have one layout. False: the leaf is absent.
static bool caches_of_leaf(uint32_t leaf, uint32_t *l1, uint32_t *l2) {
  *l1 = *l2 = 0;
  for (uint32_t i = 0; i < 16; i++) {
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid_count(leaf, i, &eax, &ebx, &ecx, &edx)) break;
    uint32_t type = eax & 31, level = eax >> 5 & 7;
    if (type == 0) break;
    uint32_t ways = (ebx >> 22) + 1, parts = (ebx >> 12 & 1023) + 1, line = (ebx & 4095) + 1, sets = ecx + 1;
    uint32_t bytes = ways * parts * line * sets;
    if (level == 1 && type == 1) *l1 = bytes;
    if (level == 2 && (type == 1 || type == 3)) *l2 = bytes;
  }
  return *l1 != 0 && *l2 != 0;
}

const target *target_native(void) {
  cpu_level level = measured_level();
  uint32_t l1, l2;
  bool known = caches_of_leaf(4, &l1, &l2) || caches_of_leaf(0x8000001d, &l1, &l2);
  return &targets[level][known ? cache_class(l1, l2) : default_class[level]];
}

bool target_supported(const target *t) { return t->level <= measured_level(); }

#else

const target *target_native(void) { return &targets[CPU_x86_64][default_class[CPU_x86_64]]; }

bool target_supported(const target *t) {
  (void)t;
  return false;
}

#endif

const target *target_plain(const target *t) {
  return t->level <= CPU_x86_64_v4 ? t : &targets[CPU_x86_64_v4][cache_class(t->l1_bytes, t->l2_bytes)];
}

const char *target_level_name(cpu_level level) { return targets[level][0].name; }

const target *target_opencl(bool has_local, uint64_t max_group, bool has_f64, bool has_mma) {
  const target *best = &opencl[0];
  for (size_t i = 1; has_local && i < sizeof opencl / sizeof *opencl; i++)
    if (opencl[i].workers <= max_group && opencl[i].shares_f64 == has_f64 && (has_mma || !opencl[i].has_mma))
      best = &opencl[i];
  return best;
}

const target *target_find(const char *name) {
  if (str_is(str_of(name), "native")) return target_native();
  for (size_t i = 0; i < sizeof opencl / sizeof *opencl; i++)
    if (str_is(str_of(name), opencl[i].name)) return &opencl[i];
  for (size_t i = 0; i < LEVELS; i++) {
    const target *t = &targets[i][default_class[i]];
    if (str_is(str_of(name), t->name)) return t;
  }
  return NULL;
}
