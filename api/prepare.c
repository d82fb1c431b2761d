// Constants, and the files of them in the cache.
//
// A file is one of runtime/weights.h, mapped read-only and shared by every process that runs the model. Its key: the
// image's layout (plan and code), the sources (rename rules are among them), the --weights options. Its header lists
// the weight files it was made from with their identity: device, inode, size, mtime and ctime, each to the nanosecond.
// It is used only while all of them are the same. Nothing that writes to a file leaves its ctime, and nobody can set it
// back (mtime can be: `cp -p`, `touch -d`), so a changed file is never mistaken for the old one; a copy of the same
// bytes is prepared again, which costs time and nothing else. A hash of the content would know the copy, but reads all
// of it at every start: 100 ms for a BERT-base in the page cache, minutes for a large model on a disk. Two cases are
// left out: a file that changed so shortly before that its next change could get the same time is not kept; and a file
// that another process holds mapped for writing may change unseen until the system writes it back.
//
// Memory while preparing: the block is anonymous memory; of the weight files' mappings, each step's pages are given
// back after the step. So weights are in memory once. The block is written to the file from there, and replaced by the
// file's mapping: writing into a mapping of the file would save the copy, but a full disk would then be a signal.
#define _DEFAULT_SOURCE // MAP_ANONYMOUS, madvise, pread
#include "api/prepare.h"
#include "api/compile_cache.h"
#include "base/clock.h"
#include "codegen/aot/aot.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// -- the file in the cache --

static sha256_digest key_of(const compile_job *j) {
  sha256 h;
  sha256_init(&h);
  sha256_add_str(&h, STR("nnc weights"));
  sha256_add(&h, j->image.layout, sizeof j->image.layout);
  sha256_add(&h, j->sources.at, sizeof j->sources.at);
  sha256_add_u64(&h, j->front.n_weights);
  for (size_t i = 0; i < j->front.n_weights; i++) sha256_add_str(&h, str_of(j->front.weights[i]));
  return sha256_end(&h);
}

static bool files_hold(unpacker *u) {
  for (uint64_t n = unpack_count(u, 56); n > 0; n--) {
    const char *path = unpack_z(u);
    file_identity then = unpack_identity(u), now;
    if (u->broken || !file_identify(path, &now) || !file_identity_eq(&then, &now)) return false;
  }
  return !u->broken;
}

// What the header of a checked file says besides: the key, the files, the warnings of then.
static bool header_holds(compile_job *j, const rt_weights *w, const sha256_digest *key) {
  const char *rest = (const char *)(w->head + 1);
  size_t n_items = j->diags.items.n, n_files = j->diags.files.n;
  str body = {rest + sizeof key->at, w->head->head_bytes - sizeof *w->head - sizeof key->at};
  if (memcmp(rest, key->at, sizeof key->at) != 0) return false;
  body.p = arena_copy(j->a, body.p, body.n); // messages live on
  unpacker u = unpack_begin(body);
  bool ok = files_hold(&u) && unpack_messages(&u, &j->diags);
  if (!ok || j->weights_bound) j->diags.items.n = n_items, j->diags.files.n = n_files; // binding has given them already
  return ok;
}

static void close_weights(void *handle) { rt_weights_close(handle); }

// `written`: by this process, just now.
static bool map_file(compile_job *j, rt_weights *w, const sha256_digest *key, bool written) {
  rt_error err;
  int fd = cache_find(j->cache, CACHE_weights, key);
  if (fd < 0) return false;
  rt_status s = rt_weights_map(w, fd, "cache", j->image.layout, image_plan(&j->image)->constants_bytes, &err);
  close(fd);
  if (!s && (written || rt_weights_are_sound(w))) return true;
  rt_weights_close(w);
  cache_drop(j->cache, CACHE_weights, key);
  return false;
}

bool prepared_file_is_whole(int fd) {
  rt_weights_head h;
  rt_weights w;
  rt_error err;
  if (pread(fd, &h, sizeof h, 0) != sizeof h || rt_weights_map(&w, fd, "cache", h.layout, h.bytes, &err)) return false;
  bool whole = h.content == rt_weights_content(0, w.block, h.bytes);
  rt_weights_close(&w);
  return whole;
}

