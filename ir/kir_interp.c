// The kernel interpreter: runs a whole grid, one grid point after the other, and judges schedules.
//
// In: a kernel, the memory of its parameters, values of its symbols. Out: the written memory and the last fault. The
// workers of a group run in lock step, one statement at a time, which uniform control flow permits; so barriers have
// nothing to do and a missing one is not seen. Numbers: an elementwise operation is computed in double and rounded once
// to its dtype (op_eval_scalar), `fma` and `dot` round once a step, a row sum or product is taken in double from left
// to right, across workers in their order, and rounded once. Addresses of masked places are never computed; all
// conditions are. Memory is checked by ir/kir_memory.c. Cost: an index expression an element; for small sizes only.
#include "ir/kir_interp.h"
#include "ir/graph.h"

#include <math.h>
#include <string.h>

// -- index expressions --

static int64_t value_of(void *user, const sym *s) {
  const kir_interp *in = user;
  return in->values[(size_t)in->worker * in->n_symbols + s->id];
}

static int64_t read_of(void *user, const char *buffer, int64_t at) { return kir_memory_read_index(user, buffer, at); }

bool kir_interp_eval(kir_interp *in, const idx *e, int64_t *out) {
  const idx_env env = {value_of, read_of, in};
  bool good = idx_eval(e, &env, out);
  if (in->failed) return false;
  if (good) return true;
  in->failed = true;
  diag_at(in->l, NO_SPAN, kernel_run_index, in->k->name, kir_interp_point(in, in->point), kir_interp_text(in));
  return false;
}

// Conditions that read a buffer are asked where the others hold, as compiled code does.
bool kir_interp_holds(kir_interp *in, kir_where w, bool *out) {
  *out = true;
  for (int reads = 0; reads < 2; reads++)
    for (uint32_t i = 0; i < w.n && (!reads || *out); i++) {
      int64_t v;
      if (idx_mentions_read(w.cond[i]) != (reads == 1)) continue;
      if (!kir_interp_eval(in, w.cond[i], &v)) return false;
      *out = *out && v >= 0;
    }
  return true;
}

static void set_symbol(kir_interp *in, uint32_t worker, const sym *s, int64_t v) {
  in->values[(size_t)worker * in->n_symbols + s->id] = v;
}

static void set_uniform(kir_interp *in, const sym *s, int64_t v) {
  for (uint32_t w = 0; w < in->n_workers; w++) set_symbol(in, w, s, v);
}

static void set_place(kir_interp *in, uint32_t worker, uint32_t r, uint32_t c) {
  in->worker = worker;
  set_symbol(in, worker, in->k->r, r);
  set_symbol(in, worker, in->k->c, c);
}

// -- messages --

const char *kir_interp_point(kir_interp *in, uint64_t point) {
  const kir_kernel *k = in->k;
  if (point == SEVERAL) return "several others";
  if (k->n_grid == 0 || point == 0) return "0";
  int64_t axis[3] = {0, 0, 0};
  uint64_t left = point - 1;
  in->worker = 0;
  for (uint32_t i = k->n_grid; i-- > 0;) {
    const idx_env env = {value_of, read_of, in};
    int64_t extent;
    if (!idx_eval(k->grid_extent[i], &env, &extent) || extent < 1) return "?";
    axis[i] = (int64_t)(left % (uint64_t)extent);
    left /= (uint64_t)extent;
  }
  strbuf b;
  sb_init(&b, in->a);
  for (uint32_t i = 0; i < k->n_grid; i++) {
    sb_fmt(&b, "%s%s=%lld", i == 0 ? "" : ", ", k->grid[i]->name, (long long)axis[i]);
  }
  return sb_cstr(&b);
}

const char *kir_interp_text(kir_interp *in) {
  return in->s == NULL ? "the header" : kir_stmt_text(in->a, in->k, in->numbers, in->s);
}

// -- tiles --

static size_t tile_elems(const kir_tile *t) { return (size_t)t->rows * t->cols; }

static scalar *tile_of(kir_interp *in, const kir_tile *t, uint32_t worker) {
  if (in->tiles[t->id] == NULL) in->tiles[t->id] = ARENA_ARRAY(in->a, scalar, in->n_workers * tile_elems(t));
  return in->tiles[t->id] + worker * tile_elems(t);
}

