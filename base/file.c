// Files: strict reading, read-only mapping, atomic writing.
//
// Only regular files are read or replaced: a folder, a pipe or a device gives a diagnostic at once, never a wait.
// Every descriptor, mapping and temporary file hangs on a cell that the arena owns, so an allocation that fails
// half-way leaves nothing open and nothing behind.
#define _XOPEN_SOURCE 700 // POSIX 2008 with realpath
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// An open file on its way: closed, and its temporary name removed, when the work is done or the arena goes.
typedef struct open_file {
  int fd;                // -1 when closed
  const char *temporary; // NULL, or a name to remove
} open_file;

static void open_file_release(void *handle) {
  open_file *f = handle;
  if (f->fd >= 0) close(f->fd);
  if (f->temporary) unlink(f->temporary);
  *f = (open_file){-1, NULL};
}

static open_file *open_file_new(arena *a) {
  open_file *f = ARENA_NEW(a, open_file);
  f->fd = -1;
  arena_defer(a, open_file_release, f);
  return f;
}

// The system's English text for an error number; strerror is neither thread-safe nor free of the locale.
static const char *error_text(arena *a, int error) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!c) return "unknown error";
  const char *text = strerror_l(error, c);
  text = str_dup(a, str_of(text));
  freelocale(c);
  return text;
}

static const char *kind_problem(mode_t mode) {
  if (S_ISREG(mode)) return NULL;
  return S_ISDIR(mode) ? "it is a folder" : "it is not a regular file";
}

static file_identity identity_of(const struct stat *s) {
  return (file_identity){(uint64_t)s->st_dev, (uint64_t)s->st_ino, (uint64_t)s->st_size,
                         (int64_t)s->st_mtim.tv_sec * 1000000000 + s->st_mtim.tv_nsec,
                         (int64_t)s->st_ctim.tv_sec * 1000000000 + s->st_ctim.tv_nsec};
}

bool file_identify(const char *path, file_identity *out) {
  struct stat s;
  if (stat(path, &s) != 0) return false;
  *out = identity_of(&s);
  return true;
}

