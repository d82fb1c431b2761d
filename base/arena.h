// Arena: memory that lives as long as one unit of work (a compile, a parse), freed in one go.
//
// An arena never returns NULL. When the system allocator refuses, the arena unwinds by one longjmp to the
// entry point that opened it (`arena_guard`), which frees the arena and returns a status. Foreign handles
// (FILE *, mmap, LLVM objects, heap blocks) are put on the cleanup list with `arena_defer` and are released,
// last first, by `arena_free`. Thread rule: an arena belongs to one thread at a time.
#ifndef NNC_BASE_ARENA_H
#define NNC_BASE_ARENA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where memory comes from. `alloc` returns 16-byte aligned memory, or NULL when there is none.
// A NULL `mem_source *` means malloc/free.
typedef struct mem_source {
  void *(*alloc)(void *user, size_t size_bytes);
  void (*release)(void *user, void *block);
  void *user;
  bool each_alone; // an arena takes a block for each request: for tests, so that each can be refused
} mem_source;

void *mem_alloc(const mem_source *m, size_t size_bytes); // NULL when there is none; not zeroed
void mem_release(const mem_source *m, void *block);      // NULL is fine

typedef struct arena arena;

arena *arena_new(const mem_source *m); // heap; NULL when out of memory; `m` is borrowed for the arena's life
void arena_free(arena *a);             // runs the cleanup list, last first, then frees every block; NULL is fine

// The jump target of allocation failure. Use:  if (setjmp(*arena_guard(a))) { arena_free(a); return NNC_E_MEMORY; }
jmp_buf *arena_guard(arena *a);
_Noreturn void arena_unwind(arena *a, int code); // jumps to the guard: 1 = out of memory, 2 = internal error

void *arena_alloc(arena *a, size_t size_bytes);           // zeroed, 16-byte aligned; size 0 gives a valid pointer
void *arena_array(arena *a, size_t n, size_t elem_bytes); // checked product
void *arena_copy(arena *a, const void *from, size_t size_bytes); // arena_alloc + memcpy
// `handle` is released when the arena is; it is the arena's from the call on, also when this call unwinds.
void arena_defer(arena *a, void (*release)(void *), void *handle);
const mem_source *arena_source(const arena *a);
size_t arena_bytes(const arena *a); // bytes taken from the source so far

#define ARENA_NEW(a, T)      ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_array((a), (n), sizeof(T)))

#endif
