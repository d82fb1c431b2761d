// Growable arrays in an arena.  VEC(int) v = {0};  vec_push(a, &v, 3);  v.at[0], v.n.
#ifndef NNC_BASE_VEC_H
#define NNC_BASE_VEC_H

#include "base/arena.h"

#define VEC(T)                                                                                                         \
  struct {                                                                                                             \
    T *at;                                                                                                             \
    size_t n, cap;                                                                                                     \
  }

// Grows `at` (element size `elem_bytes`) so that it holds at least `need`; the old block stays in the arena.
void *vec_grow(arena *a, void *at, size_t n, size_t *cap, size_t need, size_t elem_bytes);

#define vec_reserve(a, v, need)                                                                                        \
  ((need) > (v)->cap ? (void)((v)->at = vec_grow((a), (v)->at, (v)->n, &(v)->cap, (need), sizeof *(v)->at)) : (void)0)
#define vec_push(a, v, x) (vec_reserve(a, v, (v)->n + 1), (void)((v)->at[(v)->n++] = (x)))
#define vec_pop(v)        ((v)->at[--(v)->n])
#define vec_last(v)       ((v)->at[(v)->n - 1])

#endif
