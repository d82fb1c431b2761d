// safetensors: strict reading by mapping, atomic writing. Format and rules: frontend/safetensors.h.
// The header is parsed by jansson, which refuses duplicate keys, broken UTF-8 and deep nesting.
#include "frontend/safetensors.h"

#include "base/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are read in place");

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 16 << 20 };

struct st_file {
  const char *path;
  VEC(st_source) sources;
  VEC(st_tensor *) tensors;
  map *by_name;
  map *metadata; // key -> NUL-terminated value
};

// A file being read.
typedef struct reader {
  arena *a;
  diag_list *l;
  const char *path;
  str header, data; // both in the mapping
  json_t *root;
  st_file *f;
} reader;

static const struct {
  const char *name;
  dtype dt;
} stored_dtypes[] = {{"F32", DT_f32}, {"F16", DT_f16}, {"BF16", DT_bf16}, {"F64", DT_f64},  {"I8", DT_i8},
                     {"U8", DT_u8},   {"I32", DT_i32}, {"I64", DT_i64},   {"BOOL", DT_bool}};
_Static_assert(sizeof stored_dtypes / sizeof *stored_dtypes == DT_COUNT, "every dtype has a spelling");

static bool bad(reader *r, size_t offset, const char *what) {
  diag_at(r->l, NO_SPAN, tensor_file_format, r->path, (unsigned long long)offset, "safetensors", what);
  return false;
}

// Where the header names a tensor: the byte of `"name"`, or of the header when escapes hide it.
static size_t place_of(const reader *r, const char *name) {
  size_t n = strlen(name);
  for (size_t i = 0; i + n + 2 <= r->header.n; i++)
    if (r->header.p[i] == '"' && r->header.p[i + n + 1] == '"' && memcmp(r->header.p + i + 1, name, n) == 0)
      return LENGTH_BYTES + i;
  return LENGTH_BYTES;
}

static bool bad_tensor(reader *r, const char *name, const char *what) {
  return bad(r, place_of(r, name), str_fmt(r->a, "tensor `%s`: %s", name, what));
}

// -- reading --

static bool split_file(reader *r, str all) {
  uint64_t n;
  if (all.n < LENGTH_BYTES) return bad(r, 0, "the file ends inside the header's length");
  memcpy(&n, all.p, sizeof n);
  if (n > MAX_HEADER_BYTES) return bad(r, 0, "the header is said to be longer than 16 MiB");
  if (n > all.n - LENGTH_BYTES) return bad(r, 0, "the header is said to be longer than the file");
  r->header = (str){all.p + LENGTH_BYTES, (size_t)n};
  r->data = (str){all.p + LENGTH_BYTES + n, all.n - LENGTH_BYTES - (size_t)n};
  return true;
}

static bool parse_header(reader *r) {
  json_error_t e;
  r->root = json_loadb(r->header.p, r->header.n, JSON_REJECT_DUPLICATES, &e);
  if (!r->root)
    return bad(r, LENGTH_BYTES + (e.position > 0 ? (size_t)e.position : 0), str_fmt(r->a, "its header: %s", e.text));
  return json_is_object(r->root) ? true : bad(r, LENGTH_BYTES, "its header is not a JSON object");
}

static bool read_metadata(reader *r, json_t *object) {
  const char *key;
  json_t *value;
  if (!json_is_object(object)) return bad(r, place_of(r, "__metadata__"), "`__metadata__` is not an object");
  json_object_foreach(object, key, value) {
    if (!json_is_string(value)) return bad(r, place_of(r, key), "a value of `__metadata__` is not a string");
    map_put(r->f->metadata, str_of(key), str_dup(r->a, str_of(json_string_value(value))));
  }
  return true;
}

static bool read_dtype(reader *r, const char *name, json_t *text, dtype *dt) {
  if (!json_is_string(text)) return bad_tensor(r, name, "`dtype` is not a string");
  for (size_t i = 0; i < DT_COUNT; i++)
    if (strcmp(stored_dtypes[i].name, json_string_value(text)) == 0) return *dt = stored_dtypes[i].dt, true;
  diag_at(r->l, NO_SPAN, tensor_file_dtype, r->path, (unsigned long long)place_of(r, name), name,
          json_string_value(text));
  return false;
}

// A list of natural numbers.
static bool read_naturals(reader *r, const char *name, json_t *list, size_t max, int64_t *out) {
  if (!json_is_array(list)) return bad_tensor(r, name, "`shape` or `data_offsets` is not a list");
  if (json_array_size(list) > max) return bad_tensor(r, name, "`shape` or `data_offsets` is too long");
  for (size_t i = 0; i < json_array_size(list); i++) {
    json_t *v = json_array_get(list, i);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
      return bad_tensor(r, name, "`shape` or `data_offsets` holds something that is not a natural number");
    out[i] = json_integer_value(v);
  }
  return true;
}

