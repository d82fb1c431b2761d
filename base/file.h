// Files: strict reading, read-only mapping, atomic writing. Errors go to the diagnostics list, and nothing is left
// half written. Only regular files: a folder, a pipe or a device is an error at once, never a wait.
#ifndef NNC_BASE_FILE_H
#define NNC_BASE_FILE_H

#include "base/diag.h"

// Reads a whole regular file into the arena (NUL-terminated after the last byte). false: a diagnostic was added.
bool file_read(arena *a, diag_list *l, const char *path, size_t max_bytes, str *out);

// Maps a regular file read-only for the arena's life; not NUL-terminated. An empty file gives n = 0. Who shortens the
// file meanwhile causes SIGBUS on access: true of every mapping.
bool file_map(arena *a, diag_list *l, const char *path, str *out);

// Writes to a temporary file beside `path`, fsyncs, renames over it. Mode as given (e.g. 0644), before umask.
// On failure the temporary file is removed and `path` is as before. A symbolic link stays; its target is replaced.
bool file_write(arena *a, diag_list *l, const char *path, str content, unsigned mode);

// The same for files that belong together: none appears before all are written, each under a temporary name.
typedef struct file_output {
  const char *path;
  str content;
  unsigned mode;
} file_output;
bool file_write_all(arena *a, diag_list *l, size_t n, const file_output *files);

bool file_same(const char *a, const char *b); // both exist and are one file, however they are spelled

// `name` resolved against the folder of `base_file` unless absolute.
char *path_beside(arena *a, const char *base_file, const char *name);

#endif
