// See attention_cases.h.
#include <string.h>

#include "frontend/frontend.h"
#include "op/attention_cases.h"

#define A(name, how, ...) {#name, TILED_##how, __VA_ARGS__},
const attention_case attention_cases[] = {
#include "op/attention_cases.def"
};
#undef A

const size_t attention_n_cases = sizeof attention_cases / sizeof *attention_cases;

// "a: 1; b: 2" as the lines of a section.
static const char *section(arena *a, const char *name, const char *entries) {
  strbuf b;
  sb_init(&b, a);
  sb_fmt(&b, "%s:\n  ", name);
  for (const char *p = entries; *p; p++) sb_z(&b, *p == ';' ? "\n " : (char[]){*p, '\0'});
  return sb_cstr(&b);
}

ir_module *attention_case_load(arena *a, diag_list *l, const attention_case *t) {
  str text = str_of(str_fmt(a, "nnc: 1\n%s\n%s\nsteps:\n%soutputs:\n  y: y\n%s", section(a, "dims", t->dims),
                            section(a, "inputs", t->inputs), t->steps, strstr(t->steps, "- z:") ? "  z: z\n" : ""));
  diag_init(l, a);
  return frontend_load(a, l, "attention.yaml", &text, NULL);
}
