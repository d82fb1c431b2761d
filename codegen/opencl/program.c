// One program: its head, the functions that kernels call, and the kernels with their arguments, grid and scratch.
//
// Scratch of a group lies in local memory when several work-items share it, in private memory when it is small and one
// has it alone, and else in a slot of global memory; the kernel then walks the grid in strides, so that there need be
// no more slots than work-items (or groups) at a time.
#include "codegen/opencl/cl.h"

#include <ctype.h>
#include <string.h>

enum { LINE = 64, PRIVATE_MOST = 4096, LOCAL_MOST = 32768, SCRATCH_MOST = 1 << 30, WORKERS_MOST = 256 };

// -- lines --

__attribute__((format(printf, 2, 0))) static void print_line(cl *g, const char *fmt, va_list ap, const char *end) {
  for (uint32_t i = 0; i < g->depth; i++) sb_z(&g->body, "  ");
  sb_vfmt(&g->body, fmt, ap);
  sb_z(&g->body, end);
}

void cl_line(cl *g, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  print_line(g, fmt, ap, "\n");
  va_end(ap);
}

void cl_open(cl *g, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  print_line(g, fmt, ap, " {\n");
  g->depth++;
  va_end(ap);
}

void cl_close(cl *g) {
  g->depth--;
  cl_line(g, "}");
}

// -- names --

// What a kernel may be told to call things, and C, OpenCL or the printer already do.
static const char *const taken[] = {
    "auto",   "bool",     "break",  "case",       "char",     "const",   "constant", "continue", "default",  "do",
    "double", "else",     "enum",   "extern",     "float",    "for",     "global",   "goto",     "half",     "if",
    "inline", "int",      "kernel", "local",      "long",     "private", "quad",     "register", "restrict", "return",
    "short",  "signed",   "sizeof", "static",     "struct",   "switch",  "typedef",  "uchar",    "uint",     "ulong",
    "union",  "unsigned", "ushort", "void",       "volatile", "while",   "fault",    "scratch",  "point",    "points",
    "worker", "slot",     "abs",    "barrier",    "ceil",     "clamp",   "copysign", "cos",      "erf",      "exp",
    "expm1",  "fabs",     "floor",  "fma",        "fmod",     "isinf",   "isnan",    "log",      "log1p",    "log2",
    "max",    "min",      "mul_hi", "pow",        "rint",     "round",   "rsqrt",    "select",   "sin",      "sqrt",
    "tan",    "tanh",     "atan",   "atomic_xchg"};
static const char *const prefixes[] = {"v",     "part", "next",   "turn",  "leader", "piece",
                                       "moved", "bits", "memory", "begin", "extent"};

static bool is_free(const char *name) {
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    if (strcmp(taken[i], name) == 0) return false;
  }
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    size_t n = strlen(prefixes[i]);
    if (strncmp(prefixes[i], name, n) == 0 && isdigit((unsigned char)name[n])) return false;
  }
  return strncmp(name, "arg_", 4) != 0 && strncmp(name, "mma_", 4) != 0 && strncmp(name, "load_", 5) != 0 &&
         strncmp(name, "shared_", 7) != 0 && strchr(name, '$') == NULL;
}

const char *cl_name(cl *g, const char *name) { return is_free(name) ? name : str_fmt(g->a, "%s_", name); }

const char *cl_fresh(cl *g, const char *prefix) { return str_fmt(g->a, "%s%u", prefix, g->serial++); }

// -- scratch --

typedef struct placement {
  const char *space; // "__local", "__private", "__global"
  uint64_t bytes;    // of all group buffers
  uint64_t *offset;  // [group.n]
} placement;

static bool place(cl *g, placement *p) {
  const kir_kernel *k = g->k;
  *p = (placement){"__private", 0, ARENA_ARRAY(g->a, uint64_t, k->group.n)};
  for (size_t i = 0; i < k->group.n; i++) {
    const kir_buffer *b = k->group.at[i];
    uint64_t size = dtype_size(b->dt);
    for (uint32_t d = 0; d < b->rank && size <= SCRATCH_MOST; d++) {
      int64_t n = 0;
      size = idx_is_const(b->dim[d], &n) && n >= 0 && n <= SCRATCH_MOST ? size * (uint64_t)n : UINT64_MAX;
    }
    p->offset[i] = p->bytes;
    if (size <= SCRATCH_MOST) p->bytes += (size + LINE - 1) / LINE * LINE;
    if (size <= SCRATCH_MOST && p->bytes <= SCRATCH_MOST) continue;
    diag_at(g->l, NO_SPAN, codegen_scratch, k->name, b->name);
    return false;
  }
  if (g->lanes > 1) p->space = p->bytes <= LOCAL_MOST ? "__local" : "__global";
  else if (p->bytes > PRIVATE_MOST) p->space = "__global";
  return true;
}

