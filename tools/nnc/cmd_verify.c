// nnc verify: the interpreter on the graph as written, against compiled code, on the same inputs.
//
// With --weights-dtype the judge is the graph of narrow weights, which compiled code must meet as closely as any other;
// what the narrowing itself costs is told beside it: compiled code against the graph as written.
//
// With --device code for this CPU runs too, and how far the device is from it is told beside the verdict.
//
// With --precision bf16 compiled code is judged by the graph as written itself, and the bound is another. Each of the n
// tensors that are rounded adds an error of at most 2^-9 of its size, the weights that a product reads beside it as
// much again. They are independent, so that their sum grows with the root of n, and the largest of many such sums is
// some four times their root mean square:
//
//   bound = 1e-5 + 2^-7 sqrt(n + 1)
//
// With int8 rows of bytes count among the n, and the bound is twice as large: they are rounded to a 254th of their
// largest magnitude, which is three or four times their root mean square.
#include "tools/nnc/diverge.h"
#include "tools/nnc/source.h"

#include <math.h>
#include <string.h>

typedef struct verdict {
  const signature *s;
  comparison *by;        // [outputs]
  comparison *narrowing; // [outputs] against the model as written; NULL: its weights are as written
  comparison *beside;    // [outputs] of a device, against code for this CPU; NULL: there is no device
  bool ok;
  divergence where;
  const char *pass; // --bisect
  unsigned threads;
  call_history history; // of the last call that was compared
} verdict;

static const char *where_text(cli *c, const divergence *d) {
  return d->file ? str_fmt(c->a, "step %u, `%s`, %s:%u", d->step, d->label, d->file, d->line)
                 : str_fmt(c->a, "step %u, `%s`", d->step, d->label);
}

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_string("inf"); }

static double relative(const comparison *by) { return by->max_abs == 0 ? 0 : by->max_abs / by->magnitude; }

static json_t *comparison_json(const comparison *by) {
  return json_pack("{s:o, s:o, s:o, s:o}", "max_abs", number(by->max_abs), "max_rel", number(relative(by)), "mean_rel",
                   number(by->mean_rel), "cosine", number(by->cosine));
}

static exit_status print_as_json(cli *c, const compile_job *j, const verdict *v) {
  json_t *out = json_new(c), *list = json_array();
  json_object_set_new(out, "entry", json_string(v->s->entry));
  json_object_set_new(out, "ok", json_boolean(v->ok));
  json_object_set_new(out, "bound", json_real(c->opt.bound));
  json_object_set_new(out, "cpu", json_string(j->target->name));
  json_object_set_new(out, "device", json_string(j->device ? j->device : "cpu"));
  json_object_set_new(out, "threads", json_integer(v->threads));
  json_object_set_new(out, "precision", json_string(c->opt.precision ? c->opt.precision : "f32"));
  json_object_set_new(out, "outputs", list);
  if (v->narrowing) json_object_set_new(out, "weights_dtype", json_string(c->opt.weights_dtype));
  for (size_t i = 0; i < v->s->outputs.n; i++) {
    json_t *one = comparison_json(&v->by[i]);
    json_object_set_new(one, "name", json_string(v->s->outputs.at[i].name));
    json_object_set_new(one, "ok", json_boolean(v->by[i].ok));
    if (v->narrowing) json_object_set_new(one, "against_f32", comparison_json(&v->narrowing[i]));
    if (v->beside) json_object_set_new(one, "against_cpu", comparison_json(&v->beside[i]));
    json_array_append_new(list, one);
  }
  json_object_set_new(out, "first_difference", v->where.found ? json_string(where_text(c, &v->where)) : json_null());
  if (c->opt.bisect) json_object_set_new(out, "pass", v->pass ? json_string(v->pass) : json_null());
  exit_status status = print_json(c, out);
  return status ? status : v->ok ? EXIT_done : EXIT_model;
}

