// nnc compile: a model as a library, or as one of the forms on the way there.
#include "api/handles.h"
#include "base/file.h"
#include "tools/nnc/job.h"
#include "tools/nnc/stage.h"

#include <string.h>

typedef enum emit_kind {
  EMIT_so,
  EMIT_obj,
  EMIT_graph,
  EMIT_kernel,
  EMIT_plan,
  EMIT_llvm,
  EMIT_asm,
  EMIT_cl,
  EMIT_KINDS
} emit_kind;

static const struct {
  const char *name, *extension; // the extension of the default file; NULL: standard output
} emits[EMIT_KINDS] = {[EMIT_so] = {"so", ".so"},        [EMIT_obj] = {"obj", ".o"},   [EMIT_graph] = {"graph", NULL},
                       [EMIT_kernel] = {"kernel", NULL}, [EMIT_plan] = {"plan", NULL}, [EMIT_llvm] = {"llvm", NULL},
                       [EMIT_asm] = {"asm", NULL},       [EMIT_cl] = {"cl", NULL}};

static emit_kind kind_of(const cli *c) {
  for (int k = 0; c->opt.emit && k < EMIT_KINDS; k++)
    if (strcmp(emits[k].name, c->opt.emit) == 0) return (emit_kind)k;
  return EMIT_so;
}

static bool emit_library(const cli *c, compile_job *j, const char *path) {
  rt_module m;
  const void *block;
  bool in_file = c->opt.weights_mode && strcmp(c->opt.weights_mode, "file") == 0;
  return compile_image(j, true) && compile_module(j, &m, &block) &&
         aot_write(j->a, &j->diags, &j->image, j->device != NULL, block, in_file ? AOT_weights_file : AOT_weights_embed,
                   path);
}

static bool emit_text(compile_job *j, emit_kind kind, strbuf *text) {
  switch (kind) {
  case EMIT_graph: graph_print(text, j->m, false); return true;
  case EMIT_kernel: stage_kernels(text, j->set); return true;
  case EMIT_plan: stage_plan(text, (const rt_plan *)(const void *)j->plan.blob.p, NULL, NULL); return true;
  case EMIT_llvm:
  case EMIT_asm: {
    const llvm_backend *llvm = compile_open_llvm(j);
    size_t n;
    kir_kernel **kernels = compile_bodies(j, &n);
    return llvm && llvm->dump(j->a, &j->diags, j->target, n, kernels, kind == EMIT_asm, text);
  }
  case EMIT_cl: return compile_opencl(j, NULL, NULL, text);
  case EMIT_so:
  case EMIT_obj:
  case EMIT_KINDS: break;
  }
  return false;
}

// Runs the job as far as `kind` needs.
static bool advance(compile_job *j, emit_kind kind) {
  if (kind == EMIT_so) return true; // made whole by emit_library
  if (!compile_frontend(j)) return false;
  if (!compile_passes(j)) return false;
  if (kind == EMIT_graph) return true;
  if (!compile_lower(j)) return false;
  bool needs_object = kind == EMIT_obj || kind == EMIT_plan;
  return !needs_object || compile_object(j);
}

static bool emit(cli *c, compile_job *j, emit_kind kind, const char *path) {
  if (!advance(j, kind)) return false;
  if (kind == EMIT_so) return emit_library(c, j, path);
  if (kind == EMIT_obj) return file_write(j->a, &j->diags, path, j->object, 0644);
  strbuf text;
  sb_init(&text, c->a);
  if (!emit_text(j, kind, &text)) return false;
  if (path) return file_write(j->a, &j->diags, path, sb_str(&text), 0644);
  fputs(sb_cstr(&text), stdout);
  return true;
}

static exit_status print_result(cli *c, const compile_job *j, const char *path) {
  json_t *out = json_new(c);
  json_object_set_new(out, "output", path ? json_string(path) : json_null());
  json_object_set_new(
      out, "parameters",
      json_integer((json_int_t)(j->source ? frontend_parameter_count(j->source) : j->image.parameters)));
  json_object_set_new(out, "cpu", json_string(j->target->name));
  const rt_plan *plan = j->image.plan.n ? image_plan(&j->image) : NULL;
  json_int_t kernels = plan ? (json_int_t)plan->kernels.count : j->set ? (json_int_t)j->set->kernels.n : 0;
  json_object_set_new(out, "kernels", json_integer(kernels));
  json_object_set_new(out, "code_bytes", json_integer((json_int_t)j->image.object.n));
  json_object_set_new(out, "constant_bytes", json_integer(plan ? (json_int_t)plan->constants_bytes : 0));
  json_object_set_new(out, "from_cache", json_boolean(j->image_from_cache));
  json_object_set_new(out, "frontend_ms", json_real(j->frontend_ms));
  json_object_set_new(out, "passes_ms", json_real(j->passes_ms));
  json_object_set_new(out, "codegen_ms", json_real(j->codegen_ms));
  json_object_set_new(out, "prepare_ms", json_real(j->prepare_ms));
  return print_json(c, out);
}

// What the cache holds was compiled by all passes, and tells nothing of them.
static bool passes_are_usual(const cli *c) {
  const cli_options *o = &c->opt;
  return !o->print_after.n && !o->skip.n && o->pass_limit < 0 && !o->stop_after && !o->time_passes && !o->round_trip &&
         !o->explain;
}

exit_status cmd_compile(cli *c) {
  emit_kind kind = kind_of(c);
  const char *extension = emits[kind].extension, *path = c->opt.output;
  if (!path && extension) path = file_stem(c->a, c->model, extension);
  if (!ends_with(c->model, ".yaml")) {
    diag_at(&c->diags, NO_SPAN, cli_combination, str_fmt(c->a, "%s is no .yaml file", c->model));
    return fail(c);
  }
  if (kind == EMIT_so && !ends_with(path, ".so")) {
    diag_at(&c->diags, NO_SPAN, cli_option_value, "output", path, "FILE.so for a library; its header is FILE.h");
    return fail(c);
  }
  if (c->opt.json && !path) {
    diag_at(&c->diags, NO_SPAN, cli_combination,
            "--json and the text would both go to standard output; name a file with -o");
    return fail(c);
  }
  if (kind != EMIT_so && c->opt.weights_mode) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "--weights-mode is for --emit so: only a library has weights");
    return fail(c);
  }
  if (c->opt.device && kind != EMIT_so && kind != EMIT_cl) {
    diag_at(&c->diags, NO_SPAN, cli_combination, "--device is for --emit so and cl: other forms are of code for a CPU");
    return fail(c);
  }
  if (kind == EMIT_cl && !c->opt.cpu && !c->opt.device) c->opt.cpu = "opencl"; // the kernels that a device runs
  exit_status status;
  compile_job *j = job_begin(c, &status);
  if (!j) return status;
  if (kind == EMIT_so && !c->opt.no_cache && passes_are_usual(c)) compile_use_cache(j);
  if (!emit(c, j, kind, path)) return job_fail(c, j);
  job_report(c, j);
  return c->opt.json ? print_result(c, j, path) : EXIT_done;
}