// The element of a tile at (r, c) of a shape that it broadcasts to.
static scalar at(kir_interp *in, const kir_tile *t, uint32_t worker, uint32_t r, uint32_t c) {
  return tile_of(in, t, worker)[(t->rows == 1 ? 0 : (size_t)r * t->cols) + (t->cols == 1 ? 0 : c)];
}

static void copy_tile(kir_interp *in, const kir_tile *to, const kir_tile *from) {
  memcpy(tile_of(in, to, 0), tile_of(in, from, 0), in->active * tile_elems(to) * sizeof(scalar));
}

static scalar fused(dtype dt, scalar x, scalar y, scalar z) {
  if (dt == DT_f32) return scalar_f(dt, (double)fmaf((float)x.v.f, (float)y.v.f, (float)z.v.f));
  if (dtype_is_float(dt)) return scalar_f(dt, fma(x.v.f, y.v.f, z.v.f));
  scalar product = op_eval_scalar(OP_mul, (scalar[]){x, y}, dt);
  return op_eval_scalar(OP_add, (scalar[]){product, z}, dt);
}

static bool index_scalar(kir_interp *in, const kir_stmt *s, scalar *out) {
  int64_t v;
  if (!kir_interp_eval(in, s->index, &v)) return false;
  *out = scalar_i(s->out->dt, v);
  if (out->v.i == v) return true;
  in->failed = true;
  diag_at(in->l, NO_SPAN, kernel_run_index, in->k->name, kir_interp_point(in, in->point), kir_interp_text(in));
  return false;
}

// acc + a[r, :] · b[:, c] of bf16 or of bytes: products are exact in double, and the sum is rounded once, or wraps.
static scalar summed(kir_interp *in, const kir_stmt *s, uint32_t w, uint32_t r, uint32_t c) {
  uint32_t side = kir_dot_interleaved(s);
  scalar acc = at(in, s->in[0], w, r, c);
  bool floats = dtype_is_float(acc.dt);
  double sum = floats ? acc.v.f : (double)acc.v.i;
  for (uint32_t k = 0; k < s->in[1]->cols; k++) {
    scalar x = at(in, s->in[1], w, r, k);
    scalar y = side ? at(in, s->in[2], w, 0, c * side + k) : at(in, s->in[2], w, k, c);
    sum += floats ? x.v.f * y.v.f : (double)(x.v.i * y.v.i);
  }
  return floats ? scalar_f(s->out->dt, sum) : scalar_i(s->out->dt, (int64_t)sum);
}

// One element of what a statement defines; the place (w, r, c) is set.
static bool element(kir_interp *in, const kir_stmt *s, uint32_t w, uint32_t r, uint32_t c, scalar *out) {
  scalar v[3];
  if (s->kind == KIR_dot && !kir_dot_is(s, "fma")) {
    *out = summed(in, s, w, r, c);
    return true;
  }
  if (s->kind == KIR_zip) {
    *out = s->n_in == 1 ? at(in, s->in[0], w, 2 * r + c % 2, c / 2) : at(in, s->in[c % 2], w, r, c / 2);
    return true;
  }
  for (uint32_t i = 0; i < s->n_in; i++) v[i] = at(in, s->in[i], w, r, c);
  bool holds = true;
  switch ((int)s->kind) {
  case KIR_const: *out = s->imm; return true;
  case KIR_index: return index_scalar(in, s, out);
  case KIR_op: *out = op_eval_scalar(s->op, v, s->out->dt); return true;
  case KIR_dot: *out = fused(s->out->dt, v[1], v[2], v[0]); return true;
  case KIR_fma: *out = fused(s->out->dt, v[0], v[1], v[2]); return true;
  default: break;
  }
  if (!kir_interp_holds(in, s->where, &holds)) return false; // load, select
  *out = holds && s->kind == KIR_select ? v[0] : s->imm;
  return !holds || s->kind == KIR_select || kir_memory_read(in, s->acc, out);
}

