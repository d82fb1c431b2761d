// How the command line speaks: diagnostics on standard error, JSON on standard output, exit statuses, and a few number
// texts.
#include "tools/nnc/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colour_on(FILE *to) {
  const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");
  return isatty(fileno(to)) && terminal && strcmp(terminal, "dumb") != 0 && (!no_colour || !*no_colour);
}

void report_diagnostics(const diag_list *l) {
  strbuf text;
  sb_init(&text, l->a);
  diag_render_all(l, colour_on(stderr), &text);
  fputs(sb_cstr(&text), stderr);
}

static exit_status status_of(diag_id id) {
  switch ((int)id) {
  case DIAG_ID_file_open:
  case DIAG_ID_file_read:
  case DIAG_ID_file_write:
  case DIAG_ID_file_too_large:
  case DIAG_ID_out_of_memory:
  case DIAG_ID_internal:
  case DIAG_ID_llvm_not_found:
  case DIAG_ID_linker_failed:
  case DIAG_ID_library_open:
  case DIAG_ID_library_weights:
  case DIAG_ID_weights_too_large:
  case DIAG_ID_device_failed:
  case DIAG_ID_cpu_too_old: return EXIT_environment;
  case DIAG_ID_device_unknown:
  case DIAG_ID_device_with_cpu:
  case DIAG_ID_device_library:
  case DIAG_ID_library_needs_device:
  case DIAG_ID_library_device_weights:
  case DIAG_ID_cpu_unknown:
  case DIAG_ID_pass_unknown:
  case DIAG_ID_cli_command_unknown:
  case DIAG_ID_cli_command_missing:
  case DIAG_ID_cli_option_unknown:
  case DIAG_ID_cli_option_value:
  case DIAG_ID_cli_option_missing:
  case DIAG_ID_cli_option_extra:
  case DIAG_ID_cli_argument_missing:
  case DIAG_ID_cli_argument_extra:
  case DIAG_ID_cli_combination:
  case DIAG_ID_cli_source:
  case DIAG_ID_cli_destination: return EXIT_usage;
  default: return EXIT_model;
  }
}

exit_status failure_status(const diag_list *l) {
  for (size_t i = 0; i < l->items.n; i++)
    if (l->items.at[i]->severity == DIAG_error) return status_of(l->items.at[i]->id);
  return EXIT_environment; // a failure without a message: a bug of ours, never the user's model
}

exit_status fail(cli *c) {
  report_diagnostics(&c->diags);
  return failure_status(&c->diags);
}

static void release_json(void *object) { json_decref(object); }

json_t *json_new(cli *c) {
  json_t *object = json_object();
  if (!object) arena_unwind(c->a, 1);
  arena_defer(c->a, release_json, object);
  return object;
}

exit_status print_json(cli *c, const json_t *object) {
  if (json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) < 0) {
    diag_at(&c->diags, NO_SPAN, file_write, "standard output", "the JSON text could not be made");
    return fail(c);
  }
  putchar('\n');
  return EXIT_done;
}

const char *with_separators(arena *a, uint64_t v) {
  const char *digits = str_fmt(a, "%llu", (unsigned long long)v);
  size_t n = strlen(digits);
  strbuf out;
  sb_init(&out, a);
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0) sb_char(&out, ',');
    sb_char(&out, digits[i]);
  }
  return sb_cstr(&out);
}

const char *bytes_text(arena *a, uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double v = (double)bytes;
  size_t u = 0;
  for (; v >= 1024 && u < 4; u++) v /= 1024;
  return u == 0 ? str_fmt(a, "%llu B", (unsigned long long)bytes) : str_fmt(a, "%.1f %s", v, units[u]);
}

const char *file_stem(arena *a, const char *file, const char *extension) {
  const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file, *dot = strrchr(base, '.');
  size_t n = dot && dot != base ? (size_t)(dot - base) : strlen(base);
  return str_fmt(a, "%.*s%s", (int)n, base, extension);
}

bool ends_with(const char *text, const char *tail) {
  size_t n = strlen(text), k = strlen(tail);
  return n >= k && strcmp(text + n - k, tail) == 0;
}