bool file_identity_eq(const file_identity *a, const file_identity *b) {
  return a->device == b->device && a->inode == b->inode && a->size_bytes == b->size_bytes &&
         a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

// Opens a regular file for reading; false: a diagnostic was added.
static bool open_regular(open_file *f, diag_list *l, const char *path, file_identity *id) {
  // O_NONBLOCK: opening a pipe that nobody writes to returns at once. It changes nothing for regular files.
  do f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (f->fd < 0 && errno == EINTR);
  if (f->fd < 0) {
    diag_at(l, NO_SPAN, file_open, path, error_text(l->a, errno));
    return false;
  }
  struct stat s;
  if (fstat(f->fd, &s) != 0) {
    diag_at(l, NO_SPAN, file_read, path, error_text(l->a, errno));
    return false;
  }
  const char *problem = kind_problem(s.st_mode);
  if (problem) {
    diag_at(l, NO_SPAN, file_read, path, problem);
    return false;
  }
  *id = identity_of(&s);
  return true;
}

static bool too_large(diag_list *l, const char *path, uint64_t size_bytes, size_t max_bytes) {
  if (size_bytes <= max_bytes) return false;
  diag_at(l, NO_SPAN, file_too_large, path, (unsigned long long)size_bytes, (unsigned long long)max_bytes);
  return true;
}

// Reads to the end: the size is only a first guess, since files grow, and those of /proc say 0.
static bool read_all(open_file *f, arena *a, diag_list *l, const char *path, size_t size_bytes, size_t max_bytes,
                     str *out) {
  VEC(char) text = {0};
  vec_reserve(a, &text, size_bytes + 1);
  for (;;) {
    vec_reserve(a, &text, text.n + 1);
    ssize_t got = read(f->fd, text.at + text.n, text.cap - text.n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      diag_at(l, NO_SPAN, file_read, path, error_text(l->a, errno));
      return false;
    }
    if (got == 0) break;
    text.n += (size_t)got;
    if (too_large(l, path, text.n, max_bytes)) return false;
  }
  text.at[text.n] = '\0'; // read stopped with at least one byte of room
  *out = (str){text.at, text.n};
  return true;
}

bool file_read(arena *a, diag_list *l, const char *path, size_t max_bytes, str *out) {
  *out = STR("");
  open_file *f = open_file_new(a);
  file_identity id;
  bool ok = open_regular(f, l, path, &id) && !too_large(l, path, id.size_bytes, max_bytes) &&
            read_all(f, a, l, path, (size_t)id.size_bytes, max_bytes, out);
  open_file_release(f);
  return ok;
}

typedef struct mapping {
  void *p;
  size_t n;
} mapping;

static void mapping_release(void *handle) {
  mapping *m = handle;
  if (m->n) munmap(m->p, m->n);
}

bool file_map(arena *a, diag_list *l, const char *path, str *out, file_identity *id) {
  *out = STR("");
  open_file *f = open_file_new(a);
  mapping *m = ARENA_NEW(a, mapping);
  arena_defer(a, mapping_release, m);
  file_identity own;
  bool ok = open_regular(f, l, path, &own) && !too_large(l, path, own.size_bytes, SIZE_MAX);
  size_t size_bytes = ok ? (size_t)own.size_bytes : 0;
  if (ok && id) *id = own;
  if (size_bytes > 0) {
    void *p = mmap(NULL, size_bytes, PROT_READ, MAP_PRIVATE, f->fd, 0);
    if (p == MAP_FAILED) {
      diag_at(l, NO_SPAN, file_read, path, error_text(l->a, errno));
      ok = false;
    } else {
      *m = (mapping){p, size_bytes};
      *out = (str){p, size_bytes};
    }
  }
  open_file_release(f);
  return ok;
}

// The file that `path` finally names: a symbolic link stays, its target is replaced. NULL and errno on failure.
static const char *through_links(arena *a, const char *path) {
  struct stat s;
  if (lstat(path, &s) != 0 || !S_ISLNK(s.st_mode)) return path;
  return realpath(path, arena_alloc(a, PATH_MAX));
}

// Makes a new file beside `path`. The name is free of `path`'s own, which may already be as long as names can be.
static bool open_temporary(open_file *f, arena *a, const char *path, unsigned mode) {
  for (unsigned attempt = 0; attempt < 1000; attempt++) {
    const char *name = path_beside(a, path, str_fmt(a, ".nnc-%ld-%u.tmp", (long)getpid(), attempt));
    f->fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (f->fd >= 0) {
      f->temporary = name;
      return true;
    }
    if (errno != EEXIST && errno != EINTR) return false;
  }
  return false;
}

static bool put_one(int fd, str content) {
  while (content.n > 0) {
    size_t piece = content.n < ((size_t)1 << 30) ? content.n : (size_t)1 << 30;
    ssize_t put = write(fd, content.p, piece);
    if (put < 0 && errno != EINTR) return false;
    if (put > 0) content = (str){content.p + put, content.n - (size_t)put};
  }
  return true;
}

bool file_put(int fd, size_t n, const str *parts) {
  for (size_t i = 0; i < n; i++)
    if (!put_one(fd, parts[i])) return false;
  return true;
}

static bool to_disk(int fd) { return fsync(fd) == 0 || errno == EINVAL; } // EINVAL: a file system that cannot

// Closes once: after a failure the descriptor is gone as well.
static bool close_now(open_file *f) {
  int fd = f->fd;
  f->fd = -1;
  return close(fd) == 0;
}

// The temporary file of one output, written, closed, and still to be renamed.
typedef struct staged_file {
  open_file *f;
  const char *target;
} staged_file;

static bool stage(arena *a, diag_list *l, const file_output *out, staged_file *staged) {
  struct stat s;
  open_file *f = staged->f = open_file_new(a);
  const char *target = staged->target = through_links(a, out->path);
  const char *problem = target && stat(target, &s) == 0 ? kind_problem(s.st_mode) : NULL;
  if (target && !problem && open_temporary(f, a, target, out->mode) && file_put(f->fd, out->n_parts, out->parts) &&
      to_disk(f->fd) && close_now(f))
    return true;
  diag_at(l, NO_SPAN, file_write, out->path, problem ? problem : error_text(l->a, errno));
  return false;
}

static bool put_in_place(diag_list *l, const file_output *out, const staged_file *staged) {
  if (rename(staged->f->temporary, staged->target) != 0) {
    diag_at(l, NO_SPAN, file_write, out->path, error_text(l->a, errno));
    return false;
  }
  staged->f->temporary = NULL;
  return true;
}

bool file_write_all(arena *a, diag_list *l, size_t n, const file_output *files) {
  staged_file *staged = ARENA_ARRAY(a, staged_file, n);
  bool ok = true;
  size_t k = 0;
  for (; ok && k < n; k++) ok = stage(a, l, &files[k], &staged[k]);
  for (size_t i = 0; ok && i < n; i++) ok = put_in_place(l, &files[i], &staged[i]);
  for (size_t i = 0; i < k; i++) open_file_release(staged[i].f);
  return ok;
}

bool file_write(arena *a, diag_list *l, const char *path, str content, unsigned mode) {
  return file_write_all(a, l, 1, &(file_output){path, mode, 1, &content});
}

bool file_same(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *path_beside(arena *a, const char *base_file, const char *name) {
  const char *slash = strrchr(base_file, '/');
  if (!slash || name[0] == '/') return str_dup(a, str_of(name));
  return str_fmt(a, "%.*s/%s", (int)(slash - base_file), base_file, name);
}

char *path_absolute(arena *a, const char *path) {
  char *folder = path[0] == '/' ? NULL : getcwd(arena_alloc(a, PATH_MAX), PATH_MAX);
  return folder ? str_fmt(a, "%s/%s", folder, path) : str_dup(a, str_of(path));
}