static bool find_file(compile_job *j, rt_weights *w) {
  sha256_digest key = key_of(j);
  if (!map_file(j, w, &key, false)) return false;
  if (header_holds(j, w, &key)) return true;
  rt_weights_close(w);
  return false;
}

// Could a change of the file that comes next have the same time as the last one? Clocks of file systems tick some
// hundred times a second, or, when they know no fractions, every second or two.
static bool is_fresh(const file_identity *id) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  int64_t now_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
  int64_t margin_ns = id->ctime_ns % 1000000000 ? 50000000 : INT64_C(3000000000);
  return now_ns - id->ctime_ns < margin_ns;
}

static bool files_are_settled(const weight_files *files) {
  file_identity now;
  for (size_t i = 0; i < files->n; i++)
    if (!file_identify(files->at[i].path, &now) || !file_identity_eq(&files->at[i].id, &now) || is_fresh(&now))
      return false;
  return true;
}

// Puts the block into the cache and maps it from there.
static bool keep_file(compile_job *j, str block, rt_weights *w) {
  const weight_files *files = &j->weight_files;
  if (j->cache->off || !files_are_settled(files)) return false;
  strbuf head;
  sha256_digest key = key_of(j);
  sb_init(&head, j->a);
  sb_bytes(&head, key.at, sizeof key.at);
  pack_u64(&head, files->n);
  for (size_t i = 0; i < files->n; i++) {
    pack_str(&head, str_of(path_absolute(j->a, files->at[i].path)));
    pack_identity(&head, &files->at[i].id);
  }
  pack_messages(&head, &j->diags, j->n_source_messages, j->diags.items.n);
  str h = aot_weights_head(j->a, sb_str(&head), j->image.layout, block);
  return cache_put(j->cache, CACHE_weights, &key, 2, (const str[]){h, block}) && map_file(j, w, &key, true);
}

// -- preparing --

enum { PIECE_BYTES = 8 << 20 }; // copied at once

typedef struct memory {
  void *at;
  size_t bytes;
} memory;

static void release(void *handle) {
  memory *m = handle;
  if (m->bytes) munmap(m->at, m->bytes);
  m->bytes = 0;
}

typedef struct preparation {
  compile_job *j;
  memory *m;
  const ir_weight **weights; // [constants]: of IMAGE_weight
  const void **constants;
} preparation;

