// nnc check: parse, infer, and say what the model is; or every problem at once.
//
// What the back end does not compile yet is learnt from lowering itself, so that this list and `nnc compile` never
// disagree.
#include "tools/nnc/job.h"
#include "tools/nnc/signature.h"

#include <string.h>

enum { MANY_ERRORS = 200 };

// -- JSON --

static json_t *shape_json(cli *c, uint32_t rank, const idx *const *dim) {
  json_t *out = json_array();
  for (uint32_t i = 0; i < rank; i++) {
    int64_t n;
    strbuf text;
    sb_init(&text, c->a);
    idx_print(&text, dim[i]);
    json_array_append_new(out, idx_is_const(dim[i], &n) ? json_integer(n) : json_string(sb_cstr(&text)));
  }
  return out;
}

static json_t *tensor_json(cli *c, const sig_tensor *t) {
  json_t *out = json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype", dtype_name(t->dt), "shape",
                          shape_json(c, t->rank, t->dim));
  if (t->optional) json_object_set_new(out, "optional", json_true());
  return out;
}

static json_t *entry_json(cli *c, const ir_graph *g, size_t i) {
  const signature *s = signature_of_graph(c, g, i);
  json_t *inputs = json_array(), *outputs = json_array();
  for (size_t k = 0; k < s->inputs.n; k++) json_array_append_new(inputs, tensor_json(c, &s->inputs.at[k]));
  for (size_t k = 0; k < s->outputs.n; k++) json_array_append_new(outputs, tensor_json(c, &s->outputs.at[k]));
  return json_pack("{s:s, s:o, s:o}", "name", g->name, "inputs", inputs, "outputs", outputs);
}

static json_t *missing_json(const diag_list *l, const diag *d) {
  const char *file;
  uint32_t line, column;
  diag_position(l, d->span, &file, &line, &column);
  return json_pack("{s:s, s:s, s:i}", "message", d->text, "file", file ? file : "", "line", (int)line);
}

static exit_status print_as_json(cli *c, const compile_job *j, size_t n_graphs, ir_graph *const *graphs,
                                 const diag_list *missing) {
  json_t *out = json_new(c), *entries = json_array(), *dims = json_array(), *weights = json_array(),
         *not_compiled = json_array();
  const ir_module *m = j->source;
  json_object_set_new(out, "name", json_string(m->name ? m->name : ""));
  json_object_set_new(out, "parameters", json_integer((json_int_t)frontend_parameter_count(m)));
  json_object_set_new(out, "entries", entries);
  json_object_set_new(out, "dims", dims);
  json_object_set_new(out, "weights", weights);
  json_object_set_new(out, "not_compiled", not_compiled);
  for (size_t i = 0; i < n_graphs; i++) json_array_append_new(entries, entry_json(c, graphs[i], i));
  for (size_t i = 0; i < m->dims.n; i++) {
    const ir_dim *d = m->dims.at[i];
    json_array_append_new(dims, json_pack("{s:s, s:I, s:I, s:I}", "name", d->symbol->name, "lo", (json_int_t)d->lo,
                                          "hi", (json_int_t)d->hi, "step", (json_int_t)d->step));
  }
  for (size_t i = 0; i < m->weights.n; i++) {
    const ir_weight *w = m->weights.at[i];
    json_array_append_new(weights, json_pack("{s:s, s:s, s:o}", "name", w->name, "dtype", dtype_name(w->type.dt),
                                             "shape", shape_json(c, w->type.rank, w->type.dim)));
  }
  for (size_t i = 0; i < missing->items.n; i++)
    json_array_append_new(not_compiled, missing_json(missing, missing->items.at[i]));
  return print_json(c, out);
}

// -- text --

static const char *type_text(arena *a, ir_type t) {
  strbuf b;
  sb_init(&b, a);
  ir_type_print(&b, t);
  return sb_cstr(&b);
}

static void print_entry(cli *c, const ir_graph *g) {
  printf("\nentry %s\n", g->name);
  for (uint32_t i = 0; i < g->body->n_params; i++)
    printf("  in   %-32s %s%s\n", g->param_names[i], type_text(c->a, g->body->params[i].type),
           g->param_defaults[i] ? ", optional" : "");
  for (uint32_t i = 0; i < g->body->n_yields; i++)
    printf("  out  %-32s %s\n", g->output_names[i], type_text(c->a, g->body->yields[i]->type));
}

