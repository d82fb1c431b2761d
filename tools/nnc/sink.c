// Destinations of tensors: see sink.h. Files are written whole or not at all, by the writers of the front end.
#include "tools/nnc/sink.h"
#include "frontend/image.h"
#include "frontend/safetensors.h"
#include "frontend/tensorfile.h"

#include <math.h>
#include <string.h>

typedef enum sink_kind { SINK_npy, SINK_npz, SINK_safetensors, SINK_png, SINK_text, SINK_none } sink_kind;

static sink_kind kind_of(const char *dst) {
  if (strcmp(dst, "-") == 0) return SINK_text;
  if (ends_with(dst, ".npy")) return SINK_npy;
  if (ends_with(dst, ".npz")) return SINK_npz;
  if (ends_with(dst, ".safetensors")) return SINK_safetensors;
  return ends_with(dst, ".png") ? SINK_png : SINK_none;
}

static size_t find_output(const signature *s, const char *name) {
  size_t i = 0;
  while (i < s->outputs.n && strcmp(s->outputs.at[i].name, name) != 0) i++;
  return i;
}

static bool unknown_output(cli *c, const signature *s, const char *name) {
  const char **names = ARENA_ARRAY(c->a, const char *, s->outputs.n + 1);
  for (size_t i = 0; i < s->outputs.n; i++) names[i] = s->outputs.at[i].name;
  diag *d = diag_at(&c->diags, NO_SPAN, cli_output_unknown, s->entry, name);
  const char *near = str_suggest(str_of(name), names, s->outputs.n);
  if (near) diag_note_to(&c->diags, d, "did you mean `%s`?", near);
  for (size_t i = 0; i < s->outputs.n; i++)
    diag_note_to(&c->diags, d, "output %s: %s", names[i], sig_type_text(c->a, &s->outputs.at[i]));
  return false;
}

static bool bad_destination(cli *c, const char *dst, const char *why) {
  diag *d = diag_at(&c->diags, NO_SPAN, cli_destination, dst, why);
  diag_note_to(&c->diags, d, "FILE.npy, FILE.npz, FILE.safetensors, FILE.png, - for text");
  return false;
}

bool sinks_check(cli *c, const signature *s) {
  for (size_t i = 0; i < c->opt.out.n; i++) {
    frontend_pair p = c->opt.out.at[i];
    size_t output = find_output(s, p.key);
    if (output == s->outputs.n) return unknown_output(c, s, p.key);
    sink_kind kind = kind_of(p.value);
    const sig_tensor *t = &s->outputs.at[output];
    if (kind == SINK_text && c->opt.json) return bad_destination(c, p.value, "standard output holds the JSON text");
    if (kind == SINK_none) return bad_destination(c, p.value, "its name tells no known format");
    if (kind == SINK_png && ((t->dt != DT_f32 && t->dt != DT_u8) || t->rank < 2 || t->rank > 4))
      return bad_destination(
          c, p.value,
          str_fmt(c->a, "`%s` is %s, and images are f32 or u8 with 2 to 4 axes", t->name, sig_type_text(c->a, t)));
    for (size_t k = 0; k < i; k++)
      if (strcmp(c->opt.out.at[k].value, p.value) == 0 && (kind == SINK_npy || kind == SINK_png))
        return bad_destination(c, p.value, "it holds one tensor, and two outputs go there");
  }
  return true;
}

// -- text --

static void print_number(strbuf *b, scalar v) {
  if (dtype_is_float(v.dt)) sb_fmt(b, "%11.5g", v.v.f);
  else sb_fmt(b, "%6lld", (long long)v.v.i);
}

enum { EDGE = 3, LONGEST_ROW = 12 }; // axes longer than that show their first and last EDGE places

static void print_axis(strbuf *b, const ir_tensor *t, uint32_t axis, int64_t at, int indent) {
  if (axis == t->rank) {
    print_number(b, scalar_load(t->dt, (const char *)t->data + (size_t)at * dtype_size(t->dt)));
    return;
  }
  int64_t n = t->dim[axis], stride = 1;
  for (uint32_t d = axis + 1; d < t->rank; d++) stride *= t->dim[d];
  bool innermost = axis + 1 == t->rank, shortened = n > (innermost ? LONGEST_ROW : 2 * EDGE);
  sb_char(b, '[');
  for (int64_t i = 0; i < n; i++) {
    if (shortened && i == EDGE) {
      i = n - EDGE;
      sb_z(b, innermost ? "  ..." : "");
      if (!innermost) sb_fmt(b, "\n%*s...", indent + 1, "");
    }
    if (i > 0 && !innermost) sb_fmt(b, "\n%*s", indent + 1, "");
    print_axis(b, t, axis + 1, at + i * stride, indent + 1);
  }
  sb_char(b, ']');
}

static void print_type(strbuf *b, const ir_tensor *t) {
  sb_z(b, dtype_name(t->dt));
  for (uint32_t i = 0; i < t->rank; i++) sb_fmt(b, "%s%lld", i ? ", " : "[", (long long)t->dim[i]);
  if (t->rank) sb_char(b, ']');
}

void tensor_print(strbuf *b, const char *name, const ir_tensor *t) {
  sb_fmt(b, "%s ", name);
  print_type(b, t);
  sb_z(b, "\n");
  print_axis(b, t, 0, 0, 0);
  sb_z(b, "\n");
}

// -- statistics --

