// Compiled models in the cache.
//
// What is kept is the whole image, plan and machine code, under a key of everything that was asked: the model's path or
// text, config files, settings, pinned dims, the target, and which build of nnc. The file lists what the compiler read
// meanwhile (included models, configs) with a hash of its content, and the libraries that made the code (libnnc-llvm,
// libLLVM) with their identity; it is believed when all of them are still so. So a hit needs neither front end nor
// passes nor LLVM: it reads the sources and this one file. Paths belong to the key as absolute ones, because includes
// are found from there.
//
// Weighed and rejected: keeping machine code alone, by kernels' text. The front end and the passes of a BERT-base take
// 190 ms, and that is what a start is made of when nothing is compiled; an object without its plan and constants saves
// the smaller half. And a hash of weights in this key: one image serves all weights of a model.
//
//   dependencies, messages, image (base/pack.h)
#define _GNU_SOURCE // dladdr, RTLD_DI_LINKMAP
#include "api/compile_cache.h"
#include "runtime/opencl/opencl.h"
#include <dlfcn.h>
#include <string.h>
#include <sys/auxv.h>

enum { MOST_SOURCE_BYTES = 64 << 20 };
static const cache_format format = {UINT64_C(0x3165646f636e6e00), 2}; // "\0nncode1"

typedef enum dependency { DEP_source, DEP_library } dependency;

// -- the key --

// The file that this code was loaded from.
static file_identity own_identity(void) {
  static const char anchor = 0;
  file_identity id = {0};
  Dl_info own, main_program;
  bool known = dladdr(&anchor, &own) != 0;
  // a program is known to the loader by what it was called: perhaps a name found on the search path
  bool is_program =
      known && dladdr((const void *)getauxval(AT_ENTRY), &main_program) && main_program.dli_fbase == own.dli_fbase;
  if (known) file_identify(is_program ? "/proc/self/exe" : own.dli_fname, &id);
  return id;
}

void pack_identity(strbuf *b, const file_identity *id) {
  pack_u64(b, id->device);
  pack_u64(b, id->inode);
  pack_u64(b, id->size_bytes);
  pack_u64(b, (uint64_t)id->mtime_ns);
  pack_u64(b, (uint64_t)id->ctime_ns);
}

file_identity unpack_identity(unpacker *u) {
  file_identity id = {.device = unpack_u64(u)};
  id.inode = unpack_u64(u);
  id.size_bytes = unpack_u64(u);
  id.mtime_ns = (int64_t)unpack_u64(u);
  id.ctime_ns = (int64_t)unpack_u64(u);
  return id;
}

static void pack_pairs(strbuf *b, size_t n, const frontend_pair *pairs) {
  pack_u64(b, n);
  for (size_t i = 0; i < n; i++) {
    pack_str(b, str_of(pairs[i].key));
    pack_str(b, str_of(pairs[i].value));
  }
}

static void pack_target(strbuf *b, const target *t) {
  pack_str(b, str_of(t->name)); // what workers do is in no number here
  const uint32_t numbers[] = {(uint32_t)t->level, t->vector_bytes, t->n_vector_regs, t->has_fma,    t->dot_rows,
                              t->dot_cols,        t->l1_bytes,     t->l2_bytes,      t->block_rows, t->block_elements};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) pack_u64(b, numbers[i]);
  sb_bytes(b, &t->fma_per_ns, sizeof t->fma_per_ns);
  sb_bytes(b, &t->bytes_per_ns, sizeof t->bytes_per_ns);
}