static void print_table(const verdict *v, const comparison *all, bool judged) {
  printf("  %-24s%12s%12s%12s%12s\n", "output", "max error", "relative", "mean rel.", "cosine");
  for (size_t i = 0; i < v->s->outputs.n; i++) {
    const comparison *by = &all[i];
    printf("  %-24s%12.3g%12.3g%12.3g%12.8f", v->s->outputs.at[i].name, by->max_abs, relative(by), by->mean_rel,
           by->cosine);
    printf("%s\n", !judged ? "" : by->ok ? "  ok" : "  DIFFERS");
  }
}

static exit_status print_as_text(cli *c, const compile_job *j, const verdict *v) {
  printf("entry %s", v->s->entry);
  for (size_t i = 0; i < v->s->dims.n; i++)
    printf(", %s = %lld", v->s->dims.at[i].symbol->name, (long long)v->s->dims.at[i].value);
  if (j->device) printf("; compiled for %s, against the interpreter", j->device);
  else
    printf("; compiled for %s, %u thread%s, against the interpreter", j->target->name, v->threads,
           v->threads == 1 ? "" : "s");
  if (j->m->states.n) printf(", call %lld", (long long)v->history.calls + 1);
  printf("\n\n");
  print_table(v, v->by, true);
  if (v->narrowing) {
    printf("\n  weights as %s, against the model as written\n", c->opt.weights_dtype);
    print_table(v, v->narrowing, false);
  }
  if (v->beside) {
    printf("\n  %s, against code for this CPU\n", j->device);
    print_table(v, v->beside, false);
  }
  printf("\n%s: every output within %g of the largest magnitude%s\n", v->ok ? "verified" : "FAILED", c->opt.bound,
         v->ok ? "" : " was expected");
  if (!v->ok && v->where.found)
    printf("first difference: %s: error %.3g at element %lld, largest magnitude %.3g\n", where_text(c, &v->where),
           v->where.by.max_abs, (long long)v->where.by.worst, v->where.by.magnitude);
  else if (!v->ok)
    printf("no single step is beyond the bound: the passes changed values (see --bisect), or the error grows over "
           "steps\n");
  if (c->opt.bisect && v->pass) printf("bisect: the graph gives other values after pass `%s`\n", v->pass);
  else if (c->opt.bisect) printf("bisect: the interpreted graph gives the same values after every pass\n");
  return v->ok ? EXIT_done : EXIT_model;
}

enum { BF16_BITS = 8, INT8_BITS = 7 }; // of precision

// The largest error allowed where nobody says: see the head. `fused`: the entry after all passes.
static double default_bound(const compile_job *j, const ir_graph *fused) {
  double rounded = 0;
  if (j->context.precision == PRECISION_f32) return 1e-5;
  for (const ir_node *n = fused->body->first; n; n = n->next)
    for (uint32_t i = 0; n->op == OP_group && i < n->n_out; i++)
      rounded += n->out[i].type.dt == DT_bf16 || n->out[i].type.dt == DT_u8;
  return 1e-5 + ldexp(sqrt(rounded + 1), 1 - (j->context.precision == PRECISION_bf16 ? BF16_BITS : INT8_BITS));
}

// The passes up to that which narrows weights.
static bool narrow_weights(compile_job *j) {
  pass_options first = j->passes;
  first.dump = NULL;
  first.stop_after = "weights";
  return pass_run_all(&j->context, j->m, &first, NULL);
}

// The same entry compiled for this CPU, beside a device. false after diagnostics, which are printed.
static bool prepare_beside(cli *c, const signature *s, const ir_tensor *const *in, compiled_run *r) {
  const char *device = c->opt.device;
  exit_status status;
  c->opt.device = NULL;
  compile_job *j = job_begin(c, &status);
  c->opt.device = device;
  rt_module *m = ARENA_NEW(c->a, rt_module);
  if (!j) return false;
  bool ok = compile_frontend(j) && compile_weights(j) && compile_passes(j) && compile_lower(j) && compile_object(j) &&
            compile_module(j, m, NULL) && run_prepare(c, m, s, (ir_tensor *const *)(const void *)in, r);
  if (!ok) job_report(c, j);
  return ok;
}

