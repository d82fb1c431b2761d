// nnc ops, nnc version: what this build knows.
#include "api/compile.h"
#include "nnc/nnc.h"
#include "tools/nnc/cli.h"

exit_status cmd_ops(cli *c) {
  json_t *out = json_new(c), *list = json_array();
  json_object_set_new(out, "ops", list);
  for (op_code op = 0; op < OP_COUNT; op++) {
    const op_info *info = op_get(op);
    bool compiled = op_has(op, OPF_COMPILED);
    const char *yaml = info->yaml[0] ? info->yaml : info->name;
    if (c->opt.json)
      json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s}", "name", info->name, "class",
                                            op_class_name(info->cls), "yaml", yaml, "compiled", compiled, "attributes",
                                            info->attrs, "doc", info->doc));
    else
      printf("%-12s%-10s%-14s%-13s%s\n", info->name, op_class_name(info->cls), yaml,
             compiled ? "compiled" : "interpreted", info->doc);
  }
  return c->opt.json ? print_json(c, out) : EXIT_done;
}

exit_status cmd_version(cli *c) {
  compile_job *j = ARENA_NEW(c->a, compile_job);
  if (!compile_begin(j, c->a, "", NULL, NULL, NULL)) {
    report_diagnostics(&j->diags);
    return failure_status(&j->diags);
  }
  const llvm_backend *llvm = compile_open_llvm(j);
  const target *t = target_native();
  if (c->opt.json) {
    json_t *out = json_new(c);
    json_object_set_new(out, "version", json_string(nnc_version()));
    json_object_set_new(out, "llvm", llvm ? json_string(llvm->version) : json_null());
    json_object_set_new(out, "cpu", json_string(t->name));
    json_object_set_new(out, "l1_bytes", json_integer(t->l1_bytes));
    json_object_set_new(out, "l2_bytes", json_integer(t->l2_bytes));
    return print_json(c, out);
  }
  printf("nnc %s\nLLVM %s\ncpu %s, L1 %s, L2 %s\n", nnc_version(), llvm ? llvm->version : "not found", t->name,
         bytes_text(c->a, t->l1_bytes), bytes_text(c->a, t->l2_bytes));
  return EXIT_done;
}
