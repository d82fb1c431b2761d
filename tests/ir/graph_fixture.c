#include "graph_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

int graph_setup(void **state) {
  static graph_fixture f;
  f = (graph_fixture){.a = arena_new(NULL)};
  diag_init(&f.l, f.a);
  f.m = ir_module_new(f.a, &f.l, "test");
  f.batch = ir_dim_add(f.m, "batch", 1, 64, 1, NO_SPAN);
  f.seq = ir_dim_add(f.m, "seq", 1, 512, 1, NO_SPAN);
  f.g = ir_graph_new(f.m, "forward", true);
  ir_builder_init(&f.b, f.m, f.g->body);
  *state = &f;
  return 0;
}

int graph_teardown(void **state) {
  arena_free(((graph_fixture *)*state)->a);
  return 0;
}

const idx *graph_dim(graph_fixture *f, const char *text) {
  const char *error = "";
  const idx *e = idx_parse(f->m->ix, &text, text + strlen(text), NULL, NULL, &error);
  if (e == NULL) fail_msg("%s", error);
  return e;
}

uint32_t graph_dims(graph_fixture *f, const char *dims, const idx **out) {
  uint32_t rank = 0;
  const char *error = "", *end = dims + strlen(dims);
  while (dims < end) {
    out[rank++] = idx_parse(f->m->ix, &dims, end, NULL, NULL, &error);
    if (out[rank - 1] == NULL) fail_msg("%s", error);
    if (dims < end) dims++; // the comma
  }
  return rank;
}

ir_value *graph_input(graph_fixture *f, const char *name, dtype dt, const char *dims) {
  const idx *dim[IR_MAX_RANK];
  const uint32_t rank = graph_dims(f, dims, dim);
  return ir_graph_param(f->g, name, ir_type_make(f->m, dt, rank, dim), NULL);
}

const char *graph_text(graph_fixture *f) {
  strbuf b;
  sb_init(&b, f->a);
  graph_print_one(&b, f->g, false);
  return sb_cstr(&b);
}

const char *graph_messages(graph_fixture *f) {
  strbuf b;
  sb_init(&b, f->a);
  diag_render_all(&f->l, false, &b);
  return sb_cstr(&b);
}
