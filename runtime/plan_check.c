// Checks a plan blob through and through, so that the executor can trust every offset, count and index. What it checks
// is the list of runtime/plan.h, field by field; anything out of place is refused with the name of the array and the
// index.
#define _GNU_SOURCE // syscall
#include "runtime/session.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static rt_status refuse(rt_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static rt_status refuse(rt_error *err, const char *fmt, ...) {
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
  }
  return RT_E_INVALID;
}

// FNV-1a over 8-byte words, the tail byte by byte; a header's own checksum field counts as 0.
uint64_t rt_checksum(const void *p, size_t n) {
  const unsigned char *b = p;
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t w;
    memcpy(&w, b + i, 8);
    if (i == offsetof(rt_plan, checksum)) w = 0;
    h = (h ^ w) * UINT64_C(0x100000001b3);
    h ^= h >> 29;
  }
  for (; i < n; i++) h = (h ^ b[i]) * UINT64_C(0x100000001b3);
  return h;
}

typedef struct checker {
  const rt_plan *p;
  rt_error *err;
} checker;

static bool range_fits(const checker *c, rt_range r, size_t elem_bytes) {
  return r.offset % 8 == 0 && r.offset >= sizeof(rt_plan) && r.offset <= c->p->size_bytes &&
         r.count <= (c->p->size_bytes - r.offset) / elem_bytes && r.count <= UINT32_MAX;
}

static const void *array(const checker *c, rt_range r) { return (const char *)c->p + r.offset; }

static bool string_fits(const checker *c, uint32_t s) { return s < c->p->strings.count; }

// One expression: known operators, arguments in range, and a stack that never underflows or exceeds its bound, ending
// with one value.
static bool expr_fits(const checker *c, uint32_t at) {
  const int64_t *code = array(c, c->p->code);
  uint64_t n = c->p->code.count, depth = 0;
  for (uint64_t i = at; i + 1 < n; i += 2) {
    switch (code[i]) {
    case RT_PUSH: depth++; break;
    case RT_DIM:
      if (code[i + 1] < 0 || (uint64_t)code[i + 1] >= c->p->dims.count) return false;
      depth++;
      break;
    case RT_ADD:
    case RT_SUB:
    case RT_MUL:
    case RT_FLOORDIV:
    case RT_MOD:
    case RT_MIN:
    case RT_MAX:
      if (depth < 2) return false;
      depth--;
      break;
    case RT_END: return depth == 1;
    default: return false;
    }
    if (depth > RT_MAX_STACK) return false;
  }
  return false;
}

static bool words_fit(const checker *c, uint32_t at, uint32_t n) { return (uint64_t)at + n <= c->p->words.count; }

static bool exprs_fit(const checker *c, uint32_t at, uint32_t n) {
  if (!words_fit(c, at, n)) return false;
  const uint32_t *words = array(c, c->p->words);
  for (uint32_t i = 0; i < n; i++)
    if (!expr_fits(c, words[at + i])) return false;
  return true;
}

// A range of natural numbers with a multiple of the step in it, small enough for arithmetic on it.
static bool range_holds(const rt_dim *d) {
  const int64_t most = (int64_t)1 << 61;
  return d->lo >= 0 && d->lo <= d->hi && d->hi <= most && d->step >= 1 && d->step <= most &&
         (d->lo + d->step - 1) / d->step * d->step <= d->hi;
}

static rt_status check_tensors(const checker *c) {
  const rt_dim *dims = array(c, c->p->dims);
  for (uint64_t i = 0; i < c->p->dims.count; i++)
    if (!string_fits(c, dims[i].name) || !range_holds(&dims[i]))
      return refuse(c->err, "plan: dim %u is broken", (unsigned)i);
  const rt_tensor_info *t = array(c, c->p->tensors);
  for (uint64_t i = 0; i < c->p->tensors.count; i++)
    if (!string_fits(c, t[i].name) || t[i].dtype >= RT_DTYPES || t[i].rank > RT_MAX_RANK ||
        !exprs_fit(c, t[i].dims, t[i].rank) || (t[i].dtype == RT_bool && t[i].dflt > 1))
      return refuse(c->err, "plan: tensor %u is broken", (unsigned)i);
  if ((uint64_t)c->p->first_state + c->p->n_states > c->p->tensors.count)
    return refuse(c->err, "plan: the states are broken");
  return RT_OK;
}

