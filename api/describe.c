// What a module offers, read from its plan: the same for compiled models and loaded libraries.
#include "api/handles.h"
#include <inttypes.h>

#define PLAN_ARRAY(p, T, range) ((const T *)(const void *)((const char *)(p) + (p)->range.offset))

typedef struct term { // text of a partial expression, and how tightly it binds: 0 sum, 1 product, 2 atom
  const char *text;
  int binds;
} term;

static const char *at_least(arena *a, term t, int binds) {
  return t.binds >= binds ? t.text : str_fmt(a, "(%s)", t.text);
}

const char *plan_expr_text(arena *a, const rt_plan *p, uint32_t expr) {
  const int64_t *c = PLAN_ARRAY(p, int64_t, code) + expr;
  term stack[RT_MAX_STACK + 2];
  size_t n = 0;
  for (; c[0] != RT_END; c += 2) {
    if (c[0] == RT_PUSH) {
      stack[n++] = (term){str_fmt(a, "%" PRId64, c[1]), c[1] < 0 ? 0 : 2};
    } else if (c[0] == RT_DIM) {
      stack[n++] = (term){rt_string(p, (PLAN_ARRAY(p, rt_dim, dims) + c[1])->name), 2};
    } else {
      static const char *const sign[] = {[RT_ADD] = "+", [RT_SUB] = "-",   [RT_MUL] = "*",  [RT_FLOORDIV] = "//",
                                         [RT_MOD] = "%", [RT_MIN] = "min", [RT_MAX] = "max"};
      term y = stack[--n], x = stack[--n];
      if (c[0] == RT_MIN || c[0] == RT_MAX)
        stack[n++] = (term){str_fmt(a, "%s(%s, %s)", sign[c[0]], x.text, y.text), 2};
      else if (c[0] == RT_ADD || c[0] == RT_SUB)
        stack[n++] = (term){str_fmt(a, "%s%s%s", x.text, sign[c[0]], at_least(a, y, 1)), 0};
      else stack[n++] = (term){str_fmt(a, "%s%s%s", at_least(a, x, 1), sign[c[0]], at_least(a, y, 2)), 1};
    }
  }
  return stack[0].text;
}

void module_describe(nnc_module *m) {
  const rt_plan *p = m->rt.plan;
  const rt_tensor_info *t = PLAN_ARRAY(p, rt_tensor_info, tensors);
  const uint32_t *words = PLAN_ARRAY(p, uint32_t, words);
  m->tensors = ARENA_ARRAY(m->a, nnc_tensor_info, p->tensors.count + 1);
  for (uint64_t i = 0; i < p->tensors.count; i++) {
    strbuf shape;
    sb_init(&shape, m->a);
    sb_char(&shape, '[');
    for (uint32_t d = 0; d < t[i].rank; d++)
      sb_fmt(&shape, "%s%s", d ? ", " : "", plan_expr_text(m->a, p, words[t[i].dims + d]));
    sb_char(&shape, ']');
    m->tensors[i] = (nnc_tensor_info){rt_string(p, t[i].name), (nnc_dtype)t[i].dtype, t[i].rank, sb_cstr(&shape),
                                      (t[i].flags & RT_OPTIONAL) != 0};
  }
  const rt_dim *dims = PLAN_ARRAY(p, rt_dim, dims);
  m->dims = ARENA_ARRAY(m->a, nnc_dim_info, p->dims.count + 1);
  for (uint64_t i = 0; i < p->dims.count; i++)
    m->dims[i] = (nnc_dim_info){rt_string(p, dims[i].name), dims[i].lo, dims[i].hi, dims[i].step};
}

const rt_program *module_program(const nnc_module *m, size_t e) {
  return m && e + 1 < m->rt.plan->programs.count ? PLAN_ARRAY(m->rt.plan, rt_program, programs) + e + 1 : NULL;
}

const char *nnc_module_name(const nnc_module *m) { return m ? rt_string(m->rt.plan, m->rt.plan->name) : NULL; }

size_t nnc_module_entry_count(const nnc_module *m) { return m ? m->rt.plan->programs.count - 1 : 0; }

const char *nnc_module_entry_name(const nnc_module *m, size_t entry) {
  const rt_program *g = module_program(m, entry);
  return g ? rt_string(m->rt.plan, g->name) : NULL;
}

size_t nnc_module_input_count(const nnc_module *m, size_t entry) {
  const rt_program *g = module_program(m, entry);
  return g ? g->n_inputs : 0;
}

size_t nnc_module_output_count(const nnc_module *m, size_t entry) {
  const rt_program *g = module_program(m, entry);
  return g ? g->n_outputs : 0;
}

nnc_status nnc_module_input(const nnc_module *m, size_t entry, size_t i, nnc_tensor_info *info) {
  const rt_program *g = module_program(m, entry);
  if (!g || !info || i >= g->n_inputs) return NNC_E_ARGUMENT;
  *info = m->tensors[g->first_input + i];
  return NNC_OK;
}

nnc_status nnc_module_output(const nnc_module *m, size_t entry, size_t i, nnc_tensor_info *info) {
  const rt_program *g = module_program(m, entry);
  if (!g || !info || i >= g->n_outputs) return NNC_E_ARGUMENT;
  *info = m->tensors[g->first_output + i];
  return NNC_OK;
}

size_t nnc_module_dim_count(const nnc_module *m) { return m ? m->rt.plan->dims.count : 0; }

nnc_status nnc_module_dim(const nnc_module *m, size_t i, nnc_dim_info *info) {
  if (!m || !info || i >= m->rt.plan->dims.count) return NNC_E_ARGUMENT;
  *info = m->dims[i];
  return NNC_OK;
}
