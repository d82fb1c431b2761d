// The interpreter's tensors: reference counts, working copies, and the index arithmetic that every evaluator uses.
#include "ir/interp.h"

#include <setjmp.h>
#include <string.h>

int64_t ir_tensor_count(const ir_tensor *t) {
  int64_t n = 1;
  for (uint32_t i = 0; i < t->rank; i++) n *= t->dim[i];
  return n;
}

// The bytes of all elements; false when they, or any product of dims, do not fit in 62 bits.
static bool size_of(dtype dt, uint32_t rank, const int64_t *dim, size_t *size_bytes) {
  *size_bytes = dtype_size(dt);
  bool empty = false;
  for (uint32_t i = 0; i < rank; i++) {
    empty |= dim[i] == 0;
    if (dim[i] < 0 || (dim[i] > 0 && __builtin_mul_overflow(*size_bytes, (size_t)dim[i], size_bytes))) return false;
    if (*size_bytes > (size_t)INT64_MAX / 2) return false;
  }
  if (empty) *size_bytes = 0;
  return true;
}

_Noreturn static void out_of_memory(arena *a) { longjmp(*arena_guard(a), 1); }

ir_tensor *ir_tensor_new(arena *a, dtype dt, uint32_t rank, const int64_t *dim) {
  size_t size_bytes;
  if (!size_of(dt, rank, dim, &size_bytes)) out_of_memory(a);
  ir_tensor *t = ARENA_NEW(a, ir_tensor);
  t->dt = dt;
  t->rank = rank;
  for (uint32_t i = 0; i < rank; i++) t->dim[i] = dim[i];
  t->data = arena_alloc(a, size_bytes);
  return t;
}

static ir_tensor *add_cell(interp *it, size_t data_bytes) {
  const size_t header = (sizeof(interp_cell) + 63) & ~(size_t)63;
  interp_cell *c = mem_alloc(arena_source(it->a), header + data_bytes);
  if (!c) out_of_memory(it->a);
  *c = (interp_cell){.refs = 1, .next = it->cells};
  if (it->cells) it->cells->prev = c;
  it->cells = c;
  c->t.data = (char *)c + header;
  return &c->t;
}

ir_tensor *interp_new(interp *it, dtype dt, uint32_t rank, const int64_t *dim) {
  size_t size_bytes;
  if (!size_of(dt, rank, dim, &size_bytes)) out_of_memory(it->a);
  ir_tensor *t = add_cell(it, size_bytes);
  t->dt = dt;
  t->rank = rank;
  for (uint32_t i = 0; i < rank; i++) t->dim[i] = dim[i];
  return t;
}

ir_tensor *interp_borrow(interp *it, const ir_tensor *t) {
  ir_tensor *mine = add_cell(it, 0);
  *mine = *t;
  return mine;
}

ir_tensor *interp_retain(ir_tensor *t) {
  ((interp_cell *)t)->refs++;
  return t;
}

void interp_release(interp *it, ir_tensor *t) {
  interp_cell *c = (interp_cell *)t;
  if (!c || --c->refs > 0) return;
  if (c->next) c->next->prev = c->prev;
  if (c->prev) c->prev->next = c->next;
  else it->cells = c->next;
  mem_release(arena_source(it->a), c);
}

ir_tensor *interp_widen(interp *it, const ir_tensor *t) {
  ir_tensor *wide = interp_new(it, dtype_is_float(t->dt) ? DT_f64 : DT_i64, t->rank, t->dim);
  for (int64_t i = 0, n = ir_tensor_count(t); i < n; i++) {
    scalar s = interp_get(t, i);
    if (wide->dt == DT_f64) ((double *)wide->data)[i] = s.v.f;
    else ((int64_t *)wide->data)[i] = s.v.i;
  }
  return wide;
}

void interp_narrow(const ir_tensor *wide, ir_tensor *out) {
  for (int64_t i = 0, n = ir_tensor_count(out); i < n; i++) {
    scalar s = interp_get(wide, i);
    s.dt = out->dt;
    interp_set(out, i, scalar_round(s));
  }
}

void interp_fill(ir_tensor *t, scalar s) {
  for (int64_t i = 0, n = ir_tensor_count(t); i < n; i++) interp_set(t, i, s);
}

void interp_strides(uint32_t rank, const int64_t *dim, int64_t *stride) {
  int64_t step = 1;
  for (uint32_t i = rank; i-- > 0; step *= dim[i]) stride[i] = step;
}

bool interp_next(uint32_t rank, const int64_t *dim, int64_t *index) {
  for (uint32_t i = rank; i-- > 0;) {
    if (++index[i] < dim[i]) return true;
    index[i] = 0;
  }
  return false;
}

interp_lines interp_lines_of(const ir_tensor *t, uint32_t axis) {
  interp_lines x = {.outer = 1, .n = t->dim[axis], .inner = 1};
  for (uint32_t i = 0; i < axis; i++) x.outer *= t->dim[i];
  for (uint32_t i = axis + 1; i < t->rank; i++) x.inner *= t->dim[i];
  return x;
}