// The one element that the executor itself reads: in the arena, or a scalar of this type.
static bool is_scalar(const checker *c, const rt_program *g, uint32_t buffer, rt_dtype dtype) {
  const rt_buffer *b = (const rt_buffer *)array(c, c->p->buffers) + buffer;
  if (b->cls == RT_BUF_arena || b->cls == RT_BUF_constant) return b->cls == RT_BUF_arena;
  const rt_tensor_info *t = (const rt_tensor_info *)array(c, c->p->tensors) + b->index;
  t += b->cls == RT_BUF_input ? g->first_input : b->cls == RT_BUF_output ? g->first_output : c->p->first_state;
  return t->dtype == (uint32_t)dtype && t->rank == 0;
}

static bool operands_fit(const checker *c, const rt_program *g, const rt_step *s, uint32_t n) {
  if (!words_fit(c, s->buffers, n)) return false;
  const uint32_t *words = array(c, c->p->words);
  for (uint32_t b = 0; b < n; b++)
    if (words[s->buffers + b] < g->first_buffer || words[s->buffers + b] - g->first_buffer >= g->n_buffers)
      return false;
  return true;
}

static bool kernel_fits(const checker *c, const rt_program *g, const rt_step *s) {
  if (s->what >= c->p->kernels.count) return false;
  const rt_kernel_info *k = (const rt_kernel_info *)array(c, c->p->kernels) + s->what;
  return k->n_grid <= 3 && operands_fit(c, g, s, k->n_buffers) && exprs_fit(c, s->symbols, k->n_symbols) &&
         exprs_fit(c, s->grid, k->n_grid) && expr_fits(c, s->macs) && exprs_fit(c, s->bytes, k->n_buffers);
}

static bool is_arena(const checker *c, uint32_t buffer) {
  return ((const rt_buffer *)array(c, c->p->buffers) + buffer)->cls == RT_BUF_arena;
}

// A step that is no kernel.
static bool control_fits(const checker *c, const rt_program *g, const rt_step *s) {
  if (s->kind >= RT_STEP_KINDS || !operands_fit(c, g, s, rt_step_buffers(c->p, s))) return false;
  const uint32_t *b = (const uint32_t *)array(c, c->p->words) + s->buffers;
  switch (s->kind) {
  case RT_STEP_bind: return s->what < c->p->dims.count && is_scalar(c, g, b[0], RT_i32);
  case RT_STEP_check: return s->what < c->p->checks.count;
  case RT_STEP_loop: return is_scalar(c, g, b[0], RT_i32) && is_arena(c, b[1]) && !s->body[1];
  case RT_STEP_while: return is_scalar(c, g, b[0], RT_bool) && exprs_fit(c, s->symbols, 1);
  default: return is_scalar(c, g, b[0], RT_bool);
  }
}

// Steps first .. end of the program, with their bodies, which lie one after another inside them.
static bool steps_fit(const checker *c, const rt_program *g, uint32_t first, uint32_t end, uint32_t depth,
                      uint32_t *broken) {
  const rt_step *steps = (const rt_step *)array(c, c->p->steps) + g->first_step;
  for (uint32_t i = first; i < end;) {
    const rt_step *s = &steps[i];
    uint64_t inside = (uint64_t)s->body[0] + s->body[1];
    *broken = i;
    if (!string_fits(c, s->label) || !string_fits(c, s->file) ||
        !(s->kind == RT_STEP_kernel ? kernel_fits : control_fits)(c, g, s))
      return false;
    if ((s->kind < RT_STEP_if && inside) || inside >= end - i || (inside && depth == RT_MAX_NESTING)) return false;
    uint32_t second = i + 1 + s->body[0];
    if (!steps_fit(c, g, i + 1, second, depth + 1, broken) ||
        !steps_fit(c, g, second, second + s->body[1], depth + 1, broken))
      return false;
    i = second + s->body[1];
  }
  return true;
}

