// `.npy` files, and the door to all tensor formats. Format: numpy.lib.format (versions 1.0, 2.0, 3.0).
//
// "\x93NUMPY", two version bytes, a header length (u16, from version 2 u32), a Python dict literal with exactly the
// keys `descr`, `fortran_order` and `shape`, padded by spaces and ended by a newline, then the elements. The literal is
// parsed here by hand: only what numpy writes is accepted.
#include "frontend/tensorfile.h"

#include "base/file.h"
#include "frontend/safetensors.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are read in place");

enum { MAGIC_BYTES = 6 };
static const char magic[] = "\x93NUMPY";

// numpy's spelling of a dtype, without the byte-order character.
static const char *const kinds[DT_COUNT] = {[DT_f32] = "f4", [DT_f16] = "f2", [DT_f64] = "f8", [DT_i8] = "i1",
                                            [DT_u8] = "u1",  [DT_i32] = "i4", [DT_i64] = "i8", [DT_bool] = "b1"};

// -- parsing --

typedef struct reader {
  arena *a;
  diag_list *l;
  const char *path;
  size_t offset; // of text.p in the file
  str text;      // what is parsed
  size_t at;
} reader;

static bool bad(reader *r, size_t at, const char *what) {
  diag_at(r->l, NO_SPAN, tensor_file_format, r->path, (unsigned long long)(r->offset + at), "npy", what);
  return false;
}

static void skip_spaces(reader *r) {
  while (r->at < r->text.n && r->text.p[r->at] == ' ') r->at++;
}

// Takes `word` if it comes next.
static bool take(reader *r, const char *word) {
  skip_spaces(r);
  size_t n = strlen(word);
  if (r->text.n - r->at < n || memcmp(r->text.p + r->at, word, n) != 0) return false;
  r->at += n;
  return true;
}

static bool want(reader *r, const char *word) {
  return take(r, word) ? true : bad(r, r->at, str_fmt(r->a, "expected `%s` in the header", word));
}

static bool parse_string(reader *r, str *s) {
  skip_spaces(r);
  char quote = r->at < r->text.n ? r->text.p[r->at] : '\0';
  if (quote != '\'' && quote != '"') return bad(r, r->at, "expected a string in the header");
  const char *begin = r->text.p + r->at + 1, *end = memchr(begin, quote, r->text.n - r->at - 1);
  if (!end || memchr(begin, '\\', (size_t)(end - begin))) return bad(r, r->at, "a string in the header is not plain");
  *s = (str){begin, (size_t)(end - begin)};
  r->at += s->n + 2;
  return true;
}

static bool parse_bool(reader *r, bool *v) {
  *v = take(r, "True");
  return *v || take(r, "False") ? true : bad(r, r->at, "expected `True` or `False` in the header");
}

static bool parse_natural(reader *r, int64_t *v) {
  skip_spaces(r);
  size_t begin = r->at;
  while (r->at < r->text.n && r->text.p[r->at] >= '0' && r->text.p[r->at] <= '9') r->at++;
  if (r->at > begin && parse_i64((str){r->text.p + begin, r->at - begin}, v)) return true;
  return bad(r, begin, "expected a dim in the header");
}

// (), (3,) or (3, 4) with an optional last comma.
static bool parse_shape(reader *r, ir_tensor *t) {
  if (!want(r, "(")) return false;
  bool comma = true;
  while (!take(r, ")")) {
    if (!comma) return bad(r, r->at, "expected `,` or `)` in the shape");
    if (t->rank == IR_MAX_RANK) return bad(r, r->at, "the shape has too many dims");
    if (!parse_natural(r, &t->dim[t->rank++])) return false;
    comma = take(r, ",");
  }
  return t->rank != 1 || comma ? true : bad(r, r->at, "a shape of one dim is written `(n,)`");
}

static bool parse_dtype(reader *r, ir_tensor *t) {
  size_t begin = r->at;
  str s;
  if (!parse_string(r, &s)) return false;
  char order = s.n > 0 ? s.p[0] : '\0';
  for (size_t i = 0; i < DT_COUNT; i++) {
    if (!kinds[i] || s.n != 3 || memcmp(s.p + 1, kinds[i], 2) != 0) continue;
    if (order != '<' && !(order == '|' && dtype_size((dtype)i) == 1)) break;
    t->dt = (dtype)i;
    return true;
  }
  diag_at(r->l, NO_SPAN, tensor_file_dtype, r->path, (unsigned long long)(r->offset + begin), "npy", str_dup(r->a, s));
  return false;
}

