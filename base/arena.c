// Arena: bump allocation from a chain of blocks, a cleanup list for foreign handles, and one jump target for failure.
//
// In: sizes. Out: zeroed, 16-byte aligned memory that lives until `arena_free`. Method: blocks double from 4 KB to
// 1 MB; a request that would waste much of a block gets a block of its own, behind the one in use. Cost: a pointer
// bump and a memset. Nothing is ever given back before the whole arena is, so a growing array leaves its old copies
// behind. Under AddressSanitizer all of a block is poisoned but what has been asked for, and a red zone stands ahead of
// each request: one byte past its end, or before its beginning, is seen.
#include "base/arena.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
enum { RED_ZONE = 16 };
static void poison(void *p, size_t n) { ASAN_POISON_MEMORY_REGION(p, n); }
static void unpoison(void *p, size_t n) { ASAN_UNPOISON_MEMORY_REGION(p, n); }
#else
enum { RED_ZONE = 0 };
static void poison(void *p, size_t n) { (void)p, (void)n; }
static void unpoison(void *p, size_t n) { (void)p, (void)n; }
#endif

enum { ALIGN = 16, FIRST_BLOCK = 4096, LAST_BLOCK = 1 << 20 };

typedef struct block {
  _Alignas(16) struct block *next;
  size_t room; // bytes after the header
} block;

typedef struct cleanup {
  struct cleanup *next;
  void (*release)(void *);
  void *handle;
} cleanup;

struct arena {
  const mem_source *source;
  block *blocks;
  unsigned char *free, *end; // what is left of the block in use
  size_t next_block;
  size_t bytes;
  cleanup *cleanups; // last registered first
  bool guarded;      // somebody asked for the jump target
  jmp_buf guard;
};

_Static_assert(sizeof(block) % ALIGN == 0, "what follows a block's header is aligned");

void *mem_alloc(const mem_source *m, size_t size_bytes) {
  if (size_bytes == 0) size_bytes = 1; // so that NULL has one meaning
  return m ? m->alloc(m->user, size_bytes) : malloc(size_bytes);
}

void mem_release(const mem_source *m, void *p) {
  if (!p) return;
  if (m) m->release(m->user, p);
  else free(p);
}

arena *arena_new(const mem_source *m) {
  arena *a = mem_alloc(m, sizeof *a);
  if (!a) return NULL;
  memset(a, 0, sizeof *a);
  a->source = m;
  a->next_block = m && m->each_alone ? 0 : FIRST_BLOCK; // from 0 on every request is too large for a block with others
  a->bytes = sizeof *a;
  return a;
}

void arena_free(arena *a) {
  if (!a) return;
  while (a->cleanups) {
    cleanup *c = a->cleanups;
    a->cleanups = c->next;
    c->release(c->handle);
  }
  while (a->blocks) {
    block *b = a->blocks;
    a->blocks = b->next;
    unpoison(b + 1, b->room); // whoever gets these bytes next knows nothing of us
    mem_release(a->source, b);
  }
  mem_release(a->source, a);
}

jmp_buf *arena_guard(arena *a) {
  a->guarded = true;
  return &a->guard;
}

void arena_unwind(arena *a, int code) {
  if (!a->guarded) abort(); // no entry point opened this arena: there is nowhere to go
  longjmp(a->guard, code);
}

// A fresh block with room for `room` bytes after its header; NULL when there is none.
static unsigned char *block_new(arena *a, size_t room) {
  if (room > SIZE_MAX - sizeof(block)) return NULL;
  block *b = mem_alloc(a->source, sizeof(block) + room);
  if (!b) return NULL;
  b->next = a->blocks;
  b->room = room;
  a->blocks = b;
  poison(b + 1, room);
  a->bytes += sizeof(block) + room;
  return (unsigned char *)(b + 1);
}

static void *try_alloc(arena *a, size_t size_bytes) {
  if (size_bytes > SIZE_MAX - ALIGN - RED_ZONE) return NULL;
  size_t rounded = RED_ZONE + (size_bytes ? (size_bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN);
  unsigned char *p = a->free;
  if (rounded <= (size_t)(a->end - a->free)) {
    a->free += rounded;
  } else if (rounded > a->next_block / 4) {
    p = block_new(a, rounded);
  } else {
    p = block_new(a, a->next_block);
    if (p) {
      a->free = p + rounded;
      a->end = p + a->next_block;
      if (a->next_block < LAST_BLOCK) a->next_block *= 2;
    }
  }
  if (!p) return NULL;
  unpoison(p + RED_ZONE, size_bytes);
  return memset(p + RED_ZONE, 0, size_bytes);
}

void *arena_alloc(arena *a, size_t size_bytes) {
  void *p = try_alloc(a, size_bytes);
  if (!p) arena_unwind(a, 1);
  return p;
}

void *arena_array(arena *a, size_t n, size_t elem_bytes) {
  if (elem_bytes && n > SIZE_MAX / elem_bytes) arena_unwind(a, 1);
  return arena_alloc(a, n * elem_bytes);
}

void *arena_copy(arena *a, const void *from, size_t size_bytes) {
  void *p = arena_alloc(a, size_bytes);
  if (size_bytes) memcpy(p, from, size_bytes);
  return p;
}

void arena_defer(arena *a, void (*release)(void *), void *handle) {
  cleanup *c = try_alloc(a, sizeof *c);
  if (!c) {
    release(handle); // the arena has owned it from the call on
    arena_unwind(a, 1);
  }
  *c = (cleanup){a->cleanups, release, handle};
  a->cleanups = c;
}

const mem_source *arena_source(const arena *a) { return a->source; }

size_t arena_bytes(const arena *a) { return a->bytes; }

void *vec_grow(arena *a, void *at, size_t n, size_t *cap, size_t need, size_t elem_bytes) {
  if (need <= *cap) return at;
  size_t new_cap = *cap > SIZE_MAX / 2 ? need : *cap * 2;
  if (new_cap < 8) new_cap = 8;
  if (new_cap < need) new_cap = need;
  void *p = arena_array(a, new_cap, elem_bytes);
  if (n) memcpy(p, at, n * elem_bytes);
  *cap = new_cap;
  return p;
}
