#define _GNU_SOURCE // memfd_create
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

_Noreturn void fuzz_broken(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
  abort();
}

typedef struct budget {
  size_t left;
} budget;

static void *budget_alloc(void *user, size_t size_bytes) {
  budget *b = user;
  if (size_bytes > b->left) return NULL;
  b->left -= size_bytes;
  return malloc(size_bytes);
}

static void budget_release(void *user, void *block) {
  (void)user;
  free(block);
}

void fuzz_guarded(void (*body)(arena *a, diag_list *l, void *user), void *user) {
  budget b = {(size_t)400 << 20};
  mem_source source = {.alloc = budget_alloc, .release = budget_release, .user = &b};
  arena *a = arena_new(&source);
  FUZZ_CHECK(a != NULL);
  int unwound = setjmp(*arena_guard(a));
  if (!unwound) {
    diag_list *l = ARENA_NEW(a, diag_list);
    diag_init(l, a);
    body(a, l, user);
    FUZZ_CHECK(!fuzz_reported(l, DIAG_ID_internal));
    fuzz_render(l);
  }
  FUZZ_CHECK(unwound != 2); // an internal error; where NDEBUG is not defined it has aborted already
  arena_free(a);
}

const char *fuzz_file(str bytes) {
  static int fd = -1;
  static char path[64];
  if (fd < 0) {
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0);
  FUZZ_CHECK(pwrite(fd, bytes.p, bytes.n, 0) == (ssize_t)bytes.n);
  return path;
}

bool fuzz_reported(const diag_list *l, diag_id id) {
  for (size_t i = 0; i < l->items.n; i++)
    if (l->items.at[i]->id == id) return true;
  return false;
}

void fuzz_render(const diag_list *l) {
  for (size_t i = 0; i < l->items.n; i++) {
    diag_span s = l->items.at[i]->span;
    FUZZ_CHECK(s.file <= l->files.n && s.begin <= s.end);
    if (s.file) FUZZ_CHECK(s.end <= l->files.at[s.file - 1].text.n + 1);
  }
  strbuf out;
  sb_init(&out, l->a);
  diag_render_all(l, false, &out);
}
