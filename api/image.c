// Compiled models as bytes: see image.h.
#include "api/image.h"
#include "base/sha256.h"
#include "codegen/aot/aot.h"
#include "runtime/rt.h"
#include <string.h>

const rt_plan *image_plan(const image *m) { return (const rt_plan *)(const void *)m->plan.p; }

static void hash_layout(image *m) {
  sha256 h;
  sha256_init(&h);
  sha256_add_str(&h, m->plan);
  sha256_add_str(&h, m->object);
  sha256_digest d = sha256_end(&h);
  memcpy(m->layout, d.at, sizeof m->layout);
}

static image_constant constant_of(const program_set *set, const plan_image *plan, size_t i) {
  const prog_constant *k = &set->constants.at[i];
  int64_t count = 0;
  idx_is_const(k->count, &count);
  image_constant c = {.name = k->name,
                      .source = k->computed ? IMAGE_computed
                                : k->weight ? IMAGE_weight
                                            : IMAGE_data,
                      .used = plan->constant_used[i],
                      .dt = k->dt,
                      .count = (uint64_t)count,
                      .offset = plan->constant_offset[i],
                      .bytes = plan->constant_bytes[i]};
  if (c.source == IMAGE_data) c.data = (str){ir_const_elems(set->m, k->data), (size_t)c.bytes};
  return c;
}

void image_make(arena *a, image *out, const program_set *set, const plan_image *plan, str object, uint64_t parameters) {
  strbuf entries;
  sb_init(&entries, a);
  *out = (image){.name = set->m->name ? set->m->name : "",
                 .prefix = aot_prefix(a, set->m->name),
                 .plan = plan->blob,
                 .object = object,
                 .n_constants = set->constants.n,
                 .n_sources = set->sources.n,
                 .sources = set->sources.at,
                 .prepare_bytes = plan->prepare_bytes,
                 .parameters = parameters};
  aot_header_entries(&entries, set->m, out->prefix);
  out->entries = sb_str(&entries);
  image_constant *c = ARENA_ARRAY(a, image_constant, out->n_constants + 1);
  for (size_t i = 0; i < out->n_constants; i++) c[i] = constant_of(set, plan, i);
  out->constants = c;
  hash_layout(out);
}

// The layout is made of what it is the hash of, so it is not kept.
void image_pack(strbuf *b, const image *m) {
  pack_str(b, str_of(m->name));
  pack_str(b, str_of(m->prefix));
  pack_str(b, m->entries);
  pack_str(b, m->plan);
  pack_str(b, m->object);
  pack_u64(b, m->prepare_bytes);
  pack_u64(b, m->parameters);
  pack_u64(b, m->n_constants);
  for (size_t i = 0; i < m->n_constants; i++) {
    const image_constant *c = &m->constants[i];
    pack_str(b, str_of(c->name));
    pack_u64(b, (uint64_t)c->source | (uint64_t)c->used << 8 | (uint64_t)c->dt << 16);
    pack_u64(b, c->count);
    pack_u64(b, c->offset);
    pack_u64(b, c->bytes);
    pack_str(b, c->data);
  }
  pack_u64(b, m->n_sources);
  for (size_t i = 0; i < m->n_sources; i++) pack_u64(b, m->sources[i]);
}

static bool constant_fits(const image *m, const image_constant *c) {
  if (c->source >= IMAGE_SOURCES || (unsigned)c->dt >= DT_COUNT) return false;
  uint64_t end, room = c->used ? image_plan(m)->constants_bytes : m->prepare_bytes;
  bool placed = c->used || c->source == IMAGE_computed;
  return !__builtin_add_overflow(c->offset, c->bytes, &end) && (!placed || end <= room) && c->offset % 64 == 0 &&
         c->bytes / dtype_size(c->dt) == c->count && (c->source != IMAGE_data || c->data.n == c->bytes);
}

bool image_unpack(arena *a, unpacker *u, image *out) {
  *out = (image){.name = unpack_z(u)}; // one by one: the order counts
  out->prefix = unpack_z(u);
  out->entries = unpack_str(u);
  out->plan = unpack_str(u);
  out->object = unpack_str(u);
  out->prepare_bytes = unpack_u64(u);
  out->parameters = unpack_u64(u);
  if (out->plan.n < sizeof(rt_plan) || out->prepare_bytes < image_plan(out)->constants_bytes) return false;
  out->n_constants = (size_t)unpack_count(u, 56);
  image_constant *c = ARENA_ARRAY(a, image_constant, out->n_constants + 1);
  for (size_t i = 0; i < out->n_constants; i++) {
    c[i].name = unpack_z(u);
    uint64_t kinds = unpack_u64(u);
    c[i].source = (image_source)(kinds & 255), c[i].used = (kinds >> 8 & 255) != 0,
    c[i].dt = (dtype)(kinds >> 16 & 255);
    c[i].count = unpack_u64(u);
    c[i].offset = unpack_u64(u);
    c[i].bytes = unpack_u64(u);
    c[i].data = unpack_str(u);
    if (u->broken || !constant_fits(out, &c[i])) return false;
  }
  out->constants = c;
  out->n_sources = (size_t)unpack_count(u, 8);
  uint32_t *sources = ARENA_ARRAY(a, uint32_t, out->n_sources + 1);
  for (size_t i = 0; i < out->n_sources; i++) {
    uint64_t s = unpack_u64(u);
    if (s >= out->n_constants) return false;
    sources[i] = (uint32_t)s;
  }
  out->sources = sources;
  hash_layout(out);
  return !u->broken;
}
