// Sources of tensors: see source.h.
//
// random: normal deviates by Box and Muller 1958 over SplitMix64 (Steele, Lea, Flood 2014), so that a seed gives the
// same numbers everywhere; integers and bools are 0 or 1. The input's name is mixed in, so that two inputs of one seed
// differ.
#include "tools/nnc/source.h"
#include "frontend/tensorfile.h"

#include <math.h>
#include <string.h>

static bool bad_source(cli *c, const char *text, const char *why) {
  diag *d = diag_at(&c->diags, NO_SPAN, cli_source, text, why);
  diag_note_to(&c->diags, d,
               "FILE.npy, FILE.npz:KEY, FILE.safetensors:KEY, FILE.png, a number, random[:SEED], zeros, iota");
  return false;
}

// Splits "FILE.ext:rest" behind a known extension. `rest` is empty when there is none.
static const char *split_file(arena *a, const char *text, str *rest) {
  static const char *const extensions[] = {".npy", ".npz", ".safetensors", ".png"};
  for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
    size_t n = strlen(extensions[i]);
    for (const char *p = strstr(text, extensions[i]); p; p = strstr(p + 1, extensions[i])) {
      if (p[n] != 0 && p[n] != ':') continue;
      *rest = str_of(p[n] ? p + n + 1 : "");
      return str_dup(a, (str){text, (size_t)(p - text) + n});
    }
  }
  return NULL;
}

static bool read_number(cli *c, const char *text, const sig_tensor *input, scalar *out) {
  int64_t whole;
  double real;
  bool is_whole = parse_i64(str_of(text), &whole), is_real = parse_f64(str_of(text), &real);
  if (!is_real) return bad_source(c, text, "it is no file of a known kind, no number and no word that fills a tensor");
  if (dtype_is_float(input->dt)) {
    *out = scalar_f(input->dt, real);
    return true;
  }
  *out = scalar_i(input->dt, is_whole ? whole : 0);
  if (is_whole && out->v.i == whole) return true;
  return bad_source(c, text, str_fmt(c->a, "`%s` is %s", input->name, dtype_name(input->dt)));
}

bool source_read(cli *c, const char *text, const sig_tensor *input, source *out) {
  *out = (source){.kind = SOURCE_tensor, .text = text};
  int64_t seed = 0;
  if (strcmp(text, "zeros") == 0) {
    out->kind = SOURCE_fill;
    out->fill = scalar_i(input->dt, 0);
    if (dtype_is_float(input->dt)) out->fill = scalar_f(input->dt, 0);
    return true;
  }
  if (strcmp(text, "iota") == 0) {
    out->kind = SOURCE_iota;
    return true;
  }
  if (strcmp(text, "random") == 0 || strncmp(text, "random:", 7) == 0) {
    if (text[6] && !parse_i64(str_of(text + 7), &seed)) return bad_source(c, text, "the seed is a whole number");
    out->kind = SOURCE_random;
    out->seed = (uint64_t)seed;
    return true;
  }
  str rest;
  const char *path = split_file(c->a, text, &rest);
  if (!path) {
    out->kind = SOURCE_fill;
    return read_number(c, text, input, &out->fill);
  }
  if (ends_with(path, ".png")) out->tensor = image_for_input(c, path, rest, input);
  else out->tensor = tensor_file_read(c->a, &c->diags, path, rest.n ? str_dup(c->a, rest) : NULL);
  return out->tensor != NULL;
}

static uint64_t next_bits(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static double next_normal(uint64_t *state) {
  double u = ((double)(next_bits(state) >> 11) + 0.5) * 0x1p-53, v = (double)(next_bits(state) >> 11) * 0x1p-53;
  return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

static scalar element(const source *s, dtype dt, int64_t i, uint64_t *state) {
  bool real = dtype_is_float(dt);
  switch (s->kind) {
  case SOURCE_iota: return real ? scalar_f(dt, (double)i) : scalar_i(dt, dt == DT_bool ? i != 0 : i);
  case SOURCE_random: return real ? scalar_f(dt, next_normal(state)) : scalar_i(dt, (int64_t)(next_bits(state) >> 63));
  case SOURCE_fill:
  case SOURCE_tensor: break;
  }
  return s->fill;
}

ir_tensor *source_make(cli *c, const source *s, const sig_tensor *input, const int64_t *dim) {
  ir_tensor *t = ir_tensor_new(c->a, input->dt, input->rank, dim);
  uint64_t state = s->seed ^ hash_bytes(input->name, strlen(input->name), 0);
  int64_t n = ir_tensor_count(t);
  for (int64_t i = 0; i < n; i++)
    scalar_store((char *)t->data + (size_t)i * dtype_size(t->dt), element(s, t->dt, i, &state));
  return t;
}