static sha256_digest key_of(const compile_job *j) {
  strbuf b;
  sb_init(&b, j->a);
  file_identity own = own_identity();
  pack_str(&b, STR("nnc code " NNC_VERSION));
  pack_u64(&b, format.version);
  pack_identity(&b, &own);
  pack_target(&b, j->target);
  pack_u64(&b, j->opencl ? 1u + rt_opencl_get(j->opencl, j->device_number)->fp64 : 0u);
  pack_str(&b, str_of(path_absolute(j->a, j->path)));
  pack_str(&b, str_of(j->path)); // messages quote it
  pack_u64(&b, j->text != NULL);
  if (j->text) pack_str(&b, *j->text);
  pack_str(&b, str_of(path_absolute(j->a, "."))); // of relative paths among the configs
  pack_u64(&b, j->front.n_configs);
  for (size_t i = 0; i < j->front.n_configs; i++) pack_str(&b, str_of(j->front.configs[i]));
  pack_pairs(&b, j->front.n_sets, j->front.sets);
  pack_pairs(&b, j->front.n_dims, j->front.dims);
  pack_str(&b, str_of(j->front.approx ? j->front.approx : ""));
  pack_u64(&b, j->context.weights);
  pack_u64(&b, j->context.precision);
  return sha256_of(sb_str(&b));
}

// -- dependencies --

static void pack_source(strbuf *b, arena *a, const diag_file *f) {
  sha256_digest d = sha256_of(f->text);
  pack_u64(b, DEP_source);
  pack_str(b, str_of(path_absolute(a, f->name)));
  sb_bytes(b, d.at, sizeof d.at);
}

// The library that `symbol` comes from, seen from the back end. false: it cannot be told.
static bool pack_library(strbuf *b, const compile_job *j, const char *symbol) {
  Dl_info place;
  file_identity id;
  void *p = dlsym(j->llvm_library, symbol);
  if (!p || !dladdr(p, &place) || !file_identify(place.dli_fname, &id)) return false;
  pack_u64(b, DEP_library);
  pack_str(b, str_of(path_absolute(j->a, place.dli_fname)));
  pack_identity(b, &id);
  return true;
}

static bool holds(compile_job *j, unpacker *u, sha256 *sources) {
  diag_list unheard;
  diag_init(&unheard, j->a);
  uint64_t kind = unpack_u64(u);
  const char *path = unpack_z(u);
  if (kind == DEP_library) {
    file_identity then = unpack_identity(u), now;
    return file_identify(path, &now) && file_identity_eq(&then, &now);
  }
  sha256_digest then;
  for (size_t i = 0; i < sizeof then.at; i += 8) {
    uint64_t word = unpack_u64(u);
    memcpy(then.at + i, &word, sizeof word);
  }
  str text;
  if (u->broken || kind != DEP_source || !file_read(j->a, &unheard, path, MOST_SOURCE_BYTES, &text)) return false;
  sha256_digest now = sha256_of(text);
  sha256_add(sources, now.at, sizeof now.at);
  return memcmp(then.at, now.at, sizeof now.at) == 0;
}

static bool all_hold(compile_job *j, unpacker *u, sha256 *sources) {
  for (uint64_t n = unpack_count(u, 56); n > 0; n--)
    if (!holds(j, u, sources)) return false;
  return !u->broken;
}

static sha256_digest hash_sources(const compile_job *j, const sha256_digest *key) {
  sha256 h;
  sha256_init(&h);
  sha256_add(&h, key->at, sizeof key->at);
  for (size_t i = 0; i < j->n_source_files; i++) {
    if (!j->diags.files.at[i].on_disk) continue;
    sha256_digest d = sha256_of(j->diags.files.at[i].text);
    sha256_add(&h, d.at, sizeof d.at);
  }
  return sha256_end(&h);
}

bool compile_cache_same_sources(const compile_job *j) {
  sha256_digest key = key_of(j), now = hash_sources(j, &key);
  return memcmp(now.at, j->sources.at, sizeof now.at) == 0;
}

// -- messages: warnings, with the files that they quote --

