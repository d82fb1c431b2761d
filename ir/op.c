// The operator table in memory: ir/ops.def as an array of rows.
#include "ir/op.h"

// The bare words of the table's columns.
enum {
  PURE = OPF_PURE,
  COMM = OPF_COMM,
  CMP = OPF_CMP,
  FLT = OPF_FLT,
  NUM = OPF_NUM,
  BOOLEAN = OPF_BOOLEAN,
  I32 = OPF_I32,
  REGION = OPF_REGION,
  EFFECT = OPF_EFFECT,
  COMPILED = OPF_COMPILED
};

static const op_info rows[OP_COUNT] = {
#define OP(name, cls, min_in, max_in, outs, flags, shape, attrs, yaml, doc)                                            \
  {#name, OPC_##cls, min_in, max_in, outs, flags, attrs, yaml, doc},
#include "ir/ops.def"
#undef OP
};

const op_info *op_get(op_code op) { return &rows[op]; }

bool op_find(str name, op_code *out) {
  for (int op = 0; op < OP_COUNT; op++) {
    if (!str_is(name, rows[op].name)) continue;
    *out = (op_code)op;
    return true;
  }
  return false;
}

const char *op_class_name(op_class c) {
  static const char *const names[] = {
      [OPC_leaf] = "leaf",       [OPC_unary] = "unary",     [OPC_binary] = "binary",     [OPC_ternary] = "ternary",
      [OPC_cast] = "cast",       [OPC_reduce] = "reduce",   [OPC_contract] = "contract", [OPC_movement] = "movement",
      [OPC_indexed] = "indexed", [OPC_scan] = "scan",       [OPC_ordered] = "ordered",   [OPC_random] = "random",
      [OPC_linalg] = "linalg",   [OPC_control] = "control", [OPC_effect] = "effect"};
  return names[c];
}

bool op_is_elementwise(op_code op) {
  const op_class c = rows[op].cls;
  return c == OPC_unary || c == OPC_binary || c == OPC_ternary || c == OPC_cast;
}

bool op_is_routine(op_code op) { return rows[op].cls == OPC_ordered || op == OP_scatter; }