// Gives back the pages of a part of a weight that lies in a file: they come again when they are read.
static void drop_pages(const ir_weight *w, const void *part, uint64_t bytes) {
  const uintptr_t page = RT_WEIGHTS_PAGE;
  if (!w || !w->mapped) return;
  uintptr_t begin = ((uintptr_t)part + page - 1) / page * page, end = ((uintptr_t)part + bytes) / page * page;
  if (end > begin) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

static void after_step(void *user, const rt_trace_event *event) {
  if (event->kind != RT_TRACE_kernel) return;
  const preparation *p = user;
  const image *im = &p->j->image;
  const rt_plan *plan = image_plan(im);
  const rt_step *s = RT_ARRAY(plan, rt_step, steps) + RT_ARRAY(plan, rt_program, programs)->first_step + event->step;
  const uint32_t *buffers = RT_ARRAY(plan, uint32_t, words) + s->buffers;
  for (uint32_t i = 0; i < rt_step_buffers(plan, s); i++) {
    const rt_buffer *b = RT_ARRAY(plan, rt_buffer, buffers) + buffers[i];
    uint32_t c = b->cls == RT_BUF_input ? im->sources[b->index] : 0;
    if (b->cls == RT_BUF_input) drop_pages(p->weights[c], p->constants[c], im->constants[c].bytes);
  }
}

// Where each constant is before anything runs: computed ones in the block, weights and data where they lie.
static bool place_constants(preparation *p) {
  const image *im = &p->j->image;
  for (size_t i = 0; i < im->n_constants; i++) {
    const image_constant *c = &im->constants[i];
    if (c->source == IMAGE_weight) {
      const ir_weight *w = p->weights[i] = ir_weight_find(p->j->source, c->name);
      bool same = w && w->type.dt == c->dt && idx_equals_int(ir_type_count(p->j->source, w->type), (int64_t)c->count);
      p->constants[i] = same ? w->data : NULL;
    } else {
      p->constants[i] = c->source == IMAGE_data ? c->data.p : (char *)p->m->at + c->offset;
    }
    if (p->constants[i]) continue;
    diag_at(&p->j->diags, NO_SPAN, weight_without_data, c->name);
    return false;
  }
  return true;
}

static bool run_prepare(preparation *p, const rt_module *m) {
  compile_job *j = p->j;
  const image *im = &j->image;
  rt_tensor *in = ARENA_ARRAY(j->a, rt_tensor, im->n_sources + 1),
            *out = ARENA_ARRAY(j->a, rt_tensor, im->n_constants + 1);
  for (size_t i = 0; i < im->n_constants; i++) // plain ones are never written
    out[i] = (rt_tensor){.dtype = (rt_dtype)im->constants[i].dt,
                         .rank = 1,
                         .dim = {(int64_t)im->constants[i].count},
                         .data = (void *)(uintptr_t)p->constants[i]};
  for (size_t i = 0; i < im->n_sources; i++) in[i] = out[im->sources[i]];
  rt_session *s;
  rt_error err;
  rt_status status = rt_session_new(&s, m, NULL, 0, &err);
  if (!status) {
    rt_session_trace(s, after_step, p);
    status = rt_run(s, 0, in, out, &err);
    rt_session_free(s);
  }
  if (status) diag_at(&j->diags, NO_SPAN, prepare_failed, err.text);
  return status == RT_OK;
}

// Makes the block whole: weights and data that entries read as they are join the computed ones.
static void fill_block(preparation *p) {
  const image *im = &p->j->image;
  for (size_t i = 0; i < im->n_constants; i++) {
    const image_constant *c = &im->constants[i];
    if (!c->used || c->source == IMAGE_computed) continue;
    char *to = (char *)p->m->at + c->offset;
    for (uint64_t at = 0; at < c->bytes; at += PIECE_BYTES) {
      uint64_t n = c->bytes - at < PIECE_BYTES ? c->bytes - at : PIECE_BYTES;
      memcpy(to + at, (const char *)p->constants[i] + at, n);
      drop_pages(p->weights[i], (const char *)p->constants[i] + at, n);
    }
    p->constants[i] = to;
  }
}

static bool prepare_now(preparation *p, const rt_module *m) {
  compile_job *j = p->j;
  size_t bytes = (size_t)(j->image.prepare_bytes + RT_WEIGHTS_PAGE);
  p->weights = ARENA_ARRAY(j->a, const ir_weight *, j->image.n_constants + 1);
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    diag_at(&j->diags, NO_SPAN, out_of_memory);
    return false;
  }
  *p->m = (memory){at, bytes};
  return place_constants(p) && run_prepare(p, m);
}

static void point_into(const image *im, const char *block, const void **constants) {
  for (size_t i = 0; i < im->n_constants; i++)
    constants[i] = im->constants[i].used ? block + im->constants[i].offset : NULL;
}

bool prepare_constants(compile_job *j, const rt_module *m, const void *const **constants, const void **block) {
  int64_t start = clock_ns();
  rt_weights *w = ARENA_NEW(j->a, rt_weights);
  preparation p = {
      .j = j, .m = ARENA_NEW(j->a, memory), .constants = ARENA_ARRAY(j->a, const void *, j->image.n_constants + 1)};
  arena_defer(j->a, close_weights, w);
  arena_defer(j->a, release, p.m);
  size_t block_bytes = image_plan(&j->image)->constants_bytes;
  j->prepared_from_cache = find_file(j, w);
  if (!j->prepared_from_cache) {
    if (!compile_weights(j) || !prepare_now(&p, m)) return false;
    if (block || !j->cache->off) {
      fill_block(&p);
      j->block = p.m->at;
    }
    if (keep_file(j, (str){p.m->at, block_bytes}, w)) release(p.m);
  }
  if (w->head) {
    j->block = w->block;
    point_into(&j->image, w->block, p.constants);
  }
  *constants = p.constants;
  if (block) *block = j->block;
  j->prepare_ms += (double)(clock_ns() - start) * 1e-6;
  return true;
}
