// nnc cache: what the cache holds, and looking after it.
#include "api/cache.h"
#include "api/compile_cache.h"
#include "api/opencl.h"
#include "api/prepare.h"
#include "tools/nnc/cli.h"

#include <unistd.h>

typedef struct tally {
  size_t files[CACHE_KINDS + 1]; // the last: temporary ones
  uint64_t bytes[CACHE_KINDS + 1];
  size_t removed;
  uint64_t removed_bytes;
} tally;

static bool is_whole(const cache *k, const cache_file *f) {
  int fd = cache_open_file(k, f->name);
  if (fd < 0) return false;
  bool whole = f->kind == CACHE_weights   ? prepared_file_is_whole(fd)
               : f->kind == CACHE_program ? opencl_program_file_is_whole(k->a, fd)
                                          : compile_cache_file_is_whole(k->a, fd);
  close(fd);
  return whole;
}

static tally take_stock(const cli *c, const cache *k) {
  tally t = {0};
  cache_files files = cache_list(k);
  for (size_t i = 0; i < files.n; i++) {
    const cache_file *f = &files.at[i];
    bool remove = c->opt.clear || (c->opt.verify && f->kind != CACHE_KINDS && !is_whole(k, f));
    if (remove && cache_remove(k, f->name)) {
      t.removed++;
      t.removed_bytes += f->size_bytes;
    } else {
      t.files[f->kind]++;
      t.bytes[f->kind] += f->size_bytes;
    }
  }
  return t;
}

static exit_status print_as_json(cli *c, const cache *k, const tally *t) {
  static const char *const names[] = {"code", "weights", "programs"};
  json_t *out = json_new(c);
  json_object_set_new(out, "path", k->path ? json_string(k->path) : json_null());
  json_object_set_new(out, "off", k->off ? json_string(k->off) : json_null());
  for (int i = 0; i < CACHE_KINDS; i++)
    json_object_set_new(out, names[i],
                        json_pack("{s:I, s:I, s:I}", "files", (json_int_t)t->files[i], "bytes", (json_int_t)t->bytes[i],
                                  "cap_bytes", (json_int_t)k->cap_bytes[i]));
  json_object_set_new(out, "removed", json_integer((json_int_t)t->removed));
  return print_json(c, out);
}

static void print_kind(cli *c, const cache *k, const tally *t, cache_kind kind, const char *what) {
  printf("%-18s%6zu files%14s of at most %s\n", what, t->files[kind], bytes_text(c->a, t->bytes[kind]),
         bytes_text(c->a, k->cap_bytes[kind]));
}

exit_status cmd_cache(cli *c) {
  const cache *k = cache_open(c->a, &c->diags, false);
  tally t = take_stock(c, k);
  report_diagnostics(&c->diags);
  if (c->opt.json) return print_as_json(c, k, &t);
  printf("%s%s%s\n", k->path ? k->path : "no cache", k->off ? ": " : "", k->off ? k->off : "");
  if (k->off) return EXIT_done;
  print_kind(c, k, &t, CACHE_code, "compiled models");
  print_kind(c, k, &t, CACHE_weights, "prepared weights");
  print_kind(c, k, &t, CACHE_program, "OpenCL programs");
  if (t.files[CACHE_KINDS]) printf("%zu temporary files, removed when an hour old\n", t.files[CACHE_KINDS]);
  if (c->opt.clear || c->opt.verify) printf("removed %zu files, %s\n", t.removed, bytes_text(c->a, t.removed_bytes));
  return EXIT_done;
}
