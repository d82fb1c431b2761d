// Barriers: where the workers of a group must wait for each other, so that what one writes another may read.
//
// In: a kernel whose statements are understood as finished by all workers before the next begins. Out: the same with
// `barrier` statements, as few as the method sees. Since the last barrier, some buffers have been read and some
// written; a statement that writes one of either, or reads one of the latter, must wait. A loop or branch is first
// taken as one statement: where it clashes with what came before, the barrier goes before it, never to the access
// inside, which would run it at every turn. Then its body is walked, a loop's twice, since what ends one turn comes
// before the next. Control flow is uniform over a group (ir/kir_verify.c), so a barrier may stand anywhere.
//
// Only scratch, and parameters that a kernel both reads and writes, can clash: an element of `out` belongs to one grid
// point, and workers write their own. Buffers beyond the 32nd share a mark, which costs barriers, never one too few.
// Linear in the statements, times two for each loop around them.
#include "ir/kir_priv.h"

typedef struct marks { // a bit a buffer
  uint64_t read, written;
} marks;

typedef struct placing {
  kir_kernel *k;
  uint64_t shared; // buffers that can clash
} placing;

static uint64_t mark_of(const kir_buffer *b) {
  if (b == NULL) return 0;
  return UINT64_C(1) << (b->index % 32 + (b->space == KIR_group ? 0 : 32));
}

static marks joined(marks a, marks b) { return (marks){a.read | b.read, a.written | b.written}; }

static marks effects_of_block(const kir_block *b);

static marks effects(const kir_stmt *s) {
  marks m = joined(effects_of_block(&s->body), effects_of_block(&s->other));
  if (s->kind == KIR_load || s->kind == KIR_mma) m.read |= mark_of(s->acc.buf);
  if (s->kind == KIR_store || s->kind == KIR_copy) m.written |= mark_of(s->acc.buf);
  if (s->kind == KIR_copy || s->kind == KIR_mma) m.read |= mark_of(s->from.buf);
  return m;
}

static marks effects_of_block(const kir_block *b) {
  marks m = {0, 0};
  for (const kir_stmt *s = b->first; s != NULL; s = s->next) m = joined(m, effects(s));
  return m;
}

static bool clash(const placing *p, marks before, marks now) {
  return ((now.written & (before.read | before.written)) | (now.read & before.written)) & p->shared;
}

// Before `s`, which follows `previous` (NULL: it is the first).
static void insert(placing *p, kir_block *b, kir_stmt *previous, kir_stmt *s) {
  kir_block alone = {NULL, NULL};
  kir_stmt *barrier = kir_append(p->k, &alone, KIR_barrier);
  barrier->next = s;
  if (previous == NULL) b->first = barrier;
  else previous->next = barrier;
}

static marks walk(placing *p, kir_block *b, marks before);

static marks walk_inside(placing *p, kir_stmt *s, marks before) {
  if (s->kind == KIR_for) {
    marks turn = walk(p, &s->body, before);
    return joined(before, walk(p, &s->body, turn)); // no turn at all, or some
  }
  if (s->kind == KIR_if) return joined(walk(p, &s->body, before), walk(p, &s->other, before));
  return joined(before, effects(s));
}

// What has been read and written since the last barrier, before the block and behind it.
static marks walk(placing *p, kir_block *b, marks before) {
  kir_stmt *previous = NULL;
  for (kir_stmt *s = b->first; s != NULL; previous = s, s = s->next) {
    if (s->kind == KIR_barrier) before = (marks){0, 0};
    if (clash(p, before, effects(s))) {
      insert(p, b, previous, s);
      before = (marks){0, 0};
    }
    before = walk_inside(p, s, before);
  }
  return before;
}

void kir_place_barriers(kir_kernel *k) {
  int64_t workers = 1;
  for (uint32_t i = 0; i < k->n_workers; i++) workers *= k->worker_extent[i];
  if (workers == 1) return;
  marks all = effects_of_block(&k->body);
  uint64_t scratch = (UINT64_C(1) << 32) - 1;
  placing p = {k, scratch | (all.read & all.written)};
  (void)walk(&p, &k->body, (marks){0, 0});
}
