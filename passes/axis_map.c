// Index maps taken apart and put together: see axis_map.h.
#include "passes/axis_map.h"
#include <string.h>

bool axis_map_read(axis_map *x, ir_module *m, const ir_node *n, ir_value *const *in) {
  const ir_map *from = ir_map_of(m, n);
  if (!from || from->n_labels > AXIS_MAP_LABELS) return false;
  *x = (axis_map){.m = m, .n_labels = from->n_labels, .n_operands = from->n_operands, .out_rank = from->out_rank};
  memcpy(x->label, from->labels, from->n_labels * sizeof *x->label);
  for (uint32_t o = 0; o < from->n_operands; o++) {
    x->operand[o].v = in[o];
    x->operand[o].rank = from->operand[o].rank;
    memcpy(x->operand[o].axis, from->operand[o].axes, from->operand[o].rank * sizeof *x->operand[o].axis);
  }
  memcpy(x->out, from->out_label, from->out_rank * sizeof *x->out);
  return true;
}

static bool has_name(const axis_map *x, const char *name) {
  for (uint32_t i = 0; i < x->n_labels; i++)
    if (!strcmp(x->label[i].name, name)) return true;
  return false;
}

bool axis_map_add(axis_map *x, uint32_t like, const idx *extent, uint32_t *out) {
  if (x->n_labels == AXIS_MAP_LABELS) return false;
  const char *name = x->label[like].name;
  for (uint32_t i = 1; has_name(x, name); i++)
    name = intern_z(x->m->names, str_fmt(x->m->a, "%s_%u", x->label[like].name, i));
  sym *s = idx_fresh(x->m->ix, name);
  s->lo = idx_int(x->m->ix, 0);
  s->hi = idx_addi(x->m->ix, extent, -1);
  *out = x->n_labels;
  x->label[x->n_labels++] = (ir_label){.name = name, .symbol = s, .extent = extent};
  return true;
}

int axis_map_label(const axis_map *x, const ir_axis *a) {
  const sym *s = a->exact_div == 1 ? idx_is_symbol(a->at) : NULL;
  for (uint32_t i = 0; s && i < x->n_labels; i++)
    if (x->label[i].symbol == s) return (int)i;
  return -1;
}

bool axis_map_mentions(const axis_map *x, uint32_t o, uint32_t label) {
  for (uint32_t i = 0; i < x->operand[o].rank; i++)
    if (idx_mentions(x->operand[o].axis[i].at, x->label[label].symbol)) return true;
  return false;
}

void axis_map_permute(axis_map *x, uint32_t o, ir_value *v, const int64_t *perm) {
  ir_axis axis[IR_MAX_RANK];
  for (uint32_t i = 0; i < x->operand[o].rank; i++) axis[i] = x->operand[o].axis[perm[i]];
  memcpy(x->operand[o].axis, axis, x->operand[o].rank * sizeof *axis);
  x->operand[o].v = v;
}

static void put_axis(const axis_map *x, strbuf *b, const ir_axis *a) {
  int label = axis_map_label(x, a);
  if (label >= 0) {
    sb_z(b, x->label[label].name);
    return;
  }
  const idx *coef, *rest = a->at;
  int64_t k;
  bool first = true;
  sb_z(b, a->exact_div == 1 ? "(" : "((");
  for (uint32_t i = 0; i < x->n_labels; i++) {
    idx_linear(x->m->ix, rest, x->label[i].symbol, &coef, &rest); // axes are affine with constant coefficients
    if (!idx_is_const(coef, &k) || k == 0) continue;
    if (!first && k > 0) sb_char(b, '+');
    if (k == 1 || k == -1) sb_fmt(b, "%s%s", k < 0 ? "-" : "", x->label[i].name);
    else sb_fmt(b, "%lld*%s", (long long)k, x->label[i].name);
    first = false;
  }
  if (idx_is_const(rest, &k) && (k || first)) sb_fmt(b, first ? "%lld" : "%+lld", (long long)k);
  if (a->exact_div == 1) sb_char(b, ')');
  else sb_fmt(b, ")/%lld)", (long long)a->exact_div);
}

const char *axis_map_text(const axis_map *x) {
  strbuf b;
  sb_init(&b, x->m->a);
  for (uint32_t o = 0; o < x->n_operands; o++)
    for (uint32_t i = 0; i < x->operand[o].rank; i++) {
      sb_z(&b, i ? " " : o ? ", " : "");
      put_axis(x, &b, &x->operand[o].axis[i]);
    }
  sb_z(&b, " ->");
  for (uint32_t i = 0; i < x->out_rank; i++) sb_fmt(&b, " %s", x->label[x->out[i]].name);
  const char *before = "; ";
  for (uint32_t l = 0; l < x->n_labels; l++) { // extents of those that stand alone nowhere
    bool alone = false, anywhere = false;
    for (uint32_t o = 0; o < x->n_operands; o++)
      for (uint32_t i = 0; i < x->operand[o].rank; i++) {
        alone = alone || axis_map_label(x, &x->operand[o].axis[i]) == (int)l;
        anywhere = anywhere || idx_mentions(x->operand[o].axis[i].at, x->label[l].symbol);
      }
    if (alone || !anywhere) continue;
    sb_fmt(&b, "%s%s = ", before, x->label[l].name);
    idx_print(&b, x->label[l].extent);
    before = ", ";
  }
  return sb_cstr(&b);
}