static bool size_fits(const st_tensor *t) {
  uint64_t size = dtype_size(t->dt);
  for (uint32_t i = 0; i < t->rank; i++)
    if (__builtin_mul_overflow(size, (uint64_t)t->dim[i], &size)) return false;
  return size == t->size_bytes;
}

static bool all_bools(const st_tensor *t) {
  const unsigned char *p = t->data;
  for (size_t i = 0; i < t->size_bytes; i++)
    if (p[i] > 1) return false;
  return true;
}

static bool read_tensor(reader *r, const char *name, json_t *entry) {
  json_t *dt = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
  json_t *offsets = json_object_get(entry, "data_offsets");
  if (!dt || !shape || !offsets || json_object_size(entry) != 3)
    return bad_tensor(r, name, "it must have `dtype`, `shape` and `data_offsets`, and no more");
  st_tensor *t = ARENA_NEW(r->a, st_tensor);
  int64_t dim[IR_MAX_RANK], at[2];
  t->name = str_dup(r->a, str_of(name));
  if (!read_dtype(r, name, dt, &t->dt) || !read_naturals(r, name, shape, IR_MAX_RANK, dim)) return false;
  if (!read_naturals(r, name, offsets, 2, at)) return false;
  if (json_array_size(offsets) != 2) return bad_tensor(r, name, "`data_offsets` does not hold two numbers");
  if (at[0] > at[1] || (uint64_t)at[1] > r->data.n)
    return bad_tensor(r, name,
                      str_fmt(r->a, "its bytes %lld..%lld are not in the %llu bytes of data", (long long)at[0],
                              (long long)at[1], (unsigned long long)r->data.n));
  t->rank = (uint32_t)json_array_size(shape);
  t->dim = arena_copy(r->a, dim, t->rank * sizeof *dim);
  t->data = r->data.p + at[0];
  t->size_bytes = (size_t)(at[1] - at[0]);
  if (!size_fits(t)) return bad_tensor(r, name, "its shape and dtype do not take the bytes it has");
  if (t->dt == DT_bool && !all_bools(t)) return bad_tensor(r, name, "a bool is neither 0 nor 1");
  vec_push(r->a, &r->f->tensors, t);
  map_put(r->f->by_name, str_of(t->name), t);
  return true;
}

static int by_place(const void *pa, const void *pb) {
  const st_tensor *a = *(st_tensor *const *)pa, *b = *(st_tensor *const *)pb;
  const char *begin_a = a->data, *begin_b = b->data;
  if (begin_a != begin_b) return begin_a < begin_b ? -1 : 1;
  return (a->size_bytes > b->size_bytes) - (a->size_bytes < b->size_bytes);
}

// Sorted by place, each tensor begins where the one before it ends, and the last ends with the file.
static bool check_tiling(reader *r) {
  size_t n = r->f->tensors.n;
  st_tensor **sorted = arena_copy(r->a, r->f->tensors.at, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_place);
  const char *end = r->data.p;
  for (size_t i = 0; i < n; i++) {
    const char *begin = sorted[i]->data;
    if (begin != end)
      return bad_tensor(r, sorted[i]->name,
                        begin < end ? "its bytes overlap another tensor's" : "unused bytes come before it");
    end = begin + sorted[i]->size_bytes;
  }
  size_t used = (size_t)(end - r->data.p);
  return used == r->data.n ? true : bad(r, LENGTH_BYTES + r->header.n + used, "unused bytes after the last tensor");
}

static bool read_entries(reader *r) {
  const char *name;
  json_t *entry;
  json_object_foreach(r->root, name, entry) {
    bool ok = strcmp(name, "__metadata__") == 0 ? read_metadata(r, entry) : read_tensor(r, name, entry);
    if (!ok) return false;
  }
  return true;
}

static void release_json(void *handle) {
  reader *r = handle;
  json_decref(r->root);
  r->root = NULL;
}

static st_file *new_file(arena *a, const char *path) {
  st_file *f = ARENA_NEW(a, st_file);
  f->path = str_dup(a, str_of(path));
  f->by_name = map_new(a);
  f->metadata = map_new(a);
  return f;
}

st_file *st_open(arena *a, diag_list *l, const char *path) {
  str all;
  file_identity id;
  if (!file_map(a, l, path, &all, &id)) return NULL;
  reader *r = ARENA_NEW(a, reader);
  *r = (reader){.a = a, .l = l, .path = path, .f = new_file(a, path)};
  vec_push(a, &r->f->sources, ((st_source){r->f->path, id}));
  arena_defer(a, release_json, r); // before parsing: an allocation that fails later leaves nothing behind
  bool ok = split_file(r, all) && parse_header(r) && read_entries(r) && check_tiling(r);
  release_json(r);
  return ok ? r->f : NULL;
}

