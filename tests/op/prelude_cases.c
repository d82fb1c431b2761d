// Models of reference cases: see prelude_cases.h.
#include "op/prelude_cases.h"

static bool is_open(extents how, uint32_t axis, int64_t n) {
  return n > 1 && (how == EXT_all_open || (how == EXT_first_open && axis == 0));
}

str prelude_case_text(arena *a, const ref_case *c, extents how) {
  strbuf b;
  sb_init(&b, a);
  bool declared[1024] = {false}, any = false;
  sb_z(&b, "nnc: 1\nname: case\n");
  for (uint32_t i = 0; i < c->n_in; i++) {
    for (uint32_t k = 0; k < c->in[i]->rank; k++) {
      int64_t n = c->in[i]->dim[k];
      if (!is_open(how, k, n) || n >= 1024 || declared[n]) continue;
      if (!any) sb_z(&b, "dims:\n");
      any = declared[n] = true;
      sb_fmt(&b, "  n%lld: 2..1024\n", (long long)n);
    }
  }
  sb_z(&b, "inputs:\n");
  for (uint32_t i = 0; i < c->n_in; i++) {
    sb_fmt(&b, "  x%u: %s[", i, dtype_name(c->in[i]->dt));
    for (uint32_t k = 0; k < c->in[i]->rank; k++) {
      int64_t n = c->in[i]->dim[k];
      sb_fmt(&b, "%s%s%lld", k ? ", " : "", is_open(how, k, n) ? "n" : "", (long long)n);
    }
    sb_z(&b, "]\n");
  }
  bool weighted = false;
  char *prefix = str_fmt(a, "%s.m.", c->name);
  for (size_t i = 0; i < st_count(c->store); i++)
    weighted |= str_starts(str_of(st_at(c->store, i)->name), str_of(prefix));
  sb_z(&b, "steps:\n- ");
  for (uint32_t i = 0; i < c->n_out; i++) sb_fmt(&b, "%sy%u", i ? ", " : "", i);
  sb_fmt(&b, "%s: %s\noutputs:\n", weighted ? "@m" : "", c->text);
  for (uint32_t i = 0; i < c->n_out; i++) sb_fmt(&b, "  y%u: y%u\n", i, i);
  return sb_str(&b);
}

bool prelude_case_weights(ir_module *m, arena *a, const st_file *store, const char *prefix, const char **why) {
  for (size_t i = 0; i < m->weights.n; i++) {
    ir_weight *w = m->weights.at[i];
    const st_tensor *t = st_find(store, str_fmt(a, "%s%s", prefix, w->name));
    *why = str_fmt(a, "no reference weight %s", w->name);
    if (!t || t->dt != w->type.dt || t->rank != w->type.rank) return false;
    for (uint32_t k = 0; k < t->rank; k++) {
      if (!idx_equals_int(w->type.dim[k], t->dim[k])) return false;
    }
    w->data = st_copy(a, t)->data;
  }
  return true;
}