json_t *tensor_stats(const char *name, const ir_tensor *t) {
  json_t *shape = json_array(), *out;
  for (uint32_t i = 0; i < t->rank; i++) json_array_append_new(shape, json_integer(t->dim[i]));
  int64_t n = ir_tensor_count(t), n_nan = 0;
  double least = INFINITY, most = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    scalar v = scalar_load(t->dt, (const char *)t->data + (size_t)i * dtype_size(t->dt));
    double x = dtype_is_float(t->dt) ? v.v.f : (double)v.v.i;
    n_nan += isnan(x) != 0;
    if (isnan(x)) continue;
    least = x < least ? x : least;
    most = x > most ? x : most;
    sum += x;
  }
  out = json_pack("{s:s, s:s, s:o, s:I}", "name", name, "dtype", dtype_name(t->dt), "shape", shape, "nan",
                  (json_int_t)n_nan);
  const char *const keys[] = {"min", "max", "mean"};
  double values[] = {least, most, sum / (double)(n - n_nan)};
  for (size_t i = 0; i < 3; i++)
    json_object_set_new(out, keys[i], isfinite(values[i]) ? json_real(values[i]) : json_null());
  return out;
}

// -- images --

typedef struct picture { // how a tensor lies as images: n pictures of h x w x c
  int64_t n, h, w, c, n_step, h_step, w_step, c_step;
} picture;

static bool is_colour(int64_t c) { return c == 1 || c == 3; }

static bool as_picture(const ir_tensor *t, picture *p) {
  const int64_t *d = t->dim;
  uint32_t r = t->rank;
  *p = (picture){.n = 1, .c = 1};
  if (r == 4) p->n = d[0], d++, r--;
  if (r == 2) p->h = d[0], p->w = d[1], p->h_step = p->w, p->w_step = 1;
  else if (r == 3 && is_colour(d[0])) *p = (picture){p->n, d[1], d[2], d[0], 0, d[2], 1, d[1] * d[2]};
  else if (r == 3 && is_colour(d[2])) *p = (picture){p->n, d[0], d[1], d[2], 0, d[1] * d[2], d[2], 1};
  else if (r == 3 && t->rank == 3) *p = (picture){d[0], d[1], d[2], 1, 0, d[2], 1, 0}; // a batch of grey ones
  else return false;
  p->n_step = p->h * p->w * p->c;
  return p->n > 0 && p->h > 0 && p->w > 0;
}

// A batch is laid out as a grid, nearly square.
static bool write_png(cli *c, const char *path, const ir_tensor *t) {
  picture p;
  if (!as_picture(t, &p)) return bad_destination(c, path, "an image has 1 or 3 channels, first or last");
  int64_t columns = (int64_t)ceil(sqrt((double)p.n)), lines = (p.n + columns - 1) / columns;
  ir_tensor *image = ir_tensor_new(c->a, t->dt, 3, (int64_t[]){lines * p.h, columns * p.w, p.c});
  size_t size = dtype_size(t->dt);
  const char *from = t->data;
  for (int64_t n = 0; n < p.n; n++)
    for (int64_t y = 0; y < p.h; y++)
      for (int64_t x = 0; x < p.w; x++)
        for (int64_t k = 0; k < p.c; k++) {
          int64_t row = n / columns * p.h + y, column = n % columns * p.w + x;
          int64_t source = n * p.n_step + y * p.h_step + x * p.w_step + k * p.c_step;
          memcpy((char *)image->data + (size_t)((row * columns * p.w + column) * p.c + k) * size,
                 from + (size_t)source * size, size);
        }
  return png_write(c->a, &c->diags, path, image);
}

// -- writing --

// All outputs that go to the file of --out number `first`, in one file.
static bool write_together(cli *c, const signature *s, ir_tensor *const *outputs, size_t first) {
  const char *path = c->opt.out.at[first].value;
  const char **names = ARENA_ARRAY(c->a, const char *, c->opt.out.n);
  const ir_tensor **tensors = ARENA_ARRAY(c->a, const ir_tensor *, c->opt.out.n);
  size_t n = 0;
  for (size_t i = 0; i < c->opt.out.n; i++) {
    if (strcmp(c->opt.out.at[i].value, path) != 0) continue;
    if (i < first) return true; // written with the first of them
    names[n] = c->opt.out.at[i].key;
    tensors[n] = outputs[find_output(s, names[n])];
    n++;
  }
  if (kind_of(path) == SINK_npz) return npz_write(c->a, &c->diags, path, n, names, tensors);
  return st_write(c->a, &c->diags, path, n, names, tensors, 0, NULL, NULL);
}

static void print_tensor(cli *c, const char *name, const ir_tensor *t) {
  strbuf b;
  sb_init(&b, c->a);
  tensor_print(&b, name, t);
  fputs(sb_cstr(&b), stdout);
}

bool sinks_write(cli *c, const signature *s, ir_tensor *const *outputs, bool print_rest) {
  bool *written = ARENA_ARRAY(c->a, bool, s->outputs.n + 1);
  for (size_t i = 0; i < c->opt.out.n; i++) {
    frontend_pair p = c->opt.out.at[i];
    size_t k = find_output(s, p.key);
    written[k] = true;
    bool ok = true;
    switch (kind_of(p.value)) {
    case SINK_npy: ok = npy_write(c->a, &c->diags, p.value, outputs[k]); break;
    case SINK_npz:
    case SINK_safetensors: ok = write_together(c, s, outputs, i); break;
    case SINK_png: ok = write_png(c, p.value, outputs[k]); break;
    case SINK_text:
    case SINK_none: print_tensor(c, p.key, outputs[k]); break;
    }
    if (!ok) return false;
  }
  for (size_t k = 0; print_rest && k < s->outputs.n; k++)
    if (!written[k]) print_tensor(c, s->outputs.at[k].name, outputs[k]);
  return true;
}
