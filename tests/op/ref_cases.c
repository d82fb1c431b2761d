#include "op/ref_cases.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// -- comparing --

typedef struct bound {
  enum { BOUND_exact, BOUND_ulp, BOUND_scaled } kind;
  double limit; // ulps, or the largest error
} bound;

static scalar at(const ir_tensor *t, int64_t i) {
  return scalar_load(t->dt, (const char *)t->data + (size_t)i * dtype_size(t->dt));
}

static bool parse_bound(const ref_case *c, const ir_tensor *expected, bound *b) {
  double largest = 0;
  *b = (bound){BOUND_exact, 0};
  if (!dtype_is_float(expected->dt) || strcmp(c->bound, "exact") == 0) return true;
  bool ulp = strncmp(c->bound, "ulp:", 4) == 0;
  if (!parse_f64(str_of(c->bound + (ulp ? 4 : 0)), &b->limit)) return false;
  b->kind = ulp ? BOUND_ulp : BOUND_scaled;
  for (int64_t i = 0; i < ir_tensor_count(expected); i++)
    if (isfinite(at(expected, i).v.f)) largest = fmax(largest, fabs(at(expected, i).v.f));
  if (!ulp) b->limit *= largest;
  return true;
}

// Distance in units in the last place: the difference of the bit patterns read as sign and magnitude.
static double ulps(scalar x, scalar y) {
  uint64_t bits[2] = {0, 0}, sign = (uint64_t)1 << (8 * dtype_size(x.dt) - 1);
  scalar_store(&bits[0], x);
  scalar_store(&bits[1], y);
  uint64_t a = bits[0] & ~sign, b = bits[1] & ~sign;
  if ((bits[0] & sign) != (bits[1] & sign)) return (double)a + (double)b;
  return a > b ? (double)(a - b) : (double)(b - a);
}

// How far `got` is from `expected`, in what the bound counts; 0 when it is as it must be, inf when no bound allows it.
static double error_of(bound b, scalar got, scalar expected) {
  if (scalar_same(got, expected)) return 0;
  if (b.kind == BOUND_exact || !isfinite(expected.v.f) || !isfinite(got.v.f)) return INFINITY;
  if (b.kind == BOUND_scaled) return fabs(got.v.f - expected.v.f);
  return got.v.f == expected.v.f ? INFINITY : ulps(got, expected); // equal but not the same: zeros of other signs
}

static void print_scalar(strbuf *b, scalar s) {
  if (dtype_is_float(s.dt)) sb_f64(b, s.v.f);
  else sb_fmt(b, "%lld", (long long)s.v.i);
}

static void print_index(strbuf *b, const ir_tensor *t, int64_t i) {
  sb_char(b, '[');
  int64_t stride = ir_tensor_count(t);
  for (uint32_t k = 0; k < t->rank; k++) {
    stride /= t->dim[k];
    sb_fmt(b, "%s%lld", k ? "," : "", (long long)(i / stride % t->dim[k]));
  }
  sb_char(b, ']');
}

static bool same_shape(const ir_tensor *a, const ir_tensor *b) {
  bool same = a->dt == b->dt && a->rank == b->rank;
  for (uint32_t i = 0; i < a->rank && same; i++) same = a->dim[i] == b->dim[i];
  return same;
}

static bool compare_one(const ref_case *c, uint32_t k, const ir_tensor *got, strbuf *why) {
  const ir_tensor *expected = c->out[k];
  bound b;
  double worst = -1;
  int64_t where = 0, n_wrong = 0;
  if (!same_shape(got, expected)) return sb_fmt(why, "out%u has another type", k), false;
  if (!parse_bound(c, expected, &b)) return sb_fmt(why, "the bound `%s` is none", c->bound), false;
  for (int64_t i = 0; i < ir_tensor_count(expected); i++) {
    double e = error_of(b, at(got, i), at(expected, i));
    n_wrong += e > b.limit;
    if (e > worst) worst = e, where = i;
  }
  if (n_wrong == 0) return true;
  sb_fmt(why, "out%u", k);
  print_index(why, expected, where);
  sb_z(why, ": got ");
  print_scalar(why, at(got, where));
  sb_z(why, ", expected ");
  print_scalar(why, at(expected, where));
  sb_fmt(why, "; error %g, allowed %g (%s); %lld of %lld elements wrong", worst, b.limit, c->bound, (long long)n_wrong,
         (long long)ir_tensor_count(expected));
  return false;
}

bool ref_compare(const ref_case *c, const ir_tensor *const *got, strbuf *why) {
  for (uint32_t k = 0; k < c->n_out; k++)
    if (!compare_one(c, k, got[k], why)) return false;
  return true;
}

// -- graphs --

static void print_type(strbuf *b, const ir_tensor *t) {
  sb_fmt(b, "%s[", dtype_name(t->dt));
  for (uint32_t i = 0; i < t->rank; i++) sb_fmt(b, "%s%lld", i ? "," : "", (long long)t->dim[i]);
  sb_char(b, ']');
}

