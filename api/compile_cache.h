// Compiled models in the cache: a job's image under a key of what was asked.
#ifndef NNC_API_COMPILE_CACHE_H
#define NNC_API_COMPILE_CACHE_H

#include "api/compile.h"

// Fills j->image and j->sources and repeats the warnings of then. false: to be compiled.
bool compile_cache_find(compile_job *j);
// Did the front end, run after a hit, read what the image was compiled from?
bool compile_cache_same_sources(const compile_job *j);
// Keeps j->image, which was just compiled; sets j->sources.
void compile_cache_keep(compile_job *j);

bool compile_cache_file_is_whole(arena *a, int fd); // reads all of it

// Warnings first .. last-1 of a list, with the files that they quote, as bytes and back.
void pack_messages(strbuf *b, const diag_list *l, size_t first, size_t last);
bool unpack_messages(unpacker *u, diag_list *l); // appended; false: broken

// A file's identity as bytes and back, for what depends on files.
void pack_identity(strbuf *b, const file_identity *id);
file_identity unpack_identity(unpacker *u);

#endif
