#include "model_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

ir_module *elaborated(scratch *s, const char *text, const frontend_options *opt) {
  str model = str_of(text);
  ir_module *m = frontend_load(s->a, &s->l, "m.yaml", &model, opt);
  if (m && graph_verify(m)) return m;
  strbuf b;
  sb_init(&b, s->a);
  diag_render_all(&s->l, false, &b);
  fail_msg("%s\n%s", text, sb_cstr(&b));
  return NULL;
}

ir_tensor **run_entry(scratch *s, ir_module *m, const char *entry, const ir_tensor *const *in) {
  ir_graph *g = ir_graph_find(m, entry);
  assert_non_null(g);
  ir_tensor **out = ARENA_ARRAY(s->a, ir_tensor *, g->body->n_yields);
  return interp_run(s->a, g, in, out, NULL) ? out : NULL;
}

ir_tensor **run_model(scratch *s, const char *text, const ir_tensor *const *in) {
  ir_tensor **out = run_entry(s, elaborated(s, text, NULL), "forward", in);
  if (!out) {
    strbuf b;
    sb_init(&b, s->a);
    diag_render_all(&s->l, false, &b);
    fail_msg("%s\n%s", text, sb_cstr(&b));
  }
  return out;
}
