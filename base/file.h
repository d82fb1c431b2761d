// Files: strict reading, read-only mapping, atomic writing. Errors go to the diagnostics list; nothing is left half written.
#ifndef NNC_BASE_FILE_H
#define NNC_BASE_FILE_H

#include "base/diag.h"

// Reads a whole regular file into the arena (NUL-terminated after the last byte). false: a diagnostic was added.
bool file_read(arena *a, diag_list *l, const char *path, size_t max_bytes, str *out);

// Maps a regular file read-only for the arena's life. An empty file gives n = 0.
bool file_map(arena *a, diag_list *l, const char *path, str *out);

// Writes to a temporary file beside `path`, fsyncs, renames over it. Mode as given (e.g. 0644), before umask.
bool file_write(arena *a, diag_list *l, const char *path, str content, unsigned mode);

// `name` resolved against the folder of `base_file` unless absolute.
char *path_beside(arena *a, const char *base_file, const char *name);

#endif