static bool run_elements(kir_interp *in, const kir_stmt *s) {
  for (uint32_t w = 0; w < in->active; w++) {
    scalar *out = tile_of(in, s->out, w);
    for (uint32_t r = 0; r < s->out->rows; r++) {
      for (uint32_t c = 0; c < s->out->cols; c++) {
        set_place(in, w, r, c);
        if (!element(in, s, w, r, c, out++)) return false;
      }
    }
  }
  return true;
}

// -- products of a warp --

static bool element_at(kir_interp *in, kir_access acc, uint32_t w, uint32_t r, uint32_t c, double *out) {
  scalar v;
  set_place(in, w, r, c);
  if (!kir_memory_read(in, acc, &v)) return false;
  *out = v.v.f;
  return true;
}

// Lane l of a warp holds, of the warp's tile, rows 8*r + l//4 and columns 8*(c//2) + 2*(l%4) + c%2. Rounded once.
static bool run_mma(kir_interp *in, const kir_stmt *s) {
  for (uint32_t w = 0; w < in->active; w++) {
    uint32_t lane = w % KIR_WARP;
    for (uint32_t i = 0; i < s->out->rows * s->out->cols; i++) {
      uint32_t r = i / s->out->cols, c = i % s->out->cols, row = 8 * r + lane / 4;
      uint32_t col = 8 * (c / 2) + 2 * (lane % 4) + c % 2;
      double sum = at(in, s->in[0], w, r, c).v.f, a, b;
      for (uint32_t k = 0; k < s->cols; k++) {
        if (!element_at(in, s->acc, w, row, k, &a) || !element_at(in, s->from, w, col, k, &b)) return false;
        sum += a * b;
      }
      tile_of(in, s->out, w)[i] = scalar_f(DT_f32, sum);
    }
  }
  return true;
}

// -- reductions --

static scalar reduced(op_code op, dtype dt, scalar acc, scalar x) {
  bool exact = op == OP_amax || op == OP_amin || !dtype_is_float(dt);
  if (!exact) return (scalar){dt, {.f = op == OP_sum ? acc.v.f + x.v.f : acc.v.f * x.v.f}}; // rounded at the end
  op_code step = op == OP_amax ? OP_max : op == OP_amin ? OP_min : op == OP_sum ? OP_add : OP_mul;
  return op_eval_scalar(step, (scalar[]){acc, x}, dt);
}

static void run_reduce(kir_interp *in, const kir_stmt *s) {
  const kir_kernel *k = in->k;
  const kir_tile *t = s->in[0];
  // Workers are numbered row-major: along the last axis neighbours are 1 apart.
  bool along_first = s->across != NULL && s->across == k->workers[0];
  bool along_last = s->across != NULL && !along_first;
  uint32_t inner = k->n_workers == 2 ? (uint32_t)k->worker_extent[1] : 1;
  uint32_t stride = along_first ? inner : 1;
  uint32_t n = along_first ? (uint32_t)k->worker_extent[0] : along_last ? inner : 1;
  for (uint32_t w = 0; w < in->active; w++) {
    uint32_t first = w - (w / stride % n) * stride;
    for (uint32_t r = 0; r < t->rows; r++) {
      scalar acc = at(in, t, first, r, 0);
      for (uint32_t i = 0; i < n; i++) {
        for (uint32_t c = i == 0; c < t->cols; c++)
          acc = reduced(s->op, t->dt, acc, at(in, t, first + i * stride, r, c));
      }
      tile_of(in, s->out, w)[r] = scalar_round(acc);
    }
  }
}

// -- memory --

static bool run_store(kir_interp *in, const kir_stmt *s) {
  for (uint32_t w = 0; w < in->active; w++) {
    for (uint32_t r = 0; r < s->rows; r++) {
      for (uint32_t c = 0; c < s->cols; c++) {
        bool holds;
        set_place(in, w, r, c);
        if (!kir_interp_holds(in, s->where, &holds)) return false;
        if (holds && !kir_memory_write(in, s->acc, at(in, s->in[0], w, r, c))) return false;
      }
    }
  }
  return true;
}

static bool run_block(kir_interp *in, const kir_block *block);