ir_module *ref_module(arena *a, diag_list *l, const ref_case *c) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, "graph forward(");
  for (uint32_t i = 0; i < c->n_in; i++) {
    sb_fmt(&b, "%s%%%u x%u: ", i ? ", " : "", i, i);
    print_type(&b, c->in[i]);
  }
  sb_z(&b, ") {\n  ");
  for (uint32_t i = 0; i < c->n_out; i++) sb_fmt(&b, "%s%%%u", i ? ", " : "", c->n_in + i);
  sb_fmt(&b, " = %s : ", c->text);
  for (uint32_t i = 0; i < c->n_out; i++) {
    if (i) sb_z(&b, ", ");
    print_type(&b, c->out[i]);
  }
  sb_z(&b, "\n  return ");
  for (uint32_t i = 0; i < c->n_out; i++) sb_fmt(&b, "%sy%u: %%%u", i ? ", " : "", i, c->n_in + i);
  sb_z(&b, "\n}\n");
  return graph_parse(a, l, diag_add_file(l, c->name, sb_str(&b)));
}

// -- reading --

enum { MAX_OPERANDS = 64 };

// The tensors `<case>.<part>0`, `<case>.<part>1`, … until one is absent.
static const ir_tensor *const *load(arena *a, const st_file *f, const char *name, const char *part, uint32_t *n) {
  const ir_tensor **list = ARENA_ARRAY(a, const ir_tensor *, MAX_OPERANDS);
  const st_tensor *t;
  for (*n = 0; *n < MAX_OPERANDS && (t = st_find(f, str_fmt(a, "%s.%s%u", name, part, *n))) != NULL; ++*n)
    list[*n] = st_copy(a, t);
  return list;
}

static ref_verdict judge_case(arena *a, const char *file, const st_file *f, const char *name, const char *text,
                              ref_verdict (*judge)(void *user, arena *a, const ref_case *c), void *user) {
  static const char prelude[] = "prelude: ";
  ref_case c = {.file = file, .name = name, .text = text, .store = f};
  c.is_prelude = strncmp(text, prelude, sizeof prelude - 1) == 0;
  if (c.is_prelude) c.text += sizeof prelude - 1;
  c.bound = st_meta(f, str_fmt(a, "%s.tol", name));
  c.in = load(a, f, name, "in", &c.n_in);
  c.out = load(a, f, name, "out", &c.n_out);
  if (c.bound && c.n_out > 0) return judge(user, a, &c);
  fprintf(stderr, "%s: case %s lacks its bound or its results\n", file, name);
  return REF_failed;
}

static bool is_case(const char *key) {
  size_t n = strlen(key);
  return n < 4 || strcmp(key + n - 4, ".tol") != 0;
}

static void judge_file(const char *path, const char *file, ref_totals *totals,
                       ref_verdict (*judge)(void *user, arena *a, const ref_case *c), void *user) {
  arena *files = arena_new(NULL);
  diag_list l;
  diag_init(&l, files);
  const st_file *f = st_open(files, &l, path);
  for (size_t i = 0; f && i < st_meta_count(f); i++) {
    const char *name, *text;
    st_meta_at(f, i, &name, &text);
    if (!is_case(name)) continue;
    arena *a = arena_new(NULL);
    ref_verdict v = judge_case(a, file, f, name, text, judge, user);
    *(v == REF_passed ? &totals->n_passed : v == REF_failed ? &totals->n_failed : &totals->n_skipped) += 1;
    arena_free(a);
  }
  if (f) totals->n_files++;
  else fprintf(stderr, "%s\n", l.items.at[0]->text), totals->n_failed++;
  arena_free(files);
}

static int is_reference(const struct dirent *e) {
  const char *dot = strchr(e->d_name, '.');
  return dot && strcmp(dot, ".safetensors") == 0;
}

ref_totals ref_for_each(const char *folder, ref_verdict (*judge)(void *user, arena *a, const ref_case *c), void *user) {
  ref_totals totals = {0};
  struct dirent **list = NULL;
  int n = scandir(folder, &list, is_reference, alphasort);
  if (n < 0) perror(folder);
  for (int i = 0; i < n; i++) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
    *strchr(list[i]->d_name, '.') = '\0';
    judge_file(path, list[i]->d_name, &totals, judge, user);
    free(list[i]);
  }
  free(list);
  return totals;
}

bool ref_operator(const ref_case *c, op_code *op) {
  const char *only = getenv("NNC_CASE");
  return !c->is_prelude && (!only || strstr(c->name, only)) && op_find((str){c->text, strcspn(c->text, "(")}, op);
}

ref_case ref_in_f32(const ref_case *c, op_code op) {
  ref_case w = *c;
  if (op == OP_sum && c->out[0]->dt == DT_f32 && strcmp(c->bound, "exact") != 0) w.bound = "1e-5";
  return w;
}
