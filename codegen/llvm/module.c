// LLVM modules: made, filled, turned into code, released.
#include "codegen/llvm/module.h"
#include "codegen/llvm/cg.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// Registering targets writes LLVM's globals: once a process.
static pthread_once_t targets_once = PTHREAD_ONCE_INIT;

static void register_targets(void) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
}

static const char triple[] = "x86_64-unknown-linux-gnu";

LLVMTargetMachineRef module_machine(const target *t, char **why) {
  pthread_once(&targets_once, register_targets);
  LLVMTargetRef machine_class;
  if (LLVMGetTargetFromTriple(triple, &machine_class, why)) return NULL;
  // 512-bit vectors are what the schedules count on
  bool wide = t->vector_bytes == 64;
  char features[96];
  snprintf(features, sizeof features, "%s%s%s", wide ? "-prefer-256-bit" : "",
           t->has_bf16 ? ",+avx512bf16,+avx512vnni" : "", t->has_amx ? ",+amx-tile,+amx-bf16" : "");
  cpu_level level = t->level < CPU_x86_64_v4 ? t->level : CPU_x86_64_v4; // whose names are LLVM's
  return LLVMCreateTargetMachine(machine_class, triple, target_level_name(level), features, LLVMCodeGenLevelLess,
                                 LLVMRelocPIC, LLVMCodeModelDefault);
}

bool module_failed(diag_list *l, const char *what, const char *text) {
  diag_at(l, NO_SPAN, codegen_llvm, what, text == NULL ? "no reason given" : text);
  return false;
}

void module_release(llvm_module *m) {
  if (m->result != NULL) LLVMDisposeMemoryBuffer(m->result);
  if (m->message != NULL) LLVMDisposeMessage(m->message);
  if (m->hoist != NULL) LLVMDisposeBuilder(m->hoist);
  if (m->b != NULL) LLVMDisposeBuilder(m->b);
  if (m->mod != NULL) LLVMDisposeModule(m->mod);
  if (m->ctx != NULL) LLVMContextDispose(m->ctx);
  memset(m, 0, sizeof *m);
}

// -- emission --

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
  llvm_module *m = user;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || m->error[0] != '\0') return;
  char *text = LLVMGetDiagInfoDescription(info);
  snprintf(m->error, sizeof m->error, "%s", text);
  LLVMDisposeMessage(text);
}

static void open_module(llvm_module *m, LLVMTargetMachineRef machine) {
  m->ctx = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(m->ctx, on_diagnostic, m);
  m->mod = LLVMModuleCreateWithNameInContext("nnc", m->ctx);
  m->b = LLVMCreateBuilderInContext(m->ctx);
  m->hoist = LLVMCreateBuilderInContext(m->ctx);
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
  LLVMSetTarget(m->mod, triple);
  LLVMSetModuleDataLayout(m->mod, layout);
  LLVMDisposeTargetData(layout);
}

static cg emitter(const llvm_module *m, arena *a, diag_list *l, const target *t) {
  return (cg){.a = a,
              .l = l,
              .t = t,
              .ctx = m->ctx,
              .mod = m->mod,
              .b = m->b,
              .hoist = m->hoist,
              .i1 = LLVMInt1TypeInContext(m->ctx),
              .i8 = LLVMInt8TypeInContext(m->ctx),
              .i16 = LLVMInt16TypeInContext(m->ctx),
              .i32 = LLVMInt32TypeInContext(m->ctx),
              .i64 = LLVMInt64TypeInContext(m->ctx),
              .f32 = LLVMFloatTypeInContext(m->ctx),
              .f64 = LLVMDoubleTypeInContext(m->ctx),
              .ptr = LLVMPointerTypeInContext(m->ctx, 0),
              .void_type = LLVMVoidTypeInContext(m->ctx),
              .vl = t->vector_bytes / 4};
}

bool module_check(llvm_module *m, diag_list *l) {
#ifdef NDEBUG
  (void)m;
  (void)l;
  return true;
#else
  if (LLVMVerifyModule(m->mod, LLVMReturnStatusAction, &m->message)) return module_failed(l, "module", m->message);
  LLVMDisposeMessage(m->message); // empty, but there
  m->message = NULL;
  return true;
#endif
}

bool module_add(llvm_module *m, arena *scratch, diag_list *l, const target *t, LLVMTargetMachineRef machine,
                kir_kernel *k, size_t *scratch_bytes) {
  if (m->mod == NULL) open_module(m, machine);
  cg g = emitter(m, scratch, l, t);
  return cg_kernel(&g, k, scratch_bytes);
}

bool module_generate(llvm_module *m, LLVMTargetMachineRef machine, LLVMCodeGenFileType kind) {
  return !LLVMTargetMachineEmitToMemoryBuffer(machine, m->mod, kind, &m->message, &m->result) && m->error[0] == '\0';
}
