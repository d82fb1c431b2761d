// A checkpoint cut into several safetensors files: the index that lists them, and the files as if they were one.
//
// In: `model.safetensors.index.json`, {"metadata": {…}, "weight_map": {tensor: file, …}}, as the transformers and
// diffusers libraries write it; the files lie beside it. Each is opened once. What the index says and what the files
// hold must be the same: each tensor in its file, no tensor that is not listed there. A tensor in two files is thereby
// found, whichever of them the index names.
#include "frontend/safetensors.h"

#include "base/file.h"

#include <jansson.h>
#include <string.h>

enum { MAX_INDEX_BYTES = 16 << 20 };

typedef struct shard {
  const char *name;
  st_file *file;
} shard;

typedef struct index_reader {
  arena *a;
  diag_list *l;
  const char *path;
  str text;
  json_t *root;
  VEC(shard *) shards; // in the order in which the index first names them
  map *by_name;
} index_reader;

static bool bad(index_reader *r, size_t offset, const char *what) {
  diag_at(r->l, NO_SPAN, tensor_file_format, r->path, (unsigned long long)offset, "index of safetensors", what);
  return false;
}

// Opens each file that the map names; files that fail have their own messages, and all of them are tried.
static bool open_shards(index_reader *r, json_t *weight_map) {
  const char *tensor;
  json_t *value;
  bool ok = true;
  json_object_foreach(weight_map, tensor, value) {
    const char *name = json_string_value(value);
    if (!name || !*name || strchr(name, '/'))
      return bad(r, 0, str_fmt(r->a, "`%s` is not mapped to the name of a file beside the index", tensor));
    if (map_get(r->by_name, str_of(name))) continue;
    shard *s = ARENA_NEW(r->a, shard);
    s->name = str_dup(r->a, str_of(name));
    s->file = st_open(r->a, r->l, path_beside(r->a, r->path, name));
    map_put(r->by_name, str_of(s->name), s);
    vec_push(r->a, &r->shards, s);
    ok = ok && s->file;
  }
  return ok;
}

// Every tensor of the index lies in the file it names.
static bool check_listed(index_reader *r, json_t *weight_map) {
  const char *tensor;
  json_t *value;
  size_t n_missing = 0;
  diag *d = NULL;
  json_object_foreach(weight_map, tensor, value) {
    const char *name = json_string_value(value);
    const shard *s = map_get(r->by_name, str_of(name));
    if (st_find(s->file, tensor)) continue;
    if (n_missing++ == 0) d = diag_at(r->l, NO_SPAN, weights_index_absent, r->path, tensor, name);
    for (size_t i = 0; n_missing == 1 && i < r->shards.n; i++)
      if (st_find(r->shards.at[i]->file, tensor)) diag_note_to(r->l, d, "it is in %s", r->shards.at[i]->name);
  }
  if (n_missing > 1) diag_note_to(r->l, d, "and %zu more tensors are not where the index says", n_missing - 1);
  return n_missing == 0;
}

// Every tensor of a file is listed as that file's.
static bool check_held(index_reader *r, json_t *weight_map) {
  size_t n_extra = 0;
  diag *d = NULL;
  for (size_t i = 0; i < r->shards.n; i++) {
    const shard *s = r->shards.at[i];
    for (size_t k = 0; k < st_count(s->file); k++) {
      const char *tensor = st_at(s->file, k)->name;
      const char *listed = json_string_value(json_object_get(weight_map, tensor));
      if (listed && strcmp(listed, s->name) == 0) continue;
      if (n_extra++ > 0) continue;
      d = diag_at(r->l, NO_SPAN, weights_index_unlisted, s->name, tensor, r->path);
      if (listed) diag_note_to(r->l, d, "the index has it in %s", listed);
    }
  }
  if (n_extra > 1) diag_note_to(r->l, d, "and %zu more tensors like it", n_extra - 1);
  return n_extra == 0;
}

static bool read_index(index_reader *r) {
  json_error_t e;
  r->root = json_loadb(r->text.p, r->text.n, JSON_REJECT_DUPLICATES, &e);
  if (!r->root) return bad(r, e.position > 0 ? (size_t)e.position : 0, e.text);
  json_t *weight_map = json_object_get(r->root, "weight_map");
  if (!json_is_object(weight_map)) return bad(r, 0, "it has no object `weight_map`");
  return open_shards(r, weight_map) && check_listed(r, weight_map) && check_held(r, weight_map);
}

static void release_json(void *handle) {
  index_reader *r = handle;
  json_decref(r->root);
  r->root = NULL;
}

static st_file *open_index(arena *a, diag_list *l, const char *path) {
  index_reader *r = ARENA_NEW(a, index_reader);
  *r = (index_reader){.a = a, .l = l, .path = path, .by_name = map_new(a)};
  file_identity id;
  if (!file_map(a, l, path, &r->text, &id)) return NULL;
  if (r->text.n > MAX_INDEX_BYTES) {
    diag_at(l, NO_SPAN, file_too_large, path, (unsigned long long)r->text.n, (unsigned long long)MAX_INDEX_BYTES);
    return NULL;
  }
  arena_defer(a, release_json, r);
  bool ok = read_index(r);
  release_json(r);
  if (!ok) return NULL;
  st_file **files = ARENA_ARRAY(a, st_file *, r->shards.n);
  for (size_t i = 0; i < r->shards.n; i++) files[i] = r->shards.at[i]->file;
  return st_join(a, path, id, r->shards.n, files);
}

st_file *st_open_checkpoint(arena *a, diag_list *l, const char *path) {
  size_t n = strlen(path);
  return n > 5 && strcmp(path + n - 5, ".json") == 0 ? open_index(a, l, path) : st_open(a, l, path);
}
