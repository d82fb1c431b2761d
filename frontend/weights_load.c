// The elements of a weight: in place where the file holds them just so, else copied once, converted and rearranged.
//
// A rule changes what is read, not how: transpose and permute give other strides, split an offset, concat several
// regions of one result. So one strided copy serves all.
#include "frontend/weights.h"

#include <string.h>

// A tensor of the file as the rule sees it.
typedef struct view {
  dtype dt;
  uint32_t rank;
  int64_t dim[IR_MAX_RANK];
  int64_t stride[IR_MAX_RANK]; // in elements
  const unsigned char *data;
} view;

const char *weights_type_text(arena *a, dtype dt, uint32_t rank, const int64_t *dim) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, dtype_name(dt));
  sb_char(&b, '[');
  for (uint32_t i = 0; i < rank; i++) sb_fmt(&b, "%s%lld", i ? ", " : "", (long long)dim[i]);
  sb_char(&b, ']');
  return sb_cstr(&b);
}

static void row_major(uint32_t rank, const int64_t *dim, int64_t *stride) {
  int64_t n = 1;
  for (uint32_t i = rank; i-- > 0;) {
    stride[i] = n;
    n *= dim[i];
  }
}

static view view_of(const st_tensor *t) {
  view v = {.dt = t->dt, .rank = t->rank, .data = t->data};
  for (uint32_t i = 0; i < t->rank; i++) v.dim[i] = t->dim[i];
  row_major(v.rank, v.dim, v.stride);
  return v;
}

static void permute(view *v, const int64_t *axes) {
  view old = *v;
  for (uint32_t i = 0; i < v->rank; i++) {
    v->dim[i] = old.dim[axes[i]];
    v->stride[i] = old.stride[axes[i]];
  }
}

static size_t axis_of(int64_t dim, uint32_t rank) { return (size_t)(dim < 0 ? dim + rank : dim); }
static bool is_axis(int64_t dim, uint32_t rank) { return dim < (int64_t)rank && dim >= -(int64_t)rank; }

// The part of the tensor that is this weight; the sizes of all parts come from the weights they are.
static const char *cut(weight_binder *b, const weight_slot *s, view *v) {
  int64_t dim = s->rule->ast->dim, sum = 0, before = 0;
  size_t n = s->rule->targets.n;
  if (!is_axis(dim, v->rank)) return str_fmt(b->a, "it has no dim %lld to split", (long long)dim);
  size_t axis = axis_of(dim, v->rank);
  for (size_t i = 0; i < n; i++) {
    const weight_slot *part = s->split_into[i];
    if (part->w->type.rank != v->rank) return "its parts have another number of dims";
    if (i < s->split_index) before += part->dim[axis];
    sum += part->dim[axis];
  }
  if (sum != v->dim[axis]) {
    return str_fmt(b->a, "its parts are %lld together along dim %lld", (long long)sum, (long long)dim);
  }
  v->data += (size_t)(before * v->stride[axis]) * dtype_size(v->dt);
  v->dim[axis] = s->dim[axis];
  return NULL;
}

// Applies the rule to a view. NULL, or why it cannot be.
static const char *apply_rule(weight_binder *b, const weight_slot *s, view *v) {
  int64_t axes[IR_MAX_RANK];
  if (!s->rule) return NULL;
  const ast_rename *r = s->rule->ast;
  switch (r->kind) {
  case RN_target:
  case RN_ignore:
  case RN_concat: return NULL;
  case RN_transpose:
    if (v->rank < 2) return "`transpose` needs two dims";
    for (uint32_t i = 0; i < v->rank; i++) axes[i] = i;
    axes[v->rank - 2] = v->rank - 1;
    axes[v->rank - 1] = v->rank - 2;
    permute(v, axes);
    return NULL;
  case RN_permute:
    if (r->numbers.n != v->rank) return str_fmt(b->a, "`permute` names %zu dims", r->numbers.n);
    permute(v, r->numbers.at);
    return NULL;
  case RN_split: return cut(b, s, v);
  }
  return NULL;
}

static double load_double(dtype dt, const unsigned char *p) {
  uint16_t h;
  float f;
  double d;
  if (dt == DT_f16 || dt == DT_bf16) {
    memcpy(&h, p, sizeof h);
    return (double)(dt == DT_f16 ? f16_to_f32(h) : bf16_to_f32(h));
  }
  if (dt == DT_f32) {
    memcpy(&f, p, sizeof f);
    return (double)f;
  }
  memcpy(&d, p, sizeof d);
  return d;
}

static void store_double(dtype dt, unsigned char *p, double d) {
  if (dt == DT_f16 || dt == DT_bf16) {
    uint16_t h = dt == DT_f16 ? f64_to_f16(d) : f64_to_bf16(d);
    memcpy(p, &h, sizeof h);
  } else if (dt == DT_f32) {
    float f = f64_to_f32_once(d);
    memcpy(p, &f, sizeof f);
  } else {
    memcpy(p, &d, sizeof d);
  }
}

// n elements to consecutive places. Floats go through double, so that each is rounded once.
static void copy_row(unsigned char *to, dtype to_dt, const unsigned char *from, dtype from_dt, int64_t stride,
                     int64_t n) {
  size_t to_size = dtype_size(to_dt), from_size = dtype_size(from_dt);
  if (to_dt == from_dt && stride == 1) {
    memcpy(to, from, (size_t)n * to_size);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    const unsigned char *p = from + (size_t)(i * stride) * from_size;
    if (to_dt == from_dt) memcpy(to, p, to_size);
    else store_double(to_dt, to, load_double(from_dt, p));
    to += to_size;
  }
}

