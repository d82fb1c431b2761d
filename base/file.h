// Files: strict reading, read-only mapping, atomic writing. Errors go to the diagnostics list, and nothing is left
// half written. Only regular files: a folder, a pipe or a device is an error at once, never a wait.
#ifndef NNC_BASE_FILE_H
#define NNC_BASE_FILE_H

#include "base/diag.h"

// Reads a whole regular file into the arena (NUL-terminated after the last byte). false: a diagnostic was added.
bool file_read(arena *a, diag_list *l, const char *path, size_t max_bytes, str *out);

// Which file it is, and whether it is as it was: what is written to a file changes its `ctime`, which nobody can set
// back.
typedef struct file_identity {
  uint64_t device, inode, size_bytes;
  int64_t mtime_ns, ctime_ns;
} file_identity;

bool file_identify(const char *path, file_identity *out); // false, and no diagnostic: there is no such file
bool file_identity_eq(const file_identity *a, const file_identity *b);

// Maps a regular file read-only for the arena's life; not NUL-terminated. An empty file gives n = 0. Who shortens the
// file meanwhile causes SIGBUS on access: true of every mapping. `id`: of what was mapped; may be NULL.
bool file_map(arena *a, diag_list *l, const char *path, str *out, file_identity *id);

// Writes to a temporary file beside `path`, fsyncs, renames over it. Mode as given (e.g. 0644), before umask.
// On failure the temporary file is removed and `path` is as before. A symbolic link stays; its target is replaced.
bool file_write(arena *a, diag_list *l, const char *path, str content, unsigned mode);

// The same for files that belong together: none appears before all are written, each under a temporary name. The parts
// of a file follow each other.
typedef struct file_output {
  const char *path;
  unsigned mode;
  size_t n_parts;
  const str *parts;
} file_output;
bool file_write_all(arena *a, diag_list *l, size_t n, const file_output *files);

bool file_put(int fd, size_t n, const str *parts); // to an open file; false and errno when that failed

bool file_same(const char *a, const char *b); // both exist and are one file, however they are spelled

// `name` resolved against the folder of `base_file` unless absolute.
char *path_beside(arena *a, const char *base_file, const char *name);
// `path` itself when it is absolute, else behind the working folder.
char *path_absolute(arena *a, const char *path);

#endif
