// The cache folder: files under keys, of three kinds, each with a cap. What the files hold is its users' business
// (compile_cache.c, prepare.c, opencl.c).
//
// Place: $NNC_CACHE_DIR, else $XDG_CACHE_HOME/nnc, else $HOME/.cache/nnc; $NNC_NO_CACHE switches it off. The folder is
// made with mode 0700. One that belongs to another user, or that others may write to, is refused with a warning: who
// can write there can have any code run here. So is each file. Without a folder there is no cache, and nothing fails.
//
// Files are KEY.code, KEY.weights and KEY.program. They are written under a temporary name and renamed, never changed
// afterwards: any number of processes may use a folder at once, and one that is killed leaves a temporary file, which a
// later one removes after an hour. Nothing waits for the disk (no fsync): what a power failure cuts short is found by
// its checks. After each write the files of that kind that were used longest ago are removed until the rest fits the
// cap. A file that is removed stays as long as some process has it mapped.
#ifndef NNC_API_CACHE_H
#define NNC_API_CACHE_H

#include "base/diag.h"
#include "base/sha256.h"

typedef enum cache_kind { CACHE_code, CACHE_weights, CACHE_program, CACHE_KINDS } cache_kind;

typedef struct cache {
  arena *a;
  const char *path; // NULL: switched off, or there is no home
  const char *off;  // why there is no cache; NULL: there is one
  int folder;       // its descriptor, -1 when off; closed with the arena
  uint64_t cap_bytes[CACHE_KINDS];
} cache;

cache *cache_none(arena *a); // one that is off
// Opens the folder, and makes it when `make`. Never NULL; a warning when it is refused.
cache *cache_open(arena *a, diag_list *l, bool make);

// Opens a file for reading, marks it as used. -1: there is none. The caller closes it.
int cache_find(const cache *c, cache_kind kind, const sha256_digest *key);
// Puts a file; false, and nothing changes, when it does not fit the cap or the disk.
bool cache_put(const cache *c, cache_kind kind, const sha256_digest *key, size_t n_parts, const str *parts);
void cache_drop(const cache *c, cache_kind kind, const sha256_digest *key); // a file found wrong

// -- files read whole: magic, format, checksum of what follows, key, body --
typedef struct cache_format {
  uint64_t magic, version;
} cache_format;
bool cache_put_body(const cache *c, cache_kind kind, const sha256_digest *key, cache_format f, str body);
// *body: in memory, 8-byte aligned. false: there is none, or it was damaged and is dropped.
bool cache_find_body(const cache *c, cache_kind kind, const sha256_digest *key, cache_format f, str *body);
bool cache_body_is_whole(arena *a, int fd, cache_format f); // whatever its key: reads all of it

// -- looking after it --
typedef struct cache_file {
  const char *name;
  cache_kind kind; // CACHE_KINDS: a temporary file
  uint64_t size_bytes;
  int64_t used_ns; // when last used
} cache_file;
typedef VEC(cache_file) cache_files;
cache_files cache_list(const cache *c);
bool cache_remove(const cache *c, const char *name);
int cache_open_file(const cache *c, const char *name); // without marking it as used; -1: there is none to be trusted

#endif