void pack_messages(strbuf *b, const diag_list *l, size_t first, size_t last) {
  size_t n_files = last > first ? l->files.n : 0;
  pack_u64(b, n_files);
  for (size_t i = 0; i < n_files; i++) {
    pack_str(b, str_of(l->files.at[i].name));
    pack_str(b, l->files.at[i].text);
  }
  pack_u64(b, last - first);
  for (size_t i = first; i < last; i++) {
    const diag *d = l->items.at[i];
    pack_u64(b, (uint64_t)d->id | (uint64_t)d->severity << 32);
    pack_u64(b, d->span.file);
    pack_u64(b, (uint64_t)d->span.begin | (uint64_t)d->span.end << 32);
    pack_str(b, str_of(d->text));
    pack_u64(b, d->notes.n);
    for (size_t k = 0; k < d->notes.n; k++) pack_str(b, str_of(d->notes.at[k]));
  }
}

bool unpack_messages(unpacker *u, diag_list *l) {
  size_t base = l->files.n; // spans count from here
  for (uint64_t n = unpack_count(u, 32); n > 0; n--) {
    const char *name = unpack_z(u);
    diag_add_file(l, name, unpack_str(u));
  }
  for (uint64_t n = unpack_count(u, 48); n > 0 && !u->broken; n--) {
    diag *d = ARENA_NEW(l->a, diag);
    uint64_t kind = unpack_u64(u), file = unpack_u64(u), place = unpack_u64(u);
    d->id = (diag_id)(uint32_t)kind, d->severity = (diag_severity)(kind >> 32);
    d->span = (diag_span){(uint32_t)(file ? base + file : 0), (uint32_t)place, (uint32_t)(place >> 32)};
    d->text = unpack_z(u);
    for (uint64_t k = unpack_count(u, 16); k > 0; k--) vec_push(l->a, &d->notes, unpack_z(u));
    if ((unsigned)d->id >= DIAG_COUNT || d->severity >= DIAG_error || d->span.file > l->files.n) return false;
    vec_push(l->a, &l->items, d);
  }
  return !u->broken;
}

// -- the file --

bool compile_cache_file_is_whole(arena *a, int fd) { return cache_body_is_whole(a, fd, format); }

static bool read_entry(compile_job *j, str body, const sha256_digest *key, bool *damaged) {
  sha256 sources;
  unpacker u = unpack_begin(body);
  sha256_init(&sources);
  sha256_add(&sources, key->at, sizeof key->at);
  *damaged = false;
  if (!all_hold(j, &u, &sources)) return false; // to be compiled again, and replaced
  *damaged = true;
  if (!unpack_messages(&u, &j->diags) || !image_unpack(j->a, &u, &j->image) || !unpack_end(&u)) return false;
  j->sources = sha256_end(&sources);
  return true;
}

bool compile_cache_find(compile_job *j) {
  if (j->cache->off) return false;
  bool damaged;
  str body;
  sha256_digest key = key_of(j);
  if (!cache_find_body(j->cache, CACHE_code, &key, format, &body)) return false;
  size_t n_items = j->diags.items.n, n_files = j->diags.files.n;
  if (read_entry(j, body, &key, &damaged)) return true;
  j->diags.items.n = n_items, j->diags.files.n = n_files;
  if (damaged) cache_drop(j->cache, CACHE_code, &key);
  return false;
}

void compile_cache_keep(compile_job *j) {
  if (j->cache->off) return;
  sha256_digest key = key_of(j);
  strbuf body;
  uint64_t n = j->llvm ? 2 : 0; // a device may not need it
  j->sources = hash_sources(j, &key);
  sb_init(&body, j->a);
  for (size_t i = 0; i < j->n_source_files; i++) n += j->diags.files.at[i].on_disk;
  pack_u64(&body, n);
  for (size_t i = 0; i < j->n_source_files; i++)
    if (j->diags.files.at[i].on_disk) pack_source(&body, j->a, &j->diags.files.at[i]);
  if (j->llvm && (!pack_library(&body, j, "nnc_llvm_backend") || !pack_library(&body, j, "LLVMContextCreate"))) return;
  pack_messages(&body, &j->diags, 0, j->n_source_messages);
  image_pack(&body, &j->image);
  cache_put_body(j->cache, CACHE_code, &key, format, sb_str(&body));
}
