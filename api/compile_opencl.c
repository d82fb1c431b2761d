// The OpenCL program of a lowered module: the printer's text, each kernel with what it computes and the line of the
// model that asked for it.
#include "api/compile.h"

#include <string.h>

static const prog_step *find_step(const program *p, uint32_t kernel) {
  for (size_t i = 0; i < p->steps.n; i++) {
    const prog_step *s = &p->steps.at[i];
    if (s->kind == PROG_STEP_kernel && s->what == kernel) return s;
  }
  return NULL;
}

// The first step that runs a kernel; NULL: only undo and commit do.
static const prog_step *first_step(const program_set *set, uint32_t kernel) {
  const prog_step *s = find_step(&set->prepare, kernel);
  for (size_t i = 0; s == NULL && i < set->entries.n; i++) s = find_step(set->entries.at[i], kernel);
  return s;
}

static const char *comment_of(compile_job *j, uint32_t kernel) {
  const prog_step *s = first_step(j->set, kernel);
  if (s == NULL) return NULL;
  strbuf b;
  sb_init(&b, j->a);
  sb_z(&b, s->label);
  const char *file;
  uint32_t line, column;
  diag_position(&j->diags, s->span, &file, &line, &column);
  if (file == NULL) return sb_cstr(&b);
  str text = j->diags.files.at[s->span.file - 1].text;
  const char *p = text.p, *end = text.p + text.n;
  for (uint32_t i = 1; i < line; i++) p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
  while (p < end && *p == ' ') p++;
  const char *stop = memchr(p, '\n', (size_t)(end - p));
  sb_fmt(&b, "\n%s:%u: " STR_FMT, file, line, (int)((stop != NULL ? stop : end) - p), p);
  return sb_cstr(&b);
}

bool compile_opencl(compile_job *j, const bool *left_out, opencl_kernel **out, strbuf *source) {
  size_t n = j->set->kernels.n, kept = 0;
  kir_kernel **kernels = ARENA_ARRAY(j->a, kir_kernel *, n + 1);
  const char **comments = ARENA_ARRAY(j->a, const char *, n + 1);
  opencl_kernel *info = ARENA_ARRAY(j->a, opencl_kernel, n + 1), *all = ARENA_ARRAY(j->a, opencl_kernel, n + 1);
  for (uint32_t i = 0; i < n; i++)
    if (!left_out || !left_out[i]) kernels[kept] = j->set->kernels.at[i], comments[kept++] = comment_of(j, i);
  if (!opencl_print(j->a, &j->diags, j->target, kept, kernels, comments, info, source)) return false;
  for (size_t i = 0; i < n; i++)
    if (!left_out || !left_out[i]) all[i] = *info++;
  if (out != NULL) *out = all;
  return true;
}