st_file *st_join(arena *a, const char *path, file_identity id, size_t n, st_file *const *parts) {
  st_file *f = new_file(a, path);
  vec_push(a, &f->sources, ((st_source){f->path, id}));
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < parts[i]->sources.n; k++) vec_push(a, &f->sources, parts[i]->sources.at[k]);
    for (size_t k = 0; k < parts[i]->tensors.n; k++) {
      st_tensor *t = parts[i]->tensors.at[k];
      vec_push(a, &f->tensors, t);
      map_put(f->by_name, str_of(t->name), t);
    }
  }
  return f;
}

const char *st_path(const st_file *f) { return f->path; }

size_t st_source_count(const st_file *f) { return f->sources.n; }

st_source st_source_at(const st_file *f, size_t i) { return f->sources.at[i]; }

size_t st_count(const st_file *f) { return f->tensors.n; }

const st_tensor *st_at(const st_file *f, size_t i) { return f->tensors.at[i]; }

const st_tensor *st_find(const st_file *f, const char *name) { return map_get(f->by_name, str_of(name)); }

size_t st_meta_count(const st_file *f) { return map_count(f->metadata); }

void st_meta_at(const st_file *f, size_t i, const char **key, const char **value) {
  *key = map_key(f->metadata, i).p; // the map keeps keys NUL-terminated
  *value = map_value(f->metadata, i);
}

const char *st_meta(const st_file *f, const char *key) { return map_get(f->metadata, str_of(key)); }

ir_tensor *st_copy(arena *a, const st_tensor *t) {
  ir_tensor *copy = ir_tensor_new(a, t->dt, t->rank, t->dim);
  if (t->size_bytes > 0) memcpy(copy->data, t->data, t->size_bytes);
  return copy;
}

// -- writing --

static void json_text(strbuf *b, const char *z) {
  sb_char(b, '"');
  for (; *z; z++) {
    if ((unsigned char)*z < 0x20) sb_fmt(b, "\\u%04x", (unsigned)*z);
    else if (*z == '"' || *z == '\\') sb_fmt(b, "\\%c", *z);
    else sb_char(b, *z);
  }
  sb_char(b, '"');
}

static void json_tensor(strbuf *b, const char *name, const ir_tensor *t, size_t begin, size_t end) {
  json_text(b, name);
  sb_z(b, ":{\"dtype\":\"");
  for (size_t i = 0; i < DT_COUNT; i++)
    if (stored_dtypes[i].dt == t->dt) sb_z(b, stored_dtypes[i].name);
  sb_z(b, "\",\"shape\":[");
  for (uint32_t i = 0; i < t->rank; i++) sb_fmt(b, "%s%lld", i ? "," : "", (long long)t->dim[i]);
  sb_fmt(b, "],\"data_offsets\":[%zu,%zu]}", begin, end);
}

bool st_write(arena *a, diag_list *l, const char *path, size_t n, const char *const *names,
              const ir_tensor *const *tensors, size_t n_meta, const char *const *keys, const char *const *values) {
  strbuf header, data, all;
  sb_init(&header, a), sb_init(&data, a), sb_init(&all, a);
  map *seen = map_new(a);
  sb_char(&header, '{');
  if (n_meta > 0) sb_z(&header, "\"__metadata__\":{");
  for (size_t i = 0; i < n_meta; i++) {
    if (i > 0) sb_char(&header, ',');
    json_text(&header, keys[i]);
    sb_char(&header, ':');
    json_text(&header, values[i]);
  }
  if (n_meta > 0) sb_char(&header, '}');
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t i = 0; i < n; i++) {
      if (dtype_size(tensors[i]->dt) != width) continue;
      if (!map_add(seen, str_of(names[i]), seen)) {
        diag_at(l, NO_SPAN, file_write, path, str_fmt(a, "two tensors are named `%s`", names[i]));
        return false;
      }
      size_t begin = data.n;
      sb_bytes(&data, tensors[i]->data, (size_t)ir_tensor_count(tensors[i]) * width);
      if (map_count(seen) > 1 || n_meta > 0) sb_char(&header, ',');
      json_tensor(&header, names[i], tensors[i], begin, data.n);
    }
  }
  sb_char(&header, '}');
  while (header.n % 8 != 0) sb_char(&header, ' ');
  uint64_t length = header.n;
  sb_bytes(&all, &length, sizeof length);
  sb_bytes(&all, header.p, header.n);
  sb_bytes(&all, data.p, data.n);
  return file_write(a, l, path, sb_str(&all), 0644);
}
