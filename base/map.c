// Hash map and interner: open addressing with linear probing over a table of indices into an array of entries.
//
// The entries keep insertion order, so iteration never depends on hashes or addresses; the table is half full at most
// and is rebuilt from the entries' stored hashes when it grows. Cost: one hash and about 1.5 probes per look-up.
#include "base/map.h"
#include "base/vec.h"

#include <assert.h>
#include <string.h>

typedef enum map_kind { MAP_unused, MAP_content, MAP_pointer } map_kind;

typedef struct entry {
  str key; // content maps: an own NUL-terminated copy; pointer maps: the pointer itself, n = 0
  void *value;
  uint64_t hash;
} entry;

struct map {
  arena *a;
  map_kind kind;
  VEC(entry) entries;
  uint32_t *slots; // 0 = empty, else an entry's index + 1
  size_t n_slots;  // power of two, or 0
};

map *map_new(arena *a) {
  map *m = ARENA_NEW(a, map);
  m->a = a;
  return m;
}

static uint64_t key_hash(map_kind kind, str key) {
  return kind == MAP_content ? hash_bytes(key.p, key.n, 0) : hash_bytes(&key.p, sizeof key.p, 0);
}

static bool key_equal(map_kind kind, str a, str b) { return kind == MAP_content ? str_eq(a, b) : a.p == b.p; }

// The slot that holds `key`, or the empty one where it belongs. There is always an empty one.
static uint32_t *slot_of(const map *m, map_kind kind, str key, uint64_t hash) {
  size_t mask = m->n_slots - 1;
  for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
    uint32_t *slot = &m->slots[i];
    if (!*slot) return slot;
    const entry *e = &m->entries.at[*slot - 1];
    if (e->hash == hash && key_equal(kind, e->key, key)) return slot;
  }
}

static entry *find(const map *m, map_kind kind, str key) {
  assert(m->kind == MAP_unused || m->kind == kind);
  if (!m->n_slots) return NULL;
  uint32_t slot = *slot_of(m, kind, key, key_hash(kind, key));
  return slot ? &m->entries.at[slot - 1] : NULL;
}

static void grow(map *m) {
  size_t n = m->n_slots ? m->n_slots * 2 : 16;
  if (n > UINT32_MAX) arena_unwind(m->a, 1);
  uint32_t *slots = ARENA_ARRAY(m->a, uint32_t, n);
  for (size_t e = 0; e < m->entries.n; e++) {
    size_t i = (size_t)m->entries.at[e].hash & (n - 1);
    while (slots[i]) i = (i + 1) & (n - 1);
    slots[i] = (uint32_t)e + 1;
  }
  m->slots = slots;
  m->n_slots = n;
}

// The entry of `key`, made with value NULL when absent.
static entry *insert(map *m, map_kind kind, str key, bool *is_new) {
  assert(m->kind == MAP_unused || m->kind == kind);
  m->kind = kind;
  if ((m->entries.n + 1) * 2 > m->n_slots) grow(m);
  uint64_t hash = key_hash(kind, key);
  uint32_t *slot = slot_of(m, kind, key, hash);
  *is_new = *slot == 0;
  if (!*is_new) return &m->entries.at[*slot - 1];
  if (kind == MAP_content) key.p = str_dup(m->a, key);
  vec_push(m->a, &m->entries, ((entry){key, NULL, hash}));
  *slot = (uint32_t)m->entries.n;
  return &vec_last(&m->entries);
}

void *map_get(const map *m, str key) {
  const entry *e = find(m, MAP_content, key);
  return e ? e->value : NULL;
}

void map_put(map *m, str key, void *value) {
  bool is_new;
  insert(m, MAP_content, key, &is_new)->value = value;
}

bool map_add(map *m, str key, void *value) {
  bool is_new;
  entry *e = insert(m, MAP_content, key, &is_new);
  if (is_new) e->value = value;
  return is_new;
}

void *map_get_ptr(const map *m, const void *key) {
  const entry *e = find(m, MAP_pointer, (str){key, 0});
  return e ? e->value : NULL;
}

void map_put_ptr(map *m, const void *key, void *value) {
  bool is_new;
  insert(m, MAP_pointer, (str){key, 0}, &is_new)->value = value;
}

size_t map_count(const map *m) { return m->entries.n; }

str map_key(const map *m, size_t i) {
  assert(i < m->entries.n && m->kind == MAP_content);
  return m->entries.at[i].key;
}

const void *map_key_ptr(const map *m, size_t i) {
  assert(i < m->entries.n && m->kind == MAP_pointer);
  return m->entries.at[i].key.p;
}

void *map_value(const map *m, size_t i) {
  assert(i < m->entries.n);
  return m->entries.at[i].value;
}

// The interner is a content map whose keys are the answer.
struct interner {
  map *names;
};

interner *interner_new(arena *a) {
  interner *t = ARENA_NEW(a, interner);
  t->names = map_new(a);
  return t;
}

const char *intern(interner *t, str s) {
  bool is_new;
  return insert(t->names, MAP_content, s, &is_new)->key.p;
}

const char *intern_z(interner *t, const char *z) { return intern(t, str_of(z)); }
