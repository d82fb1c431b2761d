// The cache folder: see cache.h.
#define _GNU_SOURCE // O_DIRECTORY
#include "api/cache.h"
#include "base/file.h"
#include "base/vec.h"
#include "runtime/weights.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const char *const extensions[CACHE_KINDS] = {
    [CACHE_code] = ".code", [CACHE_weights] = ".weights", [CACHE_program] = ".program"};
static const char temporary[] = ".tmp-";
static const int64_t ABANDONED_NS = INT64_C(3600) * 1000000000;
enum { KEY_DIGITS = 64 };

// -- the folder --

static const char *variable(const char *name) {
  const char *v = getenv(name);
  return v && *v ? v : NULL;
}

static const char *folder_path(arena *a) {
  const char *own = variable("NNC_CACHE_DIR"), *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
  if (own) return own;
  if (xdg && xdg[0] == '/') return str_fmt(a, "%s/nnc", xdg); // a relative one is to be ignored, says its standard
  return home && home[0] == '/' ? str_fmt(a, "%s/.cache/nnc", home) : NULL;
}

static void make_folders(arena *a, const char *path) {
  char *p = str_dup(a, str_of(path));
  for (char *slash = p; (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    mkdir(p, 0700);
    *slash = '/';
  }
  mkdir(p, 0700);
}

// "512M": bytes, or KiB, MiB, GiB, TiB. `otherwise` when the variable is absent or says nothing of the kind.
static uint64_t size_variable(const char *name, uint64_t otherwise) {
  static const char units[] = "KMGT";
  const char *v = variable(name), *unit = v && *v ? strchr(units, v[strlen(v) - 1]) : NULL;
  int64_t n;
  if (!v || !parse_i64((str){v, strlen(v) - (unit != NULL)}, &n) || n < 0) return otherwise;
  for (const char *u = units; unit && u <= unit; u++)
    if (__builtin_mul_overflow(n, 1024, &n)) return otherwise;
  return (uint64_t)n;
}

static const char *distrust(const struct stat *s) {
  if (s->st_uid != geteuid()) return "it belongs to another user";
  return s->st_mode & (S_IWGRP | S_IWOTH) ? "others may write to it" : NULL;
}

static void close_folder(void *handle) {
  const cache *c = handle;
  if (c->folder >= 0) close(c->folder);
}

// Prepared weights are large: by default at most 8 GiB, and a quarter of what the disk could give.
static uint64_t weights_cap(const cache *c) {
  const uint64_t most = UINT64_C(8) << 30;
  struct statvfs s;
  if (fstatvfs(c->folder, &s) != 0) return most;
  uint64_t room = (uint64_t)s.f_bavail * s.f_frsize;
  cache_files files = cache_list(c);
  for (size_t i = 0; i < files.n; i++) room += files.at[i].size_bytes;
  return room / 4 < most ? room / 4 : most;
}

cache *cache_none(arena *a) {
  cache *c = ARENA_NEW(a, cache);
  *c = (cache){.a = a, .folder = -1, .off = "it is not asked for"};
  return c;
}

cache *cache_open(arena *a, diag_list *l, bool make) {
  cache *c = cache_none(a);
  c->path = folder_path(a);
  c->off = NULL;
  arena_defer(a, close_folder, c);
  struct stat s;
  if (variable("NNC_NO_CACHE")) c->off = "NNC_NO_CACHE is set";
  else if (!c->path) c->off = "there is no home folder";
  if (c->off) return c;
  if (make && access(c->path, F_OK) != 0) make_folders(a, c->path);
  c->folder = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (c->folder < 0) c->off = errno == ENOENT ? "there is no such folder yet" : "it cannot be opened";
  else if (fstat(c->folder, &s) != 0) c->off = "it cannot be read";
  else c->off = distrust(&s);
  if (c->folder >= 0 && c->off) diag_at(l, NO_SPAN, cache_refused, c->path, c->off);
  if (c->off) return c;
  c->cap_bytes[CACHE_code] = size_variable("NNC_CACHE_SIZE", UINT64_C(1) << 30);
  c->cap_bytes[CACHE_program] = c->cap_bytes[CACHE_code];
  c->cap_bytes[CACHE_weights] = size_variable("NNC_CACHE_WEIGHTS_SIZE", UINT64_MAX);
  if (c->cap_bytes[CACHE_weights] == UINT64_MAX) c->cap_bytes[CACHE_weights] = weights_cap(c);
  return c;
}

// -- files --

static const char *file_name(const cache *c, cache_kind kind, const sha256_digest *key) {
  return str_fmt(c->a, "%s%s", sha256_hex(c->a, key), extensions[kind]);
}

int cache_open_file(const cache *c, const char *name) {
  struct stat s;
  if (c->off) return -1;
  int fd = openat(c->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -1;
  if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && !distrust(&s)) return fd;
  close(fd);
  return -1;
}

int cache_find(const cache *c, cache_kind kind, const sha256_digest *key) {
  if (c->off) return -1;
  int fd = cache_open_file(c, file_name(c, kind, key));
  if (fd >= 0) futimens(fd, NULL); // used now; on a read-only file system it cannot be marked
  return fd;
}

bool cache_remove(const cache *c, const char *name) { return !c->off && unlinkat(c->folder, name, 0) == 0; }

void cache_drop(const cache *c, cache_kind kind, const sha256_digest *key) {
  if (!c->off) cache_remove(c, file_name(c, kind, key));
}

static bool is_key(const char *name, size_t n) { return n == KEY_DIGITS && strspn(name, "0123456789abcdef") >= n; }

static bool kind_of(const char *name, cache_kind *kind) {
  const char *dot = strchr(name, '.');
  for (int k = 0; dot && k < CACHE_KINDS; k++) {
    *kind = (cache_kind)k;
    if (is_key(name, (size_t)(dot - name)) && strcmp(dot, extensions[k]) == 0) return true;
  }
  *kind = CACHE_KINDS;
  return strncmp(name, temporary, sizeof temporary - 1) == 0;
}

static void close_stream(void *handle) {
  DIR **d = handle;
  if (*d) closedir(*d);
  *d = NULL;
}

cache_files cache_list(const cache *c) {
  cache_files files = {0};
  DIR **d = ARENA_NEW(c->a, DIR *);
  arena_defer(c->a, close_stream, d);
  int fd = c->folder < 0 ? -1 : openat(c->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  *d = fd < 0 ? NULL : fdopendir(fd);
  if (!*d && fd >= 0) close(fd);
  for (const struct dirent *e; *d && (e = readdir(*d));) {
    struct stat s;
    cache_kind kind;
    if (!kind_of(e->d_name, &kind) || fstatat(c->folder, e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0) continue;
    cache_file f = {str_dup(c->a, str_of(e->d_name)), kind, (uint64_t)s.st_size,
                    (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec};
    vec_push(c->a, &files, f);
  }
  close_stream(d);
  return files;
}

static int by_use(const void *x, const void *y) {
  const cache_file *a = x, *b = y;
  return (a->used_ns > b->used_ns) - (a->used_ns < b->used_ns);
}

// Removes what was used longest ago, but not `kept`, and what killed processes have left.
static void evict(const cache *c, cache_kind kind, const char *kept) {
  cache_files files = cache_list(c);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  int64_t now_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
  uint64_t total = 0;
  if (files.n) qsort(files.at, files.n, sizeof *files.at, by_use);
  for (size_t i = 0; i < files.n; i++)
    if (files.at[i].kind == kind) total += files.at[i].size_bytes;
  for (size_t i = 0; i < files.n; i++) {
    const cache_file *f = &files.at[i];
    bool abandoned = f->kind == CACHE_KINDS && now_ns - f->used_ns > ABANDONED_NS;
    bool surplus = f->kind == kind && total > c->cap_bytes[kind] && strcmp(f->name, kept) != 0;
    if (!abandoned && !surplus) continue;
    cache_remove(c, f->name);
    if (surplus) total -= f->size_bytes;
  }
}

typedef struct draft { // a file being written: its temporary name goes when the arena does
  const cache *c;
  int fd;
  const char *name;
} draft;

static void release_draft(void *handle) {
  draft *d = handle;
  if (d->fd >= 0) close(d->fd);
  if (d->name) unlinkat(d->c->folder, d->name, 0);
  d->fd = -1, d->name = NULL;
}

static void open_draft(draft *d) {
  for (unsigned attempt = 0; attempt < 100 && d->fd < 0; attempt++) {
    const char *name = str_fmt(d->c->a, "%s%ld-%u", temporary, (long)getpid(), attempt);
    d->fd = openat(d->c->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (d->fd >= 0) d->name = name;
    else if (errno != EEXIST) return;
  }
}

// A limit on the size of files would end the process by a signal.
static bool may_write(uint64_t bytes) {
  struct rlimit r;
  return getrlimit(RLIMIT_FSIZE, &r) != 0 || r.rlim_cur == RLIM_INFINITY || bytes <= r.rlim_cur;
}

bool cache_put(const cache *c, cache_kind kind, const sha256_digest *key, size_t n_parts, const str *parts) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < n_parts; i++) bytes += parts[i].n;
  if (c->off || bytes > c->cap_bytes[kind] || !may_write(bytes)) return false;
  const char *name = file_name(c, kind, key);
  draft *d = ARENA_NEW(c->a, draft);
  *d = (draft){c, -1, NULL};
  arena_defer(c->a, release_draft, d);
  open_draft(d);
  bool ok = d->fd >= 0 && file_put(d->fd, n_parts, parts) && renameat(c->folder, d->name, c->folder, name) == 0;
  if (ok) d->name = NULL;
  release_draft(d);
  if (ok) evict(c, kind, name);
  return ok;
}

// -- files read whole --

enum { HEAD_WORDS = 3 };

static uint64_t checksum_of(str key, str body) {
  return rt_weights_content(rt_weights_content(0, key.p, key.n), body.p, body.n);
}

// Key and body of a whole file, in memory: a mapping would be at the mercy of who cuts it short. false: it is damaged.
static bool read_whole(arena *a, int fd, cache_format f, str *key, str *body) {
  struct stat s;
  uint64_t head[HEAD_WORDS];
  const size_t key_bytes = sizeof(sha256_digest);
  if (fstat(fd, &s) != 0 || (uint64_t)s.st_size <= sizeof head + key_bytes) return false;
  size_t size = (size_t)s.st_size - sizeof head, got = 0;
  char *p = arena_alloc(a, size);
  if (read(fd, head, sizeof head) != (ssize_t)sizeof head) return false;
  while (got < size) {
    ssize_t n = read(fd, p + got, size - got);
    if (n <= 0) return false;
    got += (size_t)n;
  }
  *key = (str){p, key_bytes};
  *body = (str){p + key_bytes, size - key_bytes};
  return head[0] == f.magic && head[1] == f.version && head[2] == checksum_of(*key, *body);
}

bool cache_body_is_whole(arena *a, int fd, cache_format f) {
  str key, body;
  return read_whole(a, fd, f, &key, &body);
}

static void close_file(void *handle) {
  int *fd = handle;
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

bool cache_find_body(const cache *c, cache_kind kind, const sha256_digest *key, cache_format f, str *body) {
  str of_file;
  int *fd = ARENA_NEW(c->a, int); // closed also when the arena unwinds
  *fd = -1;
  arena_defer(c->a, close_file, fd);
  *fd = cache_find(c, kind, key);
  if (*fd < 0) return false;
  bool found = read_whole(c->a, *fd, f, &of_file, body) && memcmp(of_file.p, key->at, of_file.n) == 0;
  close_file(fd);
  if (!found) cache_drop(c, kind, key);
  return found;
}

bool cache_put_body(const cache *c, cache_kind kind, const sha256_digest *key, cache_format f, str body) {
  if (c->off) return false;
  const str of_key = {(const char *)key->at, sizeof key->at};
  const uint64_t head[HEAD_WORDS] = {f.magic, f.version, checksum_of(of_key, body)};
  return cache_put(c, kind, key, 3, (const str[]){{(const char *)head, sizeof head}, of_key, body});
}
