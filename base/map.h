// Hash map in an arena: keys are byte strings compared by content, or pointers compared by address.
// Iteration is in insertion order, so that nothing ever depends on addresses. No removal.
#ifndef NNC_BASE_MAP_H
#define NNC_BASE_MAP_H

#include "base/str.h"

typedef struct map map;

map *map_new(arena *a);

// By content (the key bytes are copied on insertion).
void *map_get(const map *m, str key);       // NULL when absent
void map_put(map *m, str key, void *value); // inserts or replaces
bool map_add(map *m, str key, void *value); // false (and no change) when present

// By pointer or integer.
void *map_get_ptr(const map *m, const void *key);
void map_put_ptr(map *m, const void *key, void *value);

size_t map_count(const map *m);
str map_key(const map *m, size_t i);             // i-th inserted; content maps only
const void *map_key_ptr(const map *m, size_t i); // i-th inserted; pointer maps only
void *map_value(const map *m, size_t i);

#endif