static bool in_a_body(const rt_step *steps, uint32_t wanted) {
  uint32_t i = 0;
  while (i < wanted) i += 1 + steps[i].body[0] + steps[i].body[1];
  return i != wanted;
}

// What closes a run: kernels all, the undo steps, each naming a step of the run itself, and the commit steps.
static bool closing_steps_fit(const checker *c, const rt_program *g, uint32_t *broken) {
  const rt_step *steps = (const rt_step *)array(c, c->p->steps) + g->first_step;
  for (uint32_t i = g->n_steps; i < g->n_steps + g->n_undo + g->n_commit; i++) {
    const rt_step *s = &steps[i];
    *broken = i;
    if (s->kind != RT_STEP_kernel || s->body[0] || s->body[1] || !string_fits(c, s->label) ||
        !string_fits(c, s->file) || !kernel_fits(c, g, s))
      return false;
    if (i < g->n_steps + g->n_undo && (s->undoes >= g->n_steps || in_a_body(steps, s->undoes))) return false;
  }
  return true;
}

static bool buffer_fits(const checker *c, const rt_program *g, const rt_buffer *b, bool prepares) {
  const rt_program *prepare = array(c, c->p->programs);
  if (!expr_fits(c, b->size) || b->first > b->last || (g->n_steps && b->last >= g->n_steps)) return false;
  switch (b->cls) {
  case RT_BUF_input: return b->index < g->n_inputs;
  case RT_BUF_output: return b->index < g->n_outputs;
  case RT_BUF_constant: return !prepares && b->index < prepare->n_outputs && b->offset <= c->p->constants_bytes;
  case RT_BUF_state: return !prepares && b->index < c->p->n_states;
  default: return b->cls == RT_BUF_arena;
  }
}

static rt_status check_program(const checker *c, uint32_t index) {
  const rt_program *g = (const rt_program *)array(c, c->p->programs) + index;
  uint64_t n_steps = (uint64_t)g->n_steps + g->n_undo + g->n_commit;
  if (!string_fits(c, g->name) || g->first_step + n_steps > c->p->steps.count || n_steps > UINT32_MAX ||
      (uint64_t)g->first_buffer + g->n_buffers > c->p->buffers.count ||
      (uint64_t)g->first_input + g->n_inputs > c->p->tensors.count ||
      (uint64_t)g->first_output + g->n_outputs > c->p->tensors.count ||
      (uint64_t)g->first_check + g->n_checks > c->p->checks.count)
    return refuse(c->err, "plan: program %u is broken", index);
  const rt_buffer *b = (const rt_buffer *)array(c, c->p->buffers) + g->first_buffer;
  for (uint32_t i = 0; i < g->n_buffers; i++)
    if (!buffer_fits(c, g, &b[i], index == 0))
      return refuse(c->err, "plan: buffer %u of program %u is broken", i, index);
  uint32_t broken;
  if (!steps_fit(c, g, 0, g->n_steps, 0, &broken) || !closing_steps_fit(c, g, &broken))
    return refuse(c->err, "plan: step %u of program %u is broken", broken, index);
  return RT_OK;
}

