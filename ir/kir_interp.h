// What ir/kir_interp.c (statements) and ir/kir_memory.c (buffers) share. Nobody else includes this.
#ifndef NNC_IR_KIR_INTERP_H
#define NNC_IR_KIR_INTERP_H

#include "ir/kir_priv.h"

// Who touched an element of out, inout or group memory. Grid points count from 1; 0: nobody.
typedef struct kir_cell {
  uint64_t writer, reader; // the last point that wrote; the one that read (inout only), or SEVERAL
  uint64_t stamp;          // the execution of a statement that wrote it
} kir_cell;

#define SEVERAL UINT64_MAX

typedef struct kir_memory {
  const kir_buffer *buf;
  char *data;
  int64_t extent[KIR_MAX_RANK], n_elems;
  kir_cell *cells; // [n_elems]; NULL for an `in` parameter
} kir_memory;

typedef struct kir_interp {
  arena *a;
  const kir_kernel *k;
  diag_list *l;
  const uint32_t *numbers; // of tiles, for messages
  kir_memory *params, *group;
  scalar **tiles;  // by tile id: [n_workers][rows][cols]
  int64_t *values; // [n_workers][n_symbols], by symbol id
  uint32_t n_symbols, n_workers;
  uint32_t active; // workers that execute: all of them, or 1 in the body of a copy
  uint32_t worker; // the one whose values index expressions see
  uint64_t point, stamp;
  const kir_stmt *s;
  VEC(scalar) copied; // the elements of a copy without a body
  int64_t fault;
  bool failed;
} kir_interp;

// Each returns false after a diagnostic.
bool kir_interp_eval(kir_interp *in, const idx *e, int64_t *out);
bool kir_interp_holds(kir_interp *in, kir_where w, bool *out); // all conditions, at the current r and c

const char *kir_interp_point(kir_interp *in, uint64_t point); // "i=0, j=3"
const char *kir_interp_text(kir_interp *in);

// -- kir_memory.c --
bool kir_memory_init(kir_interp *in, kir_memory *m, const kir_buffer *b, void *data);
kir_memory *kir_memory_of(kir_interp *in, const kir_buffer *b);
bool kir_memory_read(kir_interp *in, kir_access acc, scalar *out); // at the current worker, r and c
bool kir_memory_write(kir_interp *in, kir_access acc, scalar value);
int64_t kir_memory_read_index(kir_interp *in, const char *buffer,
                              int64_t at); // for index expressions; 0 after a failure

#endif