static bool is_global(const placement *p) { return str_is(str_of(p->space), "__global"); }

static void declare_group(cl *g, const placement *p) {
  for (size_t i = 0; i < g->k->group.n; i++) {
    const kir_buffer *b = g->k->group.at[i];
    const char *name = cl_name(g, b->name), *type = cl_mem_type(b->dt);
    if (is_global(p)) {
      cl_line(g, "__global %s *%s = (__global %s *)(slot + %llu);", type, name, type, (unsigned long long)p->offset[i]);
      continue;
    }
    uint64_t n = 1;
    for (uint32_t d = 0; d < b->rank; d++) {
      int64_t extent;
      if (idx_is_const(b->dim[d], &extent)) n *= (uint64_t)extent;
    }
    if (b->dt != DT_f16) {
      const char *aligned = b->dt == DT_bf16 ? " __attribute__((aligned(64)))" : ""; // mma reads pairs
      cl_line(g, "%s %s %s[%llu]%s;", p->space, type, name, (unsigned long long)n, aligned);
    } else { // there are no arrays of half, only pointers to it
      const char *bits = cl_fresh(g, "bits");
      cl_line(g, "%s ushort %s[%llu];", p->space, bits, (unsigned long long)n);
      cl_line(g, "%s half *%s = (%s half *)%s;", p->space, name, p->space, bits);
    }
  }
}

// -- the kernel --

static void declare_params(cl *g) {
  for (size_t i = 0; i < g->k->params.n; i++) {
    const kir_buffer *b = g->k->params.at[i];
    const char *type = str_fmt(g->a, "__global %s%s *", b->space == KIR_in ? "const " : "", cl_mem_type(b->dt));
    cl_line(g, "%s%s = (%s)(memory%zu + begin%zu);", type, cl_name(g, b->name), type, i, i);
  }
  for (size_t i = 0; i < g->k->facts.n; i++) {
    const sym *s = g->k->facts.at[i].symbol;
    const char *type = cl_fits_int(g, idx_of(g->k->ix, s)) ? "int" : "long";
    cl_line(g, "const %s %s = (%s)arg_%s;", type, cl_name(g, s->name), type, s->name);
  }
}

static void declare_workers(cl *g) {
  const kir_kernel *k = g->k;
  if (g->lanes > 1) cl_line(g, "const int worker = (int)get_local_id(0);");
  for (uint32_t i = 0; i < k->n_workers; i++) {
    const char *name = cl_name(g, k->workers[i]->name);
    if (g->lanes == 1) cl_line(g, "const int %s = 0;", name);
    else if (k->n_workers == 1) cl_line(g, "const int %s = worker;", name);
    else cl_line(g, "const int %s = worker %c %lld;", name, i == 0 ? '/' : '%', (long long)k->worker_extent[1]);
  }
}

// The grid's coordinates of `point`, the last axis fastest.
static void declare_grid(cl *g) {
  const char *left = "point";
  for (uint32_t i = g->k->n_grid; i-- > 0;) {
    const char *type = cl_fits_int(g, idx_of(g->k->ix, g->k->grid[i])) ? "int" : "long";
    const char *name = cl_name(g, g->k->grid[i]->name);
    if (i > 0) cl_line(g, "const %s %s = (%s)(%s %% extent%u);", type, name, type, left, i);
    else cl_line(g, "const %s %s = (%s)(%s);", type, name, type, left);
    left = str_fmt(g->a, "%s / extent%u", left, i);
  }
}

static void open_point(cl *g, const placement *p) {
  const char *id = g->lanes > 1 ? "group_id" : "global_id", *n = g->lanes > 1 ? "num_groups" : "global_size";
  strbuf points;
  sb_init(&points, g->a);
  for (uint32_t i = 0; i < g->k->n_grid; i++) sb_fmt(&points, "%sextent%u", i == 0 ? "" : " * ", i);
  cl_line(g, "const long points = %s;", g->k->n_grid == 0 ? "1" : sb_cstr(&points));
  if (is_global(p)) {
    cl_line(g, "__global uchar *slot = scratch + get_%s(0) * %llu;", id, (unsigned long long)p->bytes);
    declare_group(g, p);
    cl_open(g, "for (long point = get_%s(0); point < points; point += get_%s(0))", id, n);
  } else {
    declare_group(g, p);
    cl_line(g, "const long point = get_%s(0);", id);
    if (g->lanes == 1) cl_line(g, "if (point >= points) return;"); // groups come in whole numbers only
  }
  declare_grid(g);
}

static void close_point(cl *g, const placement *p) {
  if (!is_global(p)) return;
  if (g->lanes > 1)
    cl_line(g, "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);"); // the next point's scratch is this one's
  cl_close(g);
}