// The view's elements, in its order, to the region of `to` that has these strides (in elements; the last is 1).
static void copy_view(const view *v, unsigned char *to, dtype to_dt, const int64_t *to_stride) {
  int64_t at[IR_MAX_RANK] = {0}, rows = 1;
  uint32_t outer = v->rank ? v->rank - 1 : 0;
  for (uint32_t i = 0; i < outer; i++) rows *= v->dim[i];
  int64_t n = v->rank ? v->dim[outer] : 1, stride = v->rank ? v->stride[outer] : 1;
  if (n == 0) return;
  for (int64_t r = 0; r < rows; r++) {
    int64_t from = 0, into = 0;
    for (uint32_t i = 0; i < outer; i++) {
      from += at[i] * v->stride[i];
      into += at[i] * to_stride[i];
    }
    copy_row(to + (size_t)into * dtype_size(to_dt), to_dt, v->data + (size_t)from * dtype_size(v->dt), v->dt, stride,
             n);
    for (uint32_t i = outer; i-- > 0;) {
      if (++at[i] < v->dim[i]) break;
      at[i] = 0;
    }
  }
}

static bool converts(dtype from, dtype to) { return from == to || (dtype_is_float(from) && dtype_is_float(to)); }

static bool has_dims(const view *v, uint32_t rank, const int64_t *dim) {
  return v->rank == rank && (rank == 0 || memcmp(v->dim, dim, rank * sizeof *dim) == 0);
}

// "`a.weight` is f32[2, 3] (m.yaml:3:4), `b.weight` in the file is f32[3, 2]" and a reason.
static const char *misfit(weight_binder *b, const weight_slot *s, const st_tensor *t, const char *reason) {
  const char *ours = weights_type_text(b->a, s->w->type.dt, s->w->type.rank, s->dim);
  const char *theirs = weights_type_text(b->a, t->dt, t->rank, t->dim);
  const char *same = strcmp(t->name, s->w->name) == 0 ? "the file has" : str_fmt(b->a, "the file has `%s`,", t->name);
  return str_fmt(b->a, "`%s` is %s (%s), %s %s%s%s", s->w->name, ours, weights_place_text(b, s->w->span), same, theirs,
                 reason ? ": " : "", reason ? reason : "");
}

// Why a view that differs from the weight surprises: what the rule has made of it, or that it lies the other way.
static const char *shape_hint(weight_binder *b, const weight_slot *s, const view *v) {
  bool turned = s->rule && (s->rule->ast->kind == RN_transpose || s->rule->ast->kind == RN_permute);
  if (turned) return str_fmt(b->a, "its rule makes it %s", weights_type_text(b->a, v->dt, v->rank, v->dim));
  bool swapped = !s->rule && v->rank == 2 && s->w->type.rank == 2 && v->dim[0] == s->dim[1] && v->dim[1] == s->dim[0];
  return swapped ? "a rule `...: transpose(...)` turns it" : NULL;
}

static bool in_place(const view *v, const weight_slot *s) {
  size_t align = dtype_size(v->dt) > 4 ? 8 : 4; // of the runtime's loads; narrower types are read in wider words
  int64_t stride[IR_MAX_RANK];
  row_major(v->rank, v->dim, stride);
  bool dense = v->rank == 0 || memcmp(v->stride, stride, v->rank * sizeof *stride) == 0;
  return dense && v->dt == s->w->type.dt && (uintptr_t)v->data % align == 0;
}

const char *weights_load(weight_binder *b, weight_slot *s) {
  dtype dt = s->w->type.dt;
  uint32_t rank = s->w->type.rank;
  bool joined = s->rule && s->rule->ast->kind == RN_concat;
  int64_t want[IR_MAX_RANK], stride[IR_MAX_RANK], filled = 0;
  size_t count = 1, axis = 0;
  memcpy(want, s->dim, sizeof want);
  row_major(rank, s->dim, stride);
  for (uint32_t i = 0; i < rank; i++) count *= (size_t)s->dim[i];
  if (joined && !is_axis(s->rule->ast->dim, rank))
    return misfit(b, s, s->parts[0].tensor, "there is no such dim to join along");
  if (joined) axis = axis_of(s->rule->ast->dim, rank);
  unsigned char *data = NULL;
  for (size_t i = 0; i < s->n_parts; i++) {
    const st_tensor *t = s->parts[i].tensor;
    view v = view_of(t);
    const char *reason = apply_rule(b, s, &v);
    if (reason) return misfit(b, s, t, reason);
    if (joined && v.rank == rank) want[axis] = v.dim[axis];
    if (!has_dims(&v, rank, want) || !converts(v.dt, dt)) return misfit(b, s, t, shape_hint(b, s, &v));
    if (joined && filled + v.dim[axis] > s->dim[axis]) return misfit(b, s, t, "the parts are longer than the weight");
    if (!joined && in_place(&v, s)) {
      s->w->data = v.data;
      s->w->mapped = true;
      return NULL;
    }
    if (!data) data = arena_array(b->a, count, dtype_size(dt));
    size_t offset = joined ? (size_t)(filled * stride[axis]) * dtype_size(dt) : 0;
    copy_view(&v, data + offset, dt, stride);
    filled += joined ? v.dim[axis] : 0;
  }
  if (joined && filled != s->dim[axis])
    return misfit(b, s, s->parts[0].tensor, "the parts are shorter than the weight");
  s->w->data = data;
  return NULL;
}