// Reads everything, applies the body to it, writes everything: once for the group.
static bool run_copy(kir_interp *in, const kir_stmt *s) {
  bool has_body = s->n_carry > 0;
  vec_reserve(in->a, &in->copied, (size_t)s->rows * s->cols);
  scalar *v = has_body ? tile_of(in, s->carry[0], 0) : in->copied.at, *next = v;
  for (uint32_t r = 0; r < s->rows; r++) {
    for (uint32_t c = 0; c < s->cols; c++, next++) {
      bool holds;
      set_place(in, 0, r, c);
      if (!kir_interp_holds(in, s->where, &holds)) return false;
      *next = s->imm;
      if (holds && !kir_memory_read(in, s->from, next)) return false;
    }
  }
  if (has_body) {
    in->active = 1;
    if (!run_block(in, &s->body)) return false;
    in->active = in->n_workers;
    in->s = s;
  }
  for (uint32_t r = 0; r < s->rows; r++) {
    for (uint32_t c = 0; c < s->cols; c++, v++) {
      set_place(in, 0, r, c);
      if (!kir_memory_write(in, s->acc, has_body ? at(in, s->yield[0], 0, r, c) : *v)) return false;
    }
  }
  return true;
}

static bool run_fault(kir_interp *in, const kir_stmt *s) {
  for (uint32_t w = 0; w < in->active; w++) {
    for (uint32_t r = 0; r < s->rows; r++) {
      for (uint32_t c = 0; c < s->cols; c++) {
        bool holds;
        set_place(in, w, r, c);
        if (!kir_interp_holds(in, s->where, &holds)) return false;
        if (holds) in->fault = s->site + 1;
      }
    }
  }
  return true;
}

// -- control flow --

static bool run_let(kir_interp *in, const kir_stmt *s) {
  for (uint32_t w = 0; w < in->n_workers; w++) {
    int64_t v;
    in->worker = w;
    if (!kir_interp_eval(in, s->index, &v)) return false;
    set_symbol(in, w, s->var, v);
  }
  return true;
}

static bool run_for(kir_interp *in, const kir_stmt *s) {
  int64_t lo, hi;
  in->worker = 0;
  if (!kir_interp_eval(in, s->lo, &lo) || !kir_interp_eval(in, s->hi, &hi)) return false;
  for (uint32_t i = 0; i < s->n_carry; i++) copy_tile(in, s->carry[i], s->init[i]);
  for (int64_t v = lo; v < hi;) {
    set_uniform(in, s->var, v);
    if (!run_block(in, &s->body)) return false;
    // A yield may be another carried tile: all are read before one is written.
    for (uint32_t i = 0; i < s->n_carry; i++) copy_tile(in, s->result[i], s->yield[i]);
    for (uint32_t i = 0; i < s->n_carry; i++) copy_tile(in, s->carry[i], s->result[i]);
    if (__builtin_add_overflow(v, s->step, &v)) break;
  }
  for (uint32_t i = 0; i < s->n_carry; i++) copy_tile(in, s->result[i], s->carry[i]);
  return true;
}

static bool run_if(kir_interp *in, const kir_stmt *s) {
  int64_t v;
  in->worker = 0;
  if (!kir_interp_eval(in, s->index, &v)) return false;
  return run_block(in, v >= 0 ? &s->body : &s->other);
}

static bool run_stmt(kir_interp *in, const kir_stmt *s) {
  in->s = s;
  in->stamp++;
  switch (s->kind) {
  case KIR_let: return run_let(in, s);
  case KIR_load:
  case KIR_const:
  case KIR_index:
  case KIR_dot:
  case KIR_op:
  case KIR_fma:
  case KIR_zip:
  case KIR_select: return run_elements(in, s);
  case KIR_mma: return run_mma(in, s);
  case KIR_reduce: run_reduce(in, s); return true;
  case KIR_store: return run_store(in, s);
  case KIR_copy: return run_copy(in, s);
  case KIR_prefetch: return true; // touches no memory that a program can see
  case KIR_barrier: return true;  // lock step
  case KIR_fault: return run_fault(in, s);
  case KIR_for: return run_for(in, s);
  case KIR_if: return run_if(in, s);
  }
  return true;
}

static bool run_block(kir_interp *in, const kir_block *block) {
  for (const kir_stmt *s = block->first; s != NULL; s = s->next) {
    if (!run_stmt(in, s)) return false;
  }
  return true;
}

// -- the whole run --