static void print_missing(const diag_list *l) {
  if (l->items.n) putchar('\n');
  for (size_t i = 0; i < l->items.n; i++) {
    const char *file;
    uint32_t line, column;
    diag_position(l, l->items.at[i]->span, &file, &line, &column);
    fputs(l->items.at[i]->text, stdout);
    if (file) printf(" (%s:%u)", file, line);
    putchar('\n');
  }
}

static exit_status print_as_text(cli *c, const compile_job *j, size_t n_graphs, ir_graph *const *graphs,
                                 const diag_list *missing) {
  const ir_module *m = j->source;
  printf("%s: %s parameters in %zu weights\n", m->name ? m->name : c->model,
         with_separators(c->a, frontend_parameter_count(m)), m->weights.n);
  for (size_t i = 0; i < n_graphs; i++) print_entry(c, graphs[i]);
  if (m->dims.n) printf("\ndims\n");
  for (size_t i = 0; i < m->dims.n; i++) {
    const ir_dim *d = m->dims.at[i];
    printf("  %-37s %lld..%lld", d->symbol->name, (long long)d->lo, (long long)d->hi);
    if (d->step > 1) printf(" step %lld", (long long)d->step);
    putchar('\n');
  }
  if (m->states.n) printf("\nstate\n");
  for (size_t i = 0; i < m->states.n; i++)
    printf("  %-37s %s\n", m->states.at[i]->name, type_text(c->a, m->states.at[i]->type));
  if (m->weights.n) printf("\nweights\n");
  for (size_t i = 0; i < m->weights.n; i++) {
    const ir_weight *w = m->weights.at[i];
    printf("  %-37s %s%s\n", w->name, type_text(c->a, w->type), w->is_buffer ? ", buffer" : "");
  }
  print_missing(missing);
  return EXIT_done;
}

// -- checking --

// Operators that no back end compiles, each once with its first line, regions included.
static void collect_missing(const ir_region *r, diag_list *missing, bool *seen) {
  for (const ir_node *n = r->first; n; n = n->next) {
    if (!op_has(n->op, OPF_COMPILED) && !seen[n->op])
      diag_at(missing, n->spans.n ? n->spans.at[0] : NO_SPAN, op_not_compiled, op_get(n->op)->name);
    seen[n->op] = true;
    for (uint32_t i = 0; i < n->n_regions; i++) collect_missing(n->regions[i], missing, seen);
  }
}

// Lowers, and moves the messages about operators yet to come out of the job's list. false: there are others, and they
// are errors.
static bool find_leftovers(compile_job *j, diag_list *missing) {
  size_t before = j->diags.items.n, kept = before;
  if (compile_passes(j) && compile_lower(j)) return true;
  for (size_t i = before; i < j->diags.items.n; i++) {
    diag *d = j->diags.items.at[i];
    if (d->id == DIAG_ID_op_not_compiled) {
      vec_push(j->a, &missing->items, d);
      j->diags.n_errors--;
    } else {
      j->diags.items.at[kept++] = d;
    }
  }
  j->diags.items.n = kept;
  return kept == before;
}

exit_status cmd_check(cli *c) {
  exit_status status;
  if (job_is_library(c)) {
    diag_at(&c->diags, NO_SPAN, cli_combination,
            "a .so is compiled already; `nnc show MODEL --stage plan` says what it holds");
    return fail(c);
  }
  compile_job *j = job_begin(c, &status);
  if (!j) return status;
  j->diags.limit = MANY_ERRORS;
  if (!compile_frontend(j) || (c->opt.weights.n && !compile_weights(j))) return job_fail(c, j);
  size_t n_graphs = j->m->graphs.n;
  ir_graph **graphs = ARENA_ARRAY(c->a, ir_graph *, n_graphs + 1); // as written; the passes put others in their place
  for (size_t i = 0; i < n_graphs; i++) graphs[i] = j->m->graphs.at[i];
  diag_list missing;
  bool seen[OP_COUNT] = {false};
  diag_init(&missing, c->a);
  missing.files = j->diags.files;
  missing.limit = MANY_ERRORS;
  for (size_t i = 0; i < n_graphs; i++) collect_missing(graphs[i]->body, &missing, seen);
  if (missing.items.n == 0 && !find_leftovers(j, &missing))
    return job_fail(c, j); // the passes expect what they can compile
  job_report(c, j);
  return c->opt.json ? print_as_json(c, j, n_graphs, graphs, &missing)
                     : print_as_text(c, j, n_graphs, graphs, &missing);
}
