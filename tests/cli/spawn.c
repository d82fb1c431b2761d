#include "spawn.h"
#include "base/file.h"
#include "frontend/tensorfile.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int workplace_open(void **state) {
  workplace *w = calloc(1, sizeof *w);
  if (!w) return -1;
  snprintf(w->folder, sizeof w->folder, "%s/cli-XXXXXX", NNC_BINARY_DIR);
  if (!mkdtemp(w->folder)) return -1;
  w->program = NNC_BINARY;
  w->a = arena_new(NULL);
  diag_init(&w->l, w->a);
  *state = w;
  return 0;
}

int workplace_close(void **state) {
  workplace *w = *state;
  char command[600];
  snprintf(command, sizeof command, "rm -rf '%s'", w->folder);
  int rc = system(command);
  arena_free(w->a);
  free(w);
  return rc;
}

const char *in_folder(workplace *w, const char *name) { return str_fmt(w->a, "%s/%s", w->folder, name); }

void write_text(workplace *w, const char *name, const char *text) {
  assert_true(file_write(w->a, &w->l, in_folder(w, name), str_of(text), 0644));
}

static char *read_text(workplace *w, const char *name) {
  str s;
  assert_true(file_read(w->a, &w->l, in_folder(w, name), 1 << 26, &s));
  return str_dup(w->a, s);
}

ir_tensor *read_tensor(workplace *w, const char *name, const char *key) {
  ir_tensor *t = tensor_file_read(w->a, &w->l, in_folder(w, name), key);
  if (!t) fail_msg("%s: %s", name, w->l.items.n ? w->l.items.at[w->l.items.n - 1]->text : "no tensor");
  return t;
}

static void to_file(const char *path, int fd) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, fd) < 0) _exit(126);
}

static nnc_run_result run(workplace *w, char *line) {
  char *argv[64] = {NULL};
  size_t n = 0;
  argv[n++] = str_dup(w->a, str_of(w->program));
  for (char *word = strtok(line, " "); word && n < 63; word = strtok(NULL, " ")) argv[n++] = word;
  const char *out = in_folder(w, ".out"), *err = in_folder(w, ".err");
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    to_file(out, 1);
    to_file(err, 2);
    unsetenv("LD_LIBRARY_PATH"); // nnc finds what lies beside it by itself
    if (w->libraries && setenv("LD_LIBRARY_PATH", w->libraries, 1)) _exit(126);
    if (chdir(w->folder) || (w->path && setenv("PATH", w->path, 1))) _exit(126);
    execv(argv[0], argv);
    _exit(127);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  return (nnc_run_result){read_text(w, ".out"), read_text(w, ".err"), WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

__attribute__((format(printf, 2, 0))) static char *fill(workplace *w, const char *line, va_list ap) {
  strbuf b;
  sb_init(&b, w->a);
  sb_vfmt(&b, line, ap);
  return str_dup(w->a, sb_str(&b));
}

nnc_run_result nnc_command(workplace *w, const char *line, ...) {
  va_list ap;
  va_start(ap, line);
  char *words = fill(w, line, ap);
  va_end(ap);
  return run(w, words);
}

static nnc_run_result run_to_status(workplace *w, int status, char *words) {
  const char *shown = str_dup(w->a, str_of(words));
  nnc_run_result r = run(w, words);
  if (r.status != status) fail_msg("nnc %s\nexit status %d instead of %d\n%s%s", shown, r.status, status, r.err, r.out);
  return r;
}

nnc_run_result expect_status(workplace *w, int status, const char *line, ...) {
  va_list ap;
  va_start(ap, line);
  char *words = fill(w, line, ap);
  va_end(ap);
  return run_to_status(w, status, words);
}

void expect_error(workplace *w, int status, const char *message, const char *line, ...) {
  va_list ap;
  va_start(ap, line);
  char *words = fill(w, line, ap);
  va_end(ap);
  nnc_run_result r = run_to_status(w, status, words);
  assert_has(r.err, message);
  assert_string_equal(r.out, "");
}

static void release(void *json) { json_decref(json); }

json_t *parse_json(workplace *w, const char *text) {
  json_error_t error;
  json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, &error);
  if (!j) fail_msg("not JSON (%s, line %d): %s", error.text, error.line, text);
  arena_defer(w->a, release, j);
  return j;
}

void assert_has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("no `%s` in:\n%s", part, text);
}

void assert_not(const char *text, const char *part) {
  if (strstr(text, part)) fail_msg("`%s` in:\n%s", part, text);
}
