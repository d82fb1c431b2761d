// See pages.h. Just enough of Markdown: fences begin and end with three backquotes at the beginning of a line, code
// spans are between single backquotes on one line.
#include "tests/docs/pages.h"
#include "base/file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

bool next_line(str *rest, str *line) {
  if (!rest->n) return false;
  size_t n = 0;
  while (n < rest->n && rest->p[n] != '\n') n++;
  *line = (str){rest->p, n};
  n += n < rest->n;
  *rest = (str){rest->p + n, rest->n - n};
  return true;
}

void find_spans(str line, void (*f)(void *user, str text, str after), void *user) {
  for (size_t i = 0; i < line.n; i++) {
    if (line.p[i] != '`') continue;
    size_t end = i + 1;
    while (end < line.n && line.p[end] != '`') end++;
    if (end == line.n) return;
    f(user, (str){line.p + i + 1, end - i - 1}, (str){line.p + end + 1, line.n - end - 1});
    i = end;
  }
}

typedef struct collector {
  arena *a;
  pages *p;
  const char *page;
  unsigned line;
} collector;

static void add_span(void *user, str text, str after) {
  collector *c = user;
  vec_push(c->a, &c->p->spans, ((code_span){c->page, c->line, text, after}));
}

static void read_page(collector *c, str text) {
  str rest = text, line;
  const char *open = NULL;
  fence f = {.page = c->page};
  for (c->line = 1; next_line(&rest, &line); c->line++) {
    bool mark = str_starts(line, STR("```"));
    if (!mark && !open) find_spans(line, add_span, c);
    if (!mark) continue;
    if (!open) {
      f.info = (str){line.p + 3, line.n - 3};
      f.line = c->line;
      open = rest.p;
    } else {
      f.text = (str){open, (size_t)(line.p - open)};
      vec_push(c->a, &c->p->fences, f);
      open = NULL;
    }
  }
  if (open) fail_msg("%s:%u: this fence is not closed", f.page, f.line);
}

static void add_page(arena *a, pages *p, const char *name) {
  diag_list l;
  diag_init(&l, a);
  str text;
  if (!file_read(a, &l, str_fmt(a, "%s/%s", NNC_SOURCE_DIR, name), 1 << 20, &text)) fail_msg("cannot read %s", name);
  vec_push(a, &p->pages, ((page){name, text}));
  collector c = {a, p, name, 0};
  read_page(&c, text);
}

static int by_name(const void *x, const void *y) { return strcmp(*(char *const *)x, *(char *const *)y); }

const pages *pages_read(arena *a) {
  pages *p = ARENA_NEW(a, pages);
  VEC(char *) names = {0};
  DIR *folder = opendir(NNC_SOURCE_DIR "/docs");
  assert_non_null(folder);
  for (struct dirent *f; (f = readdir(folder));) {
    size_t n = strlen(f->d_name);
    if (n > 3 && !strcmp(f->d_name + n - 3, ".md")) vec_push(a, &names, str_fmt(a, "docs/%s", f->d_name));
  }
  closedir(folder);
  if (access(NNC_SOURCE_DIR "/README.md", R_OK) == 0) vec_push(a, &names, str_fmt(a, "README.md"));
  qsort(names.at, names.n, sizeof *names.at, by_name);
  for (size_t i = 0; i < names.n; i++) add_page(a, p, names.at[i]);
  return p;
}

const page *pages_find(const pages *p, const char *name) {
  for (size_t i = 0; i < p->pages.n; i++)
    if (!strcmp(p->pages.at[i].name, name)) return &p->pages.at[i];
  fail_msg("there is no %s", name);
  return NULL;
}

static size_t heading_level(str line) {
  size_t n = 0;
  while (n < line.n && line.p[n] == '#') n++;
  return n < line.n && line.p[n] == ' ' ? n : 0;
}

str page_section(const page *p, const char *heading) {
  str rest = p->text, line;
  while (next_line(&rest, &line)) {
    if (!str_is(line, heading)) continue;
    str section = {rest.p, 0};
    size_t level = heading_level(line);
    for (str before = rest; next_line(&rest, &line); before = rest) {
      size_t here = heading_level(line);
      section.n = (size_t)(before.p - section.p);
      if (here && here <= level) return section;
    }
    section.n = (size_t)(p->text.p + p->text.n - section.p);
    return section;
  }
  fail_msg("%s has no section `%s`", p->name, heading);
  return (str){NULL, 0};
}

const fence *pages_fence(const pages *p, const char *name, const char *info, size_t n) {
  for (size_t i = 0; i < p->fences.n; i++) {
    const fence *f = &p->fences.at[i];
    if (!strcmp(f->page, name) && str_is(f->info, info) && n-- == 0) return f;
  }
  fail_msg("%s has too few blocks `%s`", name, info);
  return NULL;
}