static bool parse_dict(reader *r, ir_tensor *t, bool *fortran) {
  static const char *const names[] = {"descr", "fortran_order", "shape"};
  bool seen[3] = {false};
  if (!want(r, "{")) return false;
  while (!take(r, "}")) {
    str key;
    size_t begin = r->at, k = 0;
    if (!parse_string(r, &key)) return false;
    while (k < 3 && !str_is(key, names[k])) k++;
    if (k == 3 || seen[k]) return bad(r, begin, "the header has an unknown or repeated key");
    seen[k] = true;
    if (!want(r, ":")) return false;
    if (!(k == 0 ? parse_dtype(r, t) : k == 1 ? parse_bool(r, fortran) : parse_shape(r, t))) return false;
    if (!take(r, ",")) {
      if (!want(r, "}")) return false;
      break;
    }
  }
  if (!seen[0] || !seen[1] || !seen[2]) return bad(r, r->at, "the header lacks `descr`, `fortran_order` or `shape`");
  skip_spaces(r);
  return r->at + 1 == r->text.n && r->text.p[r->at] == '\n' ? true
                                                            : bad(r, r->at, "expected a newline after the header");
}

// Finds the header; r->text becomes it, *data what follows.
static bool split_header(reader *r, str bytes, str *data) {
  if (bytes.n < MAGIC_BYTES + 4 || memcmp(bytes.p, magic, MAGIC_BYTES) != 0)
    return bad(r, 0, "it does not begin as one");
  const unsigned char *p = (const unsigned char *)bytes.p + MAGIC_BYTES;
  if (p[0] < 1 || p[0] > 3 || p[1] != 0) return bad(r, MAGIC_BYTES, "its format version is not 1.0, 2.0 or 3.0");
  size_t begin = MAGIC_BYTES + (p[0] == 1 ? 4u : 6u), n = (size_t)p[2] | (size_t)p[3] << 8;
  if (bytes.n < begin) return bad(r, bytes.n, "the file ends inside the header's length");
  if (p[0] > 1) n |= (size_t)p[4] << 16 | (size_t)p[5] << 24;
  if (n > bytes.n - begin) return bad(r, MAGIC_BYTES + 2, "the header is said to be longer than the file");
  r->offset += begin;
  r->text = (str){bytes.p + begin, n};
  *data = (str){bytes.p + begin + n, bytes.n - begin - n};
  return true;
}

// Elements with the first index fastest, turned into row-major order.
static void from_fortran(ir_tensor *t, const char *data) {
  size_t size = dtype_size(t->dt);
  int64_t index[IR_MAX_RANK] = {0}, n = ir_tensor_count(t);
  for (int64_t i = 0; i < n; i++) {
    int64_t from = 0;
    for (uint32_t k = t->rank; k-- > 0;) from = from * t->dim[k] + index[k];
    memcpy((char *)t->data + (size_t)i * size, data + (size_t)from * size, size);
    for (uint32_t k = t->rank; k-- > 0 && ++index[k] == t->dim[k];) index[k] = 0;
  }
}

ir_tensor *npy_parse(arena *a, diag_list *l, const char *path, size_t offset, str bytes) {
  reader r = {.a = a, .l = l, .path = path, .offset = offset};
  ir_tensor shape = {.rank = 0};
  bool fortran = false;
  str data = {0};
  if (!split_header(&r, bytes, &data) || !parse_dict(&r, &shape, &fortran)) return NULL;
  uint64_t size = dtype_size(shape.dt),
           any = 1; // `any`: the product with empty dims left out, which must not overflow either
  bool fits = true;
  for (uint32_t i = 0; i < shape.rank; i++) {
    fits = fits && !__builtin_mul_overflow(size, (uint64_t)shape.dim[i], &size);
    if (shape.dim[i] > 0)
      fits = fits && !__builtin_mul_overflow(any, (uint64_t)shape.dim[i], &any) && any < INT64_MAX / 16;
  }
  if (!fits || size != data.n) {
    bad(&r, r.text.n, "the shape and dtype do not take the bytes that follow the header");
    return NULL;
  }
  for (size_t i = 0; shape.dt == DT_bool && i < data.n; i++) {
    if ((unsigned char)data.p[i] <= 1) continue;
    bad(&r, r.text.n + i, "a bool is neither 0 nor 1");
    return NULL;
  }
  ir_tensor *t = ir_tensor_new(a, shape.dt, shape.rank, shape.dim);
  if (fortran) from_fortran(t, data.p);
  else if (data.n > 0) memcpy(t->data, data.p, data.n);
  return t;
}

