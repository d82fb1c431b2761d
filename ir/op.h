// The operator table in C: enum and per-operator facts derived from ir/ops.def.
#ifndef NNC_IR_OP_H
#define NNC_IR_OP_H

#include "base/str.h"

typedef enum op_code {
#define OP(name, cls, min_in, max_in, outs, flags, shape, attrs, yaml, doc) OP_##name,
#include "ir/ops.def"
#undef OP
  OP_COUNT
} op_code;

typedef enum op_class {
  OPC_leaf,
  OPC_unary,
  OPC_binary,
  OPC_ternary,
  OPC_cast,
  OPC_reduce,
  OPC_contract,
  OPC_movement,
  OPC_indexed,
  OPC_scan,
  OPC_ordered,
  OPC_random,
  OPC_linalg,
  OPC_control,
  OPC_effect
} op_class;

enum op_flag {
  OPF_PURE = 1,
  OPF_COMM = 2,
  OPF_CMP = 4,
  OPF_FLT = 8,
  OPF_NUM = 16,
  OPF_BOOLEAN = 32,
  OPF_I32 = 64,
  OPF_REGION = 128,
  OPF_EFFECT = 256,
  OPF_COMPILED = 512
};

enum { OP_ANY = 255 }; // "any number" of operands or results

typedef struct op_info {
  const char *name;
  op_class cls;
  uint8_t min_in, max_in, outs;
  uint16_t flags;
  const char *attrs; // "key:kind" list, '?' = optional
  const char *yaml;  // "" = same as name, "-" = none
  const char *doc;
} op_info;

const op_info *op_get(op_code op);    // never NULL
bool op_find(str name, op_code *out); // by IR spelling
const char *op_class_name(op_class c);
static inline bool op_has(op_code op, unsigned flag) { return (op_get(op)->flags & flag) != 0; }
bool op_is_elementwise(op_code op); // unary, binary, ternary, cast
bool op_is_routine(op_code op);     // branches rather than arithmetic: a routine of the runtime, no kernel

#endif
