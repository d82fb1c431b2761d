// Index maps of contract, windowed reduce and window: parsing "b m k, b k n -> b m n" against operand types.
//
//   map     := operand ("," operand)* "->" label* [";" extent ("," extent)*]
//   operand := axis*      axis := label | "(" sum ")" ["/" number] | "((" sum ")/" number ")"      extent := label "="
//   idx
//
// Every label gets a fresh symbol with bounds 0 .. extent-1, so that no two maps share one and index expressions of
// several maps can be composed.
#include "ir/infer.h"

#include <string.h>

enum { MAX_LABELS = 32 };

typedef struct map_parser {
  ir_module *m;
  const char *p, *end;
  ir_label label[MAX_LABELS];
  uint32_t n_labels;
  const char *problem;
  bool (*same)(void *user, const idx *a, const idx *b);
  void *user;
} map_parser;

static bool map_fails(map_parser *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool map_fails(map_parser *r, const char *fmt, ...) {
  strbuf b;
  sb_init(&b, r->m->a);
  va_list ap;
  va_start(ap, fmt);
  sb_vfmt(&b, fmt, ap);
  va_end(ap);
  if (r->problem == NULL) r->problem = sb_cstr(&b);
  return false;
}

static bool is_letter(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_'; }

static bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }

static void skip_blanks(map_parser *r) {
  while (r->p < r->end && (*r->p == ' ' || *r->p == '\t')) r->p++;
}

static bool take(map_parser *r, const char *z) {
  skip_blanks(r);
  const size_t n = strlen(z);
  if ((size_t)(r->end - r->p) < n || memcmp(r->p, z, n) != 0) return false;
  r->p += n;
  return true;
}

static bool parse_label_name(map_parser *r, str *name) {
  skip_blanks(r);
  const char *from = r->p;
  if (r->p < r->end && is_letter(*r->p)) {
    while (r->p < r->end && (is_letter(*r->p) || is_digit(*r->p))) r->p++;
  }
  *name = (str){from, (size_t)(r->p - from)};
  return name->n > 0;
}

// NULL when there are too many.
static ir_label *find_label(map_parser *r, str name) {
  for (uint32_t i = 0; i < r->n_labels; i++) {
    if (str_is(name, r->label[i].name)) return &r->label[i];
  }
  if (r->n_labels == MAX_LABELS) {
    map_fails(r, "more than %d labels", MAX_LABELS);
    return NULL;
  }
  ir_label *l = &r->label[r->n_labels++];
  const char *z = intern(r->m->names, name);
  *l = (ir_label){.name = z, .symbol = idx_fresh(r->m->ix, z)};
  return l;
}

static bool set_extent(map_parser *r, ir_label *l, const idx *extent) {
  if (l->extent == NULL) l->extent = extent;
  if (r->same(r->user, l->extent, extent)) return true;
  strbuf b;
  sb_init(&b, r->m->a);
  idx_print(&b, l->extent);
  sb_z(&b, " and ");
  idx_print(&b, extent);
  return map_fails(r, "label `%s` has extents %s", l->name, sb_cstr(&b));
}

static const sym *label_symbol(void *user, str name) {
  ir_label *l = find_label(user, name);
  return l == NULL ? NULL : l->symbol;
}

static const sym *dim_symbol(void *user, str name) {
  const map_parser *r = user;
  for (size_t i = 0; i < r->m->dims.n; i++) {
    if (str_is(name, r->m->dims.at[i]->symbol->name)) return r->m->dims.at[i]->symbol;
  }
  return NULL;
}

static const idx *parse_idx(map_parser *r, const sym *(*resolve)(void *user, str name)) {
  const char *error = NULL;
  const idx *e = idx_parse(r->m->ix, &r->p, r->end, resolve, r, &error);
  if (e == NULL) map_fails(r, "%s at `%.*s`", error, (int)(r->end - r->p), r->p);
  return e;
}

static bool parse_division(map_parser *r, int64_t *d) {
  const char *from = r->p;
  while (r->p < r->end && is_digit(*r->p)) r->p++;
  if (parse_i64((str){from, (size_t)(r->p - from)}, d) && *d > 0) return true;
  return map_fails(r, "expected a positive number after `/`");
}

static bool is_affine(map_parser *r, const idx *e) {
  const idx *coef, *rest = e;
  for (uint32_t i = 0; i < r->n_labels; i++) {
    if (!idx_linear(r->m->ix, rest, r->label[i].symbol, &coef, &rest) || !idx_is_const(coef, NULL)) return false;
  }
  return idx_is_const(rest, NULL);
}

static bool parse_axis(map_parser *r, ir_axis *axis, const idx *extent) {
  *axis = (ir_axis){.exact_div = 1};
  str name;
  if (parse_label_name(r, &name)) {
    ir_label *l = find_label(r, name);
    if (l == NULL) return false;
    axis->at = idx_of(r->m->ix, l->symbol);
    return set_extent(r, l, extent);
  }
  if (!take(r, "(")) return map_fails(r, "expected a label or `(` at `%.*s`", (int)(r->end - r->p), r->p);
  const char *after = r->p;
  if (take(r, "(")) { // ((sum)/d)
    axis->at = parse_idx(r, label_symbol);
    if (axis->at == NULL) return false;
    if (!take(r, ")") || !take(r, "/") || (r->p < r->end && *r->p == '/')) { // only a bracket inside the sum
      r->p = after;
      axis->at = NULL;
    } else if (!parse_division(r, &axis->exact_div)) {
      return false;
    }
  }
  if (axis->at == NULL) axis->at = parse_idx(r, label_symbol);
  if (axis->at == NULL) return false;
  if (!take(r, ")")) return map_fails(r, "expected `)` at `%.*s`", (int)(r->end - r->p), r->p);
  if (r->p < r->end && *r->p == '/') {
    r->p++;
    if (!parse_division(r, &axis->exact_div)) return false;
  }
  axis->may_miss = true; // settled when all extents are known
  return is_affine(r, axis->at) || map_fails(r, "an axis is not an affine sum of labels");
}

static bool at_end_of_operand(map_parser *r) {
  skip_blanks(r);
  return r->p == r->end || *r->p == ',' || *r->p == ';' || *r->p == '-';
}

static bool parse_operand(map_parser *r, ir_map *to, uint32_t k, ir_type t) {
  to->operand[k].axes = ARENA_ARRAY(r->m->a, ir_axis, t.rank);
  to->operand[k].rank = t.rank;
  for (uint32_t i = 0; i < t.rank; i++) {
    if (at_end_of_operand(r)) return map_fails(r, "operand %u has %u dims; the map names %u", k, t.rank, i);
    if (!parse_axis(r, &to->operand[k].axes[i], t.dim[i])) return false;
  }
  return at_end_of_operand(r) || map_fails(r, "operand %u has %u dims; the map names more", k, t.rank);
}

static bool parse_result(map_parser *r, ir_map *to) {
  uint32_t out[IR_MAX_RANK];
  str name;
  while (!at_end_of_operand(r)) {
    if (!parse_label_name(r, &name)) return map_fails(r, "expected a label at `%.*s`", (int)(r->end - r->p), r->p);
    ir_label *l = find_label(r, name);
    if (l == NULL) return false;
    if (l->in_out) return map_fails(r, "label `%s` stands twice in the result", l->name);
    if (to->out_rank == IR_MAX_RANK) return map_fails(r, "the result has more than %d dims", IR_MAX_RANK);
    l->in_out = true;
    out[to->out_rank++] = (uint32_t)(l - r->label);
  }
  to->out_label = arena_copy(r->m->a, out, to->out_rank * sizeof *out);
  return true;
}

static bool parse_extents(map_parser *r) {
  if (!take(r, ";")) return true;
  str name;
  do {
    if (!parse_label_name(r, &name)) return map_fails(r, "expected a label after `;`");
    const uint32_t before = r->n_labels;
    ir_label *l = find_label(r, name);
    if (l == NULL) return false;
    if (r->n_labels > before) return map_fails(r, "label `%s` stands on no axis", l->name);
    if (!take(r, "=")) return map_fails(r, "expected `=` after label `%s`", l->name);
    const idx *e = parse_idx(r, dim_symbol);
    if (e == NULL || !set_extent(r, l, e)) return false;
  } while (take(r, ","));
  return true;
}

// Bounds of the labels, then which reads may fall outside.
static bool settle(map_parser *r, ir_map *to, const ir_type *types) {
  idx_ctx *c = r->m->ix;
  for (uint32_t i = 0; i < r->n_labels; i++) {
    if (r->label[i].extent == NULL)
      return map_fails(r, "label `%s` has no extent: add `; %s = ...`", r->label[i].name, r->label[i].name);
    sym *s = (sym *)(uintptr_t)r->label[i].symbol; // made by this parser; const to everyone else
    s->lo = idx_int(c, 0);
    s->hi = idx_addi(c, r->label[i].extent, -1);
  }
  for (uint32_t k = 0; k < to->n_operands; k++) {
    for (uint32_t i = 0; i < to->operand[k].rank; i++) {
      ir_axis *x = &to->operand[k].axes[i];
      if (!x->may_miss) continue;
      const idx *last = idx_scale(c, idx_addi(c, types[k].dim[i], -1), x->exact_div);
      x->may_miss = idx_nonneg(c, x->at) != TRI_yes || idx_nonneg(c, idx_sub(c, last, x->at)) != TRI_yes;
    }
  }
  to->n_labels = r->n_labels;
  to->labels = arena_copy(r->m->a, r->label, r->n_labels * sizeof *r->label);
  return true;
}

const ir_map *map_parse(ir_module *m, const char *text, uint32_t n_operands, const ir_type *types,
                        bool (*same)(void *user, const idx *a, const idx *b), void *user, const char **problem) {
  map_parser r = {.m = m, .p = text, .end = text + strlen(text), .same = same, .user = user};
  ir_map *to = ARENA_NEW(m->a, ir_map);
  to->n_operands = n_operands;
  bool good = true;
  for (uint32_t k = 0; k < n_operands && good; k++) {
    good = (k == 0 || take(&r, ",") || map_fails(&r, "it maps %u operands, not %u", k, n_operands)) &&
           parse_operand(&r, to, k, types[k]);
  }
  good = good && (take(&r, "->") || map_fails(&r, "expected `->` at `%.*s`", (int)(r.end - r.p), r.p)) &&
         parse_result(&r, to) && parse_extents(&r);
  skip_blanks(&r);
  if (good && r.p < r.end) good = map_fails(&r, "unexpected `%.*s`", (int)(r.end - r.p), r.p);
  if (good && settle(&r, to, types)) return to;
  *problem = r.problem;
  return NULL;
}

static bool not_different(void *user, const idx *a, const idx *b) { return idx_equal(user, a, b) != TRI_no; }

const ir_map *ir_map_parse(ir_module *m, const char *text, uint32_t n_operands, const ir_type *types, diag_span at) {
  const char *problem = NULL;
  const ir_map *to = map_parse(m, text, n_operands, types, not_different, m->ix, &problem);
  if (to == NULL) diag_at(m->diags, at, graph_map, text, problem);
  return to;
}

const ir_map *ir_map_of(ir_module *m, const ir_node *n) {
  const ir_map *to = map_get_ptr(m->node_maps, n);
  const char *text = ir_attr_str(n, "map", NULL);
  if (to != NULL || text == NULL || n->n_in > 2) return to;
  ir_type types[2];
  for (uint32_t i = 0; i < n->n_in; i++) types[i] = n->in[i]->type;
  to = ir_map_parse(m, text, n->n_in, types, n->spans.n > 0 ? n->spans.at[0] : NO_SPAN);
  if (to != NULL) map_put_ptr(m->node_maps, n, (void *)(uintptr_t)to);
  return to;
}

bool ir_axis_slides(uint32_t n_labels, const ir_label *labels, const ir_axis *axis) {
  bool found = false;
  for (uint32_t i = 0; !idx_is_symbol(axis->at) && i < n_labels; i++)
    found = found || (!labels[i].in_out && idx_mentions(axis->at, labels[i].symbol));
  return found;
}