rt_status rt_plan_check(const void *blob, size_t size, rt_error *err) {
  const rt_plan *p = blob;
  checker c = {p, err};
  if (err) err->text[0] = 0;
  if (size < sizeof(rt_plan) || (uintptr_t)blob % 8 != 0 || p->magic != RT_PLAN_MAGIC)
    return refuse(err, "this is not an nnc plan");
  if (p->version != RT_PLAN_VERSION)
    return refuse(err, "the plan has format %u; this runtime reads %d", p->version, RT_PLAN_VERSION);
  if (p->size_bytes != size)
    return refuse(err, "the plan says %llu bytes, and there are %zu", (unsigned long long)p->size_bytes, size);
  if (p->checksum != rt_checksum(blob, size)) return refuse(err, "the plan is damaged: its checksum does not match");
  if (!range_fits(&c, p->strings, 1) || !range_fits(&c, p->dims, sizeof(rt_dim)) || !range_fits(&c, p->code, 8) ||
      !range_fits(&c, p->tensors, sizeof(rt_tensor_info)) || !range_fits(&c, p->buffers, sizeof(rt_buffer)) ||
      !range_fits(&c, p->kernels, sizeof(rt_kernel_info)) || !range_fits(&c, p->steps, sizeof(rt_step)) ||
      !range_fits(&c, p->words, 4) || !range_fits(&c, p->programs, sizeof(rt_program)) ||
      !range_fits(&c, p->faults, sizeof(rt_fault_site)) || !range_fits(&c, p->checks, sizeof(rt_check)))
    return refuse(err, "plan: an array lies outside the blob");
  const char *strings = array(&c, p->strings);
  if (p->strings.count == 0 || strings[p->strings.count - 1] != 0 || !string_fits(&c, p->name) ||
      p->programs.count == 0)
    return refuse(err, "plan: the strings are broken");
  rt_status s = check_tensors(&c);
  const rt_kernel_info *k = array(&c, p->kernels);
  for (uint64_t i = 0; !s && i < p->kernels.count; i++)
    if (!string_fits(&c, k[i].name) || k[i].n_grid > 3 || !words_fit(&c, k[i].access, k[i].n_buffers))
      s = refuse(err, "plan: kernel %u is broken", (unsigned)i);
  for (uint32_t i = 0; !s && i < p->programs.count; i++) s = check_program(&c, i);
  const rt_check *checks = array(&c, p->checks);
  for (uint64_t i = 0; !s && i < p->checks.count; i++)
    if (!expr_fits(&c, checks[i].expr) || !string_fits(&c, checks[i].text))
      s = refuse(err, "plan: check %u is broken", (unsigned)i);
  const rt_fault_site *f = array(&c, p->faults);
  for (uint64_t i = 0; !s && i < p->faults.count; i++)
    if (!string_fits(&c, f[i].text)) s = refuse(err, "plan: fault %u is broken", (unsigned)i);
  if (!s && p->cpu_level > rt_cpu_level()) {
    static const char *const levels[] = {"x86-64", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16", "x86-64-v4-amx"};
    refuse(err, "built for %s, and this CPU is %s", p->cpu_level < 5 ? levels[p->cpu_level] : "a newer CPU",
           levels[rt_cpu_level()]);
    return RT_E_UNSUPPORTED;
  }
  return s;
}

// By CPUID feature bits, and by what the operating system saves on a context switch (XGETBV). Intel SDM vol. 1, 13-14.
unsigned rt_cpu_level(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d, leaf1_c, lo, hi;
  if (!__get_cpuid(1, &a, &b, &leaf1_c, &d) || !(leaf1_c >> 27 & 1)) return 0; // no XGETBV
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  bool v3 = (lo & 6) == 6 && (leaf1_c >> 12 & 1) && (b >> 5 & 1) && (b >> 3 & 1) &&
            (b >> 8 & 1);                                                       // YMM state; FMA AVX2 BMI1 BMI2
  const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; // F DQ CD BW VL
  bool v4 = v3 && (lo & 0xe6) == 0xe6 && (b & avx512) == avx512;
  const unsigned vnni = 1u << 11, bf16_bit = 1u << 5; // AVX512_VNNI; of subleaf 1 AVX512_BF16
  unsigned sub_a, sub_b, sub_c, sub_d;
  bool bf16 =
      v4 && (c & vnni) && __get_cpuid_count(7, 1, &sub_a, &sub_b, &sub_c, &sub_d) && (sub_a & bf16_bit) == bf16_bit;
  // Tile registers: BF16 TILE INT8, their state in XCR0, and the system's permission, which a process asks for once.
  const unsigned tiles = 1u << 22 | 1u << 24 | 1u << 25;
  bool amx = bf16 && (lo & 0x60000) == 0x60000 && (d & tiles) == tiles && !syscall(SYS_arch_prctl, 0x1023L, 18L);
  return amx ? 4 : bf16 ? 3 : v4 ? 2 : v3 ? 1 : 0;
#else
  return 0;
#endif
}
