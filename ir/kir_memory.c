// The kernel interpreter's memory: bounds, elements never written, and races between grid points.
//
// Grid points run in any order and at the same time, so an element of `out` or `inout` belongs to the one point that
// writes it: nobody else may write or read it. Group scratch is a grid point's own and begins unwritten; `out` begins
// unwritten too. Within one execution of a statement no element may be written twice.
#include "ir/kir_interp.h"

static void *element(const kir_memory *m, int64_t at) { return m->data + (size_t)at * dtype_size(m->buf->dt); }

bool kir_memory_init(kir_interp *in, kir_memory *m, const kir_buffer *b, void *data) {
  m->buf = b;
  m->n_elems = 1;
  for (uint32_t i = 0; i < b->rank; i++) {
    if (!kir_interp_eval(in, b->dim[i], &m->extent[i])) return false;
    bool fits = m->extent[i] >= 0 && !__builtin_mul_overflow(m->n_elems, m->extent[i], &m->n_elems) &&
                m->n_elems <= INT64_MAX / (int64_t)sizeof(kir_cell);
    if (fits) continue;
    in->failed = true;
    diag_at(in->l, NO_SPAN, kernel_run_index, in->k->name, kir_interp_point(in, in->point), b->name);
    return false;
  }
  size_t n = (size_t)m->n_elems;
  m->data = b->space == KIR_group ? arena_array(in->a, n, dtype_size(b->dt)) : data;
  m->cells = b->space == KIR_in ? NULL : ARENA_ARRAY(in->a, kir_cell, n);
  return true;
}

kir_memory *kir_memory_of(kir_interp *in, const kir_buffer *b) {
  return b->space == KIR_group ? &in->group[b->index] : &in->params[b->index];
}

static void report_bounds(kir_interp *in, const kir_memory *m, int64_t index, uint32_t axis, int64_t extent) {
  in->failed = true;
  diag_at(in->l, NO_SPAN, kernel_run_bounds, in->k->name, kir_interp_point(in, in->point), (long long)index, axis,
          m->buf->name, (long long)extent, kir_interp_text(in));
}

static bool place(kir_interp *in, const kir_memory *m, kir_access acc, int64_t *at) {
  *at = 0;
  for (uint32_t i = 0; i < m->buf->rank; i++) {
    int64_t index;
    if (!kir_interp_eval(in, acc.index[i], &index)) return false;
    if (index < 0 || index >= m->extent[i]) return report_bounds(in, m, index, i, m->extent[i]), false;
    *at = *at * m->extent[i] + index;
  }
  return true;
}

static bool report_race(kir_interp *in, const kir_memory *m, int64_t at, const char *how, const char *by) {
  in->failed = true;
  diag_at(in->l, NO_SPAN, kernel_run_race, in->k->name, kir_interp_point(in, in->point), (long long)at, m->buf->name,
          how, by, kir_interp_text(in));
  return false;
}

static bool may_read(kir_interp *in, const kir_memory *m, int64_t at) {
  if (m->cells == NULL) return true;
  kir_cell *c = &m->cells[at];
  bool own = c->writer == in->point, nobody = c->writer == 0;
  if (m->buf->space == KIR_inout) {
    c->reader = c->reader == 0 || c->reader == in->point ? in->point : SEVERAL;
    if (nobody) return true;
  } else if (m->buf->space == KIR_group ? !own : nobody) {
    in->failed = true;
    diag_at(in->l, NO_SPAN, kernel_run_unwritten, in->k->name, kir_interp_point(in, in->point), (long long)at,
            m->buf->name, kir_interp_text(in));
    return false;
  }
  return own || report_race(in, m, at, "written", kir_interp_point(in, c->writer));
}

static bool may_write(kir_interp *in, const kir_memory *m, int64_t at) {
  kir_cell *c = &m->cells[at];
  bool shared = m->buf->space != KIR_group;
  if (shared && c->writer != 0 && c->writer != in->point) {
    return report_race(in, m, at, "written", kir_interp_point(in, c->writer));
  }
  if (shared && c->reader != 0 && c->reader != in->point) {
    return report_race(in, m, at, "read", kir_interp_point(in, c->reader));
  }
  if (c->writer == in->point && c->stamp == in->stamp) return report_race(in, m, at, "written", "the same statement");
  c->writer = in->point;
  c->stamp = in->stamp;
  return true;
}

bool kir_memory_read(kir_interp *in, kir_access acc, scalar *out) {
  kir_memory *m = kir_memory_of(in, acc.buf);
  int64_t at;
  if (!place(in, m, acc, &at) || !may_read(in, m, at)) return false;
  *out = scalar_load(m->buf->dt, element(m, at));
  return true;
}

bool kir_memory_write(kir_interp *in, kir_access acc, scalar value) {
  kir_memory *m = kir_memory_of(in, acc.buf);
  int64_t at;
  if (!place(in, m, acc, &at) || !may_write(in, m, at)) return false;
  scalar_store(element(m, at), value);
  return true;
}

int64_t kir_memory_read_index(kir_interp *in, const char *buffer, int64_t at) {
  kir_memory *m = kir_memory_of(in, kir_buffer_find(in->k, buffer));
  if (at < 0 || at >= m->n_elems) {
    if (!in->failed) report_bounds(in, m, at, 0, m->n_elems);
    return 0;
  }
  return scalar_load(m->buf->dt, element(m, at)).v.i;
}