// Both runs, and the search where they differ. false after diagnostics of the job or the command line.
static bool judge(cli *c, compile_job *j, signature *s, const ir_tensor *const *in, ir_tensor **want, verdict *v) {
  rt_module *m = ARENA_NEW(c->a, rt_module); // the session keeps it until the arena goes
  compiled_run r, cpu;
  ir_graph *written = j->m->graphs.at[s->index], *plain = written;
  if (!narrow_weights(j)) return false;
  bool narrow = j->context.weights != WEIGHTS_f32 && j->context.precision == PRECISION_f32;
  if (narrow) plain = j->m->graphs.at[s->index];
  size_t n_states = j->m->states.n;
  int64_t calls = c->opt.calls ? c->opt.calls : n_states ? 3 : 1;
  if (!compile_passes(j) || !compile_lower(j) || !compile_object(j) || !compile_module(j, m, NULL)) return false;
  if (c->opt.bound == 0) c->opt.bound = default_bound(j, j->m->graphs.at[s->index]);
  if (!run_prepare(c, m, s, (ir_tensor *const *)(const void *)in, &r)) return false;
  *v = (verdict){
      .s = s, .by = ARENA_ARRAY(c->a, comparison, s->outputs.n + 1), .ok = true, .threads = rt_pool_threads(r.pool)};
  if (narrow) v->narrowing = ARENA_ARRAY(c->a, comparison, s->outputs.n + 1);
  if (j->device && !prepare_beside(c, s, in, &cpu)) return false;
  if (j->device) v->beside = ARENA_ARRAY(c->a, comparison, s->outputs.n + 1);
  ir_tensor **states = ARENA_ARRAY(c->a, ir_tensor *, n_states + 1);
  ir_tensor **written_states = ARENA_ARRAY(c->a, ir_tensor *, n_states + 1);
  ir_tensor **exact = ARENA_ARRAY(c->a, ir_tensor *, s->outputs.n + 1);
  v->history.states = ARENA_ARRAY(c->a, ir_tensor *, n_states + 1);
  for (int64_t call = 0; call < calls && v->ok; call++) {
    v->history.calls = call;
    memcpy(v->history.states, states, n_states * sizeof *states);
    if (!interpret(c, s, plain, in, want, states, NULL, NULL) || !run_once(c, &r)) return false;
    if (v->beside && !run_once(c, &cpu)) return false;
    if (narrow && !interpret(c, s, written, in, exact, written_states, NULL, NULL)) return false;
    for (size_t i = 0; i < s->outputs.n; i++) {
      v->by[i] = tensors_compare(want[i], r.results[i]->data, c->opt.bound);
      v->ok = v->ok && v->by[i].ok;
      if (v->beside) v->beside[i] = tensors_compare(cpu.results[i], r.results[i]->data, c->opt.bound);
      if (narrow) v->narrowing[i] = tensors_compare(exact[i], r.results[i]->data, c->opt.bound);
    }
  }
  return v->ok || find_divergence(c, j, s, &r, in, &v->history, &v->where);
}

exit_status cmd_verify(cli *c) {
  exit_status status;
  verdict v;
  if (job_is_library(c)) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "`nnc verify` needs the .yaml: a .so holds no graph to interpret");
    return fail(c);
  }
  compile_job *j = job_begin(c, &status);
  if (!j) return status;
  if (!compile_frontend(j) || !compile_weights(j)) return job_fail(c, j);
  signature *s = signature_of_graphs(c, j->m);
  ir_tensor **in = s ? inputs_make(c, s, true, false) : NULL;
  if (!in) return fail(c);
  ir_tensor **want = ARENA_ARRAY(c->a, ir_tensor *, s->outputs.n + 1);
  const ir_tensor *const *given = (const ir_tensor *const *)(const void *)in;
  if (!judge(c, j, s, given, want, &v)) {
    job_report(c, j);
    report_diagnostics(&c->diags);
    return failure_status(diag_failed(&j->diags) ? &j->diags : &c->diags);
  }
  job_report(c, j);
  if (c->opt.bisect && !find_pass(c, s, given, &v.history, want, &v.pass, &status)) return status;
  return c->opt.json ? print_as_json(c, j, &v) : print_as_text(c, j, &v);
}
