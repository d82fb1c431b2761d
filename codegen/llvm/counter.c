// Loop counters, and what is counted up with them.
//
// A counter is a phi, and the loop uses it through a `freeze`: no instruction of the machine, but LLVM's scalar
// evolution does not look through it. So loop strength reduction finds nothing to do, and that is meant: with many
// addresses in a loop its search takes ten times as long as all else in the code generator, and finds nothing faster
// than what index.c has made. What it did well is done here: in a loop without loops inside, the product of the counter
// and a value from outside is a phi of its own that is added to, not a multiplication in each turn.
#include "codegen/llvm/cg.h"

LLVMValueRef cg_hidden(cg *g, LLVMValueRef phi) { return LLVMBuildFreeze(g->b, phi, ""); }

cg_counter *cg_count(cg *g, const char *name, LLVMValueRef enter, LLVMValueRef start, int64_t step, bool innermost) {
  cg_counter *c = ARENA_NEW(g->a, cg_counter);
  LLVMBasicBlockRef from = LLVMGetInstructionParent(enter);
  *c = (cg_counter){.head = LLVMGetInsertBlock(g->b), .enter = enter, .start = start, .innermost = innermost};
  c->phi = LLVMBuildPhi(g->b, g->i64, name);
  LLVMAddIncoming(c->phi, &start, &from, 1);
  c->value = cg_hidden(g, c->phi);
  c->step = step;
  return c;
}

LLVMValueRef cg_counted(cg *g, cg_counter *c, LLVMValueRef factor) {
  LLVMBasicBlockRef from = LLVMGetInstructionParent(c->enter);
  LLVMPositionBuilderBefore(g->hoist, c->enter);
  LLVMValueRef start = LLVMBuildNSWMul(g->hoist, c->start, factor, "");
  cg_multiple m = {.step = LLVMBuildNSWMul(g->hoist, cg_i64(g, c->step), factor, "")};
  LLVMPositionBuilder(g->hoist, c->head, c->value); // the first that is no phi
  m.phi = LLVMBuildPhi(g->hoist, g->i64, "");
  LLVMAddIncoming(m.phi, &start, &from, 1);
  LLVMPositionBuilder(g->hoist, c->head, LLVMGetNextInstruction(c->value));
  m.value = LLVMBuildFreeze(g->hoist, m.phi, "");
  vec_push(g->a, &c->multiples, m);
  return m.value;
}

LLVMValueRef cg_count_on(cg *g, cg_counter *c) {
  LLVMBasicBlockRef latch = LLVMGetInsertBlock(g->b);
  for (size_t i = 0; i < c->multiples.n; i++) {
    const cg_multiple *m = &c->multiples.at[i];
    LLVMValueRef next = LLVMBuildNSWAdd(g->b, m->value, m->step, "");
    LLVMAddIncoming(m->phi, &next, &latch, 1);
  }
  LLVMValueRef next = LLVMBuildNSWAdd(g->b, c->value, cg_i64(g, c->step), "");
  LLVMAddIncoming(c->phi, &next, &latch, 1);
  return next;
}
