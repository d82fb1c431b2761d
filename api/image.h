// A compiled model as bytes: what loading, preparing and linking need, and nothing of the compiler. It comes from the
// compile driver or from the cache, and nobody after that asks which.
#ifndef NNC_API_IMAGE_H
#define NNC_API_IMAGE_H

#include "base/pack.h"
#include "codegen/plan/plan_write.h"
#include "runtime/plan.h"

typedef enum image_source {
  IMAGE_weight,   // a weight of the model, by name
  IMAGE_data,     // in the image
  IMAGE_computed, // an output of `prepare`
  IMAGE_SOURCES
} image_source;

// A constant: output i of the plan's program 0.
typedef struct image_constant {
  const char *name;
  image_source source;
  bool used; // by an entry: it belongs to the block of constants
  dtype dt;
  uint64_t count, offset, bytes; // elements; place in the block, or behind it what only `prepare` needs; bytes
  str data;                      // IMAGE_data
} image_constant;

typedef struct image {
  const char *name, *prefix; // of the model; of its C functions
  str entries;               // what its C header says of them
  str plan, object;          // 8-byte aligned
  size_t n_constants, n_sources;
  const image_constant *constants;
  const uint32_t *sources; // [inputs of program 0]: constants
  uint64_t prepare_bytes;  // of the block while `prepare` runs
  uint64_t parameters;
  uint64_t layout[2]; // a hash of plan and object: files of weights fit when they have the same
} image;

void image_make(arena *a, image *out, const program_set *set, const plan_image *plan, str object, uint64_t parameters);

void image_pack(strbuf *b, const image *m);
// Into the unpacker's bytes, which must live as long. false: no image, or one whose parts do not fit each other; its
// plan is still to be checked.
bool image_unpack(arena *a, unpacker *u, image *out);

const rt_plan *image_plan(const image *m);

#endif