static void print_signature(cl *g, strbuf *b, const placement *p) {
  const kir_kernel *k = g->k;
  sb_z(b, "__kernel ");
  if (g->lanes > 1) sb_fmt(b, "__attribute__((reqd_work_group_size(%u, 1, 1))) ", g->lanes);
  sb_fmt(b, "void %s(", k->name);
  for (size_t i = 0; i < k->params.n; i++) sb_fmt(b, "__global uchar *memory%zu, ulong begin%zu, ", i, i);
  for (size_t i = 0; i < k->facts.n; i++) sb_fmt(b, "long arg_%s, ", k->facts.at[i].symbol->name);
  for (uint32_t i = 0; i < k->n_grid; i++) sb_fmt(b, "long extent%u, ", i);
  sb_fmt(b, "__global ulong *fault%s) {\n", is_global(p) ? ", __global uchar *scratch" : "");
}

static void print_comment(strbuf *b, const char *comment) {
  while (comment != NULL && *comment != '\0') {
    size_t n = strcspn(comment, "\n");
    sb_z(b, "// ");
    for (size_t i = 0; i < n; i++) sb_char(b, comment[i] == '\\' && i + 1 == n ? ' ' : comment[i]); // no line goes on
    sb_char(b, '\n');
    comment += n + (comment[n] == '\n');
  }
}

static bool count_workers(cl *g) {
  int64_t n = 1;
  for (uint32_t i = 0; i < g->k->n_workers; i++) n *= g->k->worker_extent[i];
  g->lanes = (uint32_t)n;
  if (n <= WORKERS_MOST) return true;
  diag_at(g->l, NO_SPAN, opencl_workers, g->k->name, (long long)n, (int)WORKERS_MOST);
  return false;
}

static bool print_kernel(cl *g, kir_kernel *k, const char *comment, opencl_kernel *info, strbuf *kernels) {
  placement p;
  g->k = k;
  g->tiles = map_new(g->a);
  g->numbers = map_new(g->a);
  g->view = (cl_view){0};
  memset(g->shared, 0, sizeof g->shared);
  g->serial = 0;
  g->depth = 1;
  if (!count_workers(g) || !place(g, &p)) return false;
  bool local = str_is(str_of(p.space), "__local"), outer_fp64 = g->needs_fp64;
  g->is_local = local;
  g->uses_matrices = false;
  g->needs_fp64 = false;
  sb_init(&g->body, g->a);
  declare_params(g);
  declare_workers(g);
  open_point(g, &p);
  cl_stmts(g, &k->body);
  close_point(g, &p);
  *info = (opencl_kernel){k->name,       g->lanes,        local ? p.bytes : 0, is_global(&p) ? p.bytes : 0,
                          g->needs_fp64, g->uses_matrices};
  g->needs_fp64 = g->needs_fp64 || outer_fp64;
  if (kernels->n > 0) sb_char(kernels, '\n');
  print_comment(kernels, comment);
  print_signature(g, kernels, &p);
  for (int dt = 0; dt < DT_COUNT; dt++) {
    if (g->shared[dt] == 0) continue;
    sb_fmt(kernels, "  __local %s shared_%s[%u];\n", cl_type(g, (dtype)dt, 1), dtype_name((dtype)dt), g->shared[dt]);
    info->local_bytes += (uint64_t)g->shared[dt] * dtype_size((dtype)dt);
  }
  sb_fmt(kernels, "%s}\n", sb_cstr(&g->body));
  return true;
}

bool opencl_print(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels,
                  const char *const *comments, opencl_kernel *out, strbuf *source) {
  cl g = {.a = a, .l = l, .widest = t->vector_bytes / 4, .printed = map_new(a)};
  strbuf text;
  sb_init(&text, a);
  sb_init(&g.functions, a);
  for (size_t i = 0; i < n; i++) {
    if (kernels[i]->routine) out[i] = cl_routine(kernels[i], t);
    else if (!print_kernel(&g, kernels[i], comments == NULL ? NULL : comments[i], &out[i], &text)) return false;
  }
  if (g.needs_fp64) sb_z(source, "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n");
  sb_z(source, "#pragma OPENCL FP_CONTRACT OFF\n"
               "#ifdef FP_FAST_FMAF\n"
               "#define FMA(x, y, z) fma(x, y, z)\n"
               "#else // where it is slow, the product is rounded first\n"
               "#define FMA(x, y, z) ((x) * (y) + (z))\n"
               "#endif\n\n");
  sb_fmt(source, "%s%s", sb_cstr(&g.functions), sb_cstr(&text));
  cl_print_routines(n, kernels, source);
  return true;
}