ir_tensor *npy_read(arena *a, diag_list *l, const char *path) {
  str bytes;
  return file_map(a, l, path, &bytes, NULL) ? npy_parse(a, l, path, 0, bytes) : NULL;
}

// -- writing --

bool npy_print(strbuf *b, diag_list *l, const char *path, const ir_tensor *t) {
  if (!kinds[t->dt]) {
    diag_at(l, NO_SPAN, file_write, path, str_fmt(b->a, "npy has no dtype %s; cast it first", dtype_name(t->dt)));
    return false;
  }
  strbuf h;
  sb_init(&h, b->a);
  sb_fmt(&h, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", dtype_size(t->dt) == 1 ? '|' : '<', kinds[t->dt]);
  for (uint32_t i = 0; i < t->rank; i++) sb_fmt(&h, i + 1 < t->rank ? "%lld, " : "%lld", (long long)t->dim[i]);
  sb_z(&h, t->rank == 1 ? ",), }" : "), }");
  while ((MAGIC_BYTES + 4 + h.n + 1) % 64 != 0) sb_char(&h, ' ');
  sb_char(&h, '\n');
  sb_bytes(b, magic, MAGIC_BYTES);
  sb_bytes(b, (const char[]){1, 0, (char)(h.n & 0xff), (char)(h.n >> 8)}, 4);
  sb_bytes(b, h.p, h.n);
  sb_bytes(b, t->data, (size_t)ir_tensor_count(t) * dtype_size(t->dt));
  return true;
}

bool npy_write(arena *a, diag_list *l, const char *path, const ir_tensor *t) {
  strbuf b;
  sb_init(&b, a);
  return npy_print(&b, l, path, t) && file_write(a, l, path, sb_str(&b), 0644);
}

// -- any format --

typedef enum tensor_format { FORMAT_npy, FORMAT_npz, FORMAT_safetensors, FORMAT_unknown } tensor_format;

static tensor_format format_of(const char *path) {
  static const char *const endings[] = {".npy", ".npz", ".safetensors"};
  size_t n = strlen(path);
  int f = 0;
  for (; f < FORMAT_unknown; f++) {
    size_t k = strlen(endings[f]);
    if (n > k && strcmp(path + n - k, endings[f]) == 0) break;
  }
  return (tensor_format)f;
}

bool tensor_file_known(const char *path) { return format_of(path) != FORMAT_unknown; }

// The name to look for in a file of `n` tensors, of which `only` is the first; NULL after a diagnostic.
static const char *choose(diag_list *l, const char *path, const char *key, size_t n, const char *only) {
  if (key) return key;
  if (n == 1) return only;
  diag_at(l, NO_SPAN, tensor_file_choose, path, n, path);
  return NULL;
}

static ir_tensor *read_safetensors(arena *a, diag_list *l, const char *path, const char *key) {
  const st_file *f = st_open(a, l, path);
  if (!f) return NULL;
  const char *name = choose(l, path, key, st_count(f), st_count(f) ? st_at(f, 0)->name : NULL);
  const st_tensor *t = name ? st_find(f, name) : NULL;
  if (name && !t) diag_at(l, NO_SPAN, tensor_file_absent, path, name);
  return t ? st_copy(a, t) : NULL;
}

static ir_tensor *read_npz(arena *a, diag_list *l, const char *path, const char *key) {
  npz_file *z = npz_open(a, l, path);
  if (!z) return NULL;
  const char *name = choose(l, path, key, npz_count(z), npz_count(z) ? npz_name(z, 0) : NULL);
  return name ? npz_read(z, l, name) : NULL;
}

ir_tensor *tensor_file_read(arena *a, diag_list *l, const char *path, const char *key) {
  switch (format_of(path)) {
  case FORMAT_npy:
    if (!key) return npy_read(a, l, path);
    diag_at(l, NO_SPAN, tensor_file_absent, path, key);
    return NULL;
  case FORMAT_npz: return read_npz(a, l, path, key);
  case FORMAT_safetensors: return read_safetensors(a, l, path, key);
  case FORMAT_unknown: break;
  }
  diag_at(l, NO_SPAN, tensor_file_unknown, path);
  return NULL;
}
