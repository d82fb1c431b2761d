// All inputs of one entry, from --in, --dim and the entry's signature.
//
// Files are read first: their shapes bind dims. Then --dim, then the low end of each range. What takes its shape from
// the input is made last. Everything that does not fit is one error, which ends with a list of what the entry expects.
#include "tools/nnc/source.h"

#include <string.h>

typedef struct gathering {
  cli *c;
  signature *s;
  source *sources;         // [inputs]
  bool *given;             // [inputs]
  VEC(const char *) wrong; // what does not fit
} gathering;

#define WRONG(g, ...) vec_push((g)->c->a, &(g)->wrong, str_fmt((g)->c->a, __VA_ARGS__))

static const char *shape_text(arena *a, const ir_tensor *t) {
  strbuf b;
  sb_init(&b, a);
  sb_z(&b, dtype_name(t->dt));
  for (uint32_t i = 0; i < t->rank; i++) sb_fmt(&b, "%s%lld", i ? ", " : "[", (long long)t->dim[i]);
  if (t->rank) sb_char(&b, ']');
  return sb_cstr(&b);
}

static size_t find_input(const signature *s, const char *name) {
  size_t i = 0;
  while (i < s->inputs.n && strcmp(s->inputs.at[i].name, name) != 0) i++;
  return i;
}

static void unknown_input(gathering *g, const char *name) {
  const char **names = ARENA_ARRAY(g->c->a, const char *, g->s->inputs.n + 1);
  for (size_t i = 0; i < g->s->inputs.n; i++) names[i] = g->s->inputs.at[i].name;
  const char *near = str_suggest(str_of(name), names, g->s->inputs.n);
  if (near) WRONG(g, "`%s` is no input; did you mean `%s`?", name, near);
  else WRONG(g, "`%s` is no input", name);
}

// Reads every --in; false after a diagnostic of a source itself.
static bool read_sources(gathering *g) {
  for (size_t k = 0; k < g->c->opt.in.n; k++) {
    frontend_pair p = g->c->opt.in.at[k];
    size_t i = find_input(g->s, p.key);
    if (i == g->s->inputs.n) {
      unknown_input(g, p.key);
      continue;
    }
    if (g->given[i]) WRONG(g, "`%s` is given twice", p.key);
    g->given[i] = true;
    if (!source_read(g->c, p.value, &g->s->inputs.at[i], &g->sources[i])) return false;
  }
  return true;
}

// A tensor as it came from a file: its dtype and rank must fit; then its shape binds dims.
static void bind_tensor(gathering *g, size_t i) {
  const sig_tensor *input = &g->s->inputs.at[i];
  const ir_tensor *t = g->sources[i].tensor;
  const sig_dim *clash;
  if (t->dt != input->dt || t->rank != input->rank) {
    WRONG(g, "`%s` is %s, not %s", input->name, shape_text(g->c->a, t), sig_type_text(g->c->a, input));
    return;
  }
  if (sig_bind_shape(g->s, input, t->dim, str_fmt(g->c->a, "input `%s`", input->name), &clash)) return;
  WRONG(g, "`%s` is %s: `%s` is %lld by %s", input->name, shape_text(g->c->a, t), clash->symbol->name,
        (long long)clash->value, clash->bound_by);
}

static void check_tensor(gathering *g, size_t i) {
  const sig_tensor *input = &g->s->inputs.at[i];
  const ir_tensor *t = g->sources[i].tensor;
  int64_t dim[IR_MAX_RANK];
  bool fits = sig_shape(g->s, input, dim);
  for (uint32_t d = 0; fits && d < t->rank; d++) fits = t->dim[d] == dim[d];
  if (!fits) WRONG(g, "`%s` is %s, not %s", input->name, shape_text(g->c->a, t), sig_type_text(g->c->a, input));
}

static void check_ranges(gathering *g) {
  for (size_t i = 0; i < g->s->dims.n; i++) {
    const sig_dim *d = &g->s->dims.at[i];
    if (!d->bound || (d->value >= d->lo && d->value <= d->hi && d->value % d->step == 0)) continue;
    WRONG(g, "`%s` is %lld by %s; its range is %lld..%lld step %lld", d->symbol->name, (long long)d->value, d->bound_by,
          (long long)d->lo, (long long)d->hi, (long long)d->step);
  }
}

static ir_tensor *make_input(gathering *g, size_t i) {
  const sig_tensor *input = &g->s->inputs.at[i];
  if (g->sources[i].tensor) return g->sources[i].tensor;
  int64_t dim[IR_MAX_RANK];
  if (sig_shape(g->s, input, dim)) return source_make(g->c, &g->sources[i], input, dim);
  WRONG(g, "the shape of `%s` overflows or is negative", input->name);
  return NULL;
}

static void tell(gathering *g) {
  diag_list *l = &g->c->diags;
  const signature *s = g->s;
  diag *d = diag_at(l, NO_SPAN, cli_inputs, s->entry);
  for (size_t i = 0; i < g->wrong.n; i++) diag_note_to(l, d, "%s", g->wrong.at[i]);
  for (size_t i = 0; i < s->inputs.n; i++)
    diag_note_to(l, d, "input %s: %s%s", s->inputs.at[i].name, sig_type_text(g->c->a, &s->inputs.at[i]),
                 s->inputs.at[i].optional ? ", optional" : "");
  for (size_t i = 0; i < s->dims.n; i++)
    diag_note_to(l, d, "dim %s: %lld..%lld step %lld", s->dims.at[i].symbol->name, (long long)s->dims.at[i].lo,
                 (long long)s->dims.at[i].hi, (long long)s->dims.at[i].step);
}

ir_tensor **inputs_make(cli *c, signature *s, bool fill_missing, bool strict_dims) {
  size_t n = s->inputs.n;
  gathering g = {.c = c, .s = s, .sources = ARENA_ARRAY(c->a, source, n + 1), .given = ARENA_ARRAY(c->a, bool, n + 1)};
  if (!sig_bind_options(c, s, strict_dims) || !read_sources(&g)) return NULL;
  for (size_t i = 0; i < n; i++) {
    if (!g.given[i] && fill_missing) source_read(c, "random:0", &s->inputs.at[i], &g.sources[i]);
    else if (!g.given[i] && !s->inputs.at[i].optional) WRONG(&g, "`%s` is missing", s->inputs.at[i].name);
    if (g.given[i] && g.sources[i].tensor) bind_tensor(&g, i);
  }
  sig_bind_rest(s);
  check_ranges(&g);
  for (size_t i = 0; i < n && g.wrong.n == 0; i++)
    if (g.sources[i].tensor) check_tensor(&g, i);
  ir_tensor **out = ARENA_ARRAY(c->a, ir_tensor *, n + 1);
  for (size_t i = 0; i < n && g.wrong.n == 0; i++)
    if (g.given[i] || fill_missing) out[i] = make_input(&g, i);
  if (g.wrong.n == 0) return out;
  tell(&g);
  return NULL;
}