static uint32_t last_symbol(const kir_block *block, uint32_t last) {
  for (const kir_stmt *s = block->first; s != NULL; s = s->next) {
    if (s->var != NULL && s->var->id > last) last = s->var->id;
    last = last_symbol(&s->other, last_symbol(&s->body, last));
  }
  return last;
}

static uint32_t count_symbols(const kir_kernel *k) {
  uint32_t last = k->r->id > k->c->id ? k->r->id : k->c->id;
  for (size_t i = 0; i < k->facts.n; i++) last = k->facts.at[i].symbol->id > last ? k->facts.at[i].symbol->id : last;
  for (uint32_t i = 0; i < k->n_grid; i++) last = k->grid[i]->id > last ? k->grid[i]->id : last;
  for (uint32_t i = 0; i < k->n_workers; i++) last = k->workers[i]->id > last ? k->workers[i]->id : last;
  return last_symbol(&k->body, last) + 1;
}

static bool bind_symbols(kir_interp *in, const int64_t *symbols) {
  for (size_t i = 0; i < in->k->facts.n; i++) {
    const kir_fact *f = &in->k->facts.at[i];
    if (symbols[i] < f->lo || symbols[i] > f->hi || symbols[i] % f->multiple != 0) {
      diag_at(in->l, NO_SPAN, kernel_run_symbol, in->k->name, f->symbol->name, (long long)symbols[i]);
      return false;
    }
    set_uniform(in, f->symbol, symbols[i]);
  }
  return true;
}

static bool bind_memory(kir_interp *in, void *const *buffers) {
  const kir_kernel *k = in->k;
  in->params = ARENA_ARRAY(in->a, kir_memory, k->params.n);
  in->group = ARENA_ARRAY(in->a, kir_memory, k->group.n);
  for (size_t i = 0; i < k->params.n; i++) {
    if (!kir_memory_init(in, &in->params[i], k->params.at[i], buffers[i])) return false;
  }
  for (size_t i = 0; i < k->group.n; i++) {
    if (!kir_memory_init(in, &in->group[i], k->group.at[i], NULL)) return false;
  }
  return true;
}

static void bind_workers(kir_interp *in) {
  const kir_kernel *k = in->k;
  for (uint32_t w = 0; w < in->n_workers; w++) {
    uint32_t left = w;
    for (uint32_t i = k->n_workers; i-- > 0;) {
      set_symbol(in, w, k->workers[i], left % k->worker_extent[i]);
      left /= (uint32_t)k->worker_extent[i];
    }
  }
}

static bool run_grid(kir_interp *in) {
  const kir_kernel *k = in->k;
  int64_t extent[3] = {1, 1, 1};
  for (uint32_t i = 0; i < k->n_grid; i++) {
    if (!kir_interp_eval(in, k->grid_extent[i], &extent[i])) return false;
  }
  for (int64_t x = 0; x < extent[0]; x++) {
    for (int64_t y = 0; y < extent[1]; y++) {
      for (int64_t z = 0; z < extent[2]; z++) {
        const int64_t place[3] = {x, y, z};
        for (uint32_t i = 0; i < k->n_grid; i++) set_uniform(in, k->grid[i], place[i]);
        in->point++;
        if (!run_block(in, &k->body)) return false;
      }
    }
  }
  return true;
}

bool kir_run(arena *a, const kir_kernel *k, diag_list *l, void *const *buffers, const int64_t *symbols,
             int64_t *fault) {
  if (!kir_verify(k, l)) return false;
  kir_interp in = {.a = a, .k = k, .l = l, .numbers = kir_number_tiles(a, k), .n_workers = 1};
  for (uint32_t i = 0; i < k->n_workers; i++) in.n_workers *= (uint32_t)k->worker_extent[i];
  in.active = in.n_workers;
  in.n_symbols = count_symbols(k);
  in.values = ARENA_ARRAY(a, int64_t, (size_t)in.n_workers * in.n_symbols);
  in.tiles = ARENA_ARRAY(a, scalar *, k->next_tile);
  bind_workers(&in);
  if (!bind_symbols(&in, symbols) || !bind_memory(&in, buffers) || !run_grid(&in)) return false;
  *fault = in.fault;
  return true;
}
