// The back end's entry points: kernels to a module, a module to an object or to text.
//
// Each call owns one LLVM context, module and target machine, so calls on different threads are independent. All of it
// is released before the call returns, and also when the arena unwinds: the session is on the arena's cleanup list
// before anything foreign is made. No arena is touched inside LLVM's frames (its callbacks copy into fixed buffers), so
// no jump ever crosses them.
#include "codegen/llvm/cg.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Target.h>
#include <llvm-c/TargetMachine.h>
#include <llvm/Config/llvm-config.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

// -- a session: everything of LLVM that must be released --

typedef struct session {
  arena *scratch; // what emission allocates
  LLVMContextRef ctx;
  LLVMModuleRef mod;
  LLVMBuilderRef b, hoist;
  LLVMTargetMachineRef machine;
  LLVMTargetDataRef layout;
  LLVMMemoryBufferRef result;
  char *message;   // of LLVM
  char error[512]; // the first error that LLVM reported to the context
} session;

static void release(void *p) {
  session *s = p;
  if (s->result != NULL) LLVMDisposeMemoryBuffer(s->result);
  if (s->message != NULL) LLVMDisposeMessage(s->message);
  if (s->layout != NULL) LLVMDisposeTargetData(s->layout);
  if (s->machine != NULL) LLVMDisposeTargetMachine(s->machine);
  if (s->hoist != NULL) LLVMDisposeBuilder(s->hoist);
  if (s->b != NULL) LLVMDisposeBuilder(s->b);
  if (s->mod != NULL) LLVMDisposeModule(s->mod);
  if (s->ctx != NULL) LLVMContextDispose(s->ctx);
  arena_free(s->scratch);
  memset(s, 0, sizeof *s);
}

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *user) {
  session *s = user;
  if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || s->error[0] != '\0') return;
  char *text = LLVMGetDiagInfoDescription(info);
  snprintf(s->error, sizeof s->error, "%s", text);
  LLVMDisposeMessage(text);
}

// Registering targets writes LLVM's globals: once a process.
static pthread_once_t targets_once = PTHREAD_ONCE_INIT;

static void register_targets(void) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
}

static const char triple[] = "x86_64-unknown-linux-gnu";

static bool failed(diag_list *l, const char *what, const char *text) {
  diag_at(l, NO_SPAN, codegen_llvm, what, text == NULL ? "no reason given" : text);
  return false;
}

static bool open_session(session *s, diag_list *l, const target *t) {
  pthread_once(&targets_once, register_targets);
  LLVMTargetRef machine_class;
  if (LLVMGetTargetFromTriple(triple, &machine_class, &s->message)) return failed(l, "target", s->message);
  // 512-bit vectors are what the schedules count on
  const char *features = t->vector_bytes == 64 ? "-prefer-256-bit" : "";
  s->machine = LLVMCreateTargetMachine(machine_class, triple, t->name, features, LLVMCodeGenLevelLess, LLVMRelocPIC,
                                       LLVMCodeModelDefault);
  if (s->machine == NULL) return failed(l, "target machine", t->name);
  s->ctx = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(s->ctx, on_diagnostic, s);
  s->mod = LLVMModuleCreateWithNameInContext("nnc", s->ctx);
  s->b = LLVMCreateBuilderInContext(s->ctx);
  s->hoist = LLVMCreateBuilderInContext(s->ctx);
  s->layout = LLVMCreateTargetDataLayout(s->machine);
  LLVMSetTarget(s->mod, triple);
  LLVMSetModuleDataLayout(s->mod, s->layout);
  return true;
}

// -- emission --

static cg emitter(const session *s, arena *a, diag_list *l, const target *t) {
  return (cg){.a = a,
              .l = l,
              .t = t,
              .ctx = s->ctx,
              .mod = s->mod,
              .b = s->b,
              .hoist = s->hoist,
              .i1 = LLVMInt1TypeInContext(s->ctx),
              .i8 = LLVMInt8TypeInContext(s->ctx),
              .i16 = LLVMInt16TypeInContext(s->ctx),
              .i32 = LLVMInt32TypeInContext(s->ctx),
              .i64 = LLVMInt64TypeInContext(s->ctx),
              .f32 = LLVMFloatTypeInContext(s->ctx),
              .f64 = LLVMDoubleTypeInContext(s->ctx),
              .ptr = LLVMPointerTypeInContext(s->ctx, 0),
              .void_type = LLVMVoidTypeInContext(s->ctx),
              .vl = t->vector_bytes / 4};
}

static bool check_module(session *s, diag_list *l) {
#ifdef NDEBUG
  (void)s;
  (void)l;
  return true;
#else
  if (LLVMVerifyModule(s->mod, LLVMReturnStatusAction, &s->message)) return failed(l, "module", s->message);
  LLVMDisposeMessage(s->message); // empty, but there
  s->message = NULL;
  return true;
#endif
}

static bool emit_kernels(session *s, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels,
                         size_t *scratch_bytes) {
  if (setjmp(*arena_guard(s->scratch)) != 0) {
    diag_at(l, NO_SPAN, out_of_memory);
    return false;
  }
  cg g = emitter(s, s->scratch, l, t);
  for (size_t i = 0; i < n; i++) {
    if (!cg_kernel(&g, kernels[i], &scratch_bytes[i])) return false;
  }
  return check_module(s, l);
}

// Object or assembly in s->result.
static bool generate(session *s, diag_list *l, LLVMCodeGenFileType kind) {
  if (LLVMTargetMachineEmitToMemoryBuffer(s->machine, s->mod, kind, &s->message, &s->result)) {
    return failed(l, "code generation", s->message);
  }
  return s->error[0] == '\0' ? true : failed(l, "code generation", s->error);
}

static session *new_session(arena *a, diag_list *l) {
  session *s = ARENA_NEW(a, session);
  arena_defer(a, release, s);
  s->scratch = arena_new(arena_source(a));
  if (s->scratch == NULL) diag_at(l, NO_SPAN, out_of_memory);
  return s->scratch == NULL ? NULL : s;
}

static bool backend_compile(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels,
                            llvm_object *out) {
  size_t *scratch_bytes = ARENA_ARRAY(a, size_t, n);
  session *s = new_session(a, l);
  bool ok = s != NULL && open_session(s, l, t) && emit_kernels(s, l, t, n, kernels, scratch_bytes) &&
            generate(s, l, LLVMObjectFile);
  if (ok) {
    size_t size = LLVMGetBufferSize(s->result);
    *out = (llvm_object){{arena_copy(a, LLVMGetBufferStart(s->result), size), size}, n, scratch_bytes};
  }
  if (s != NULL) release(s);
  return ok;
}

static bool backend_dump(arena *a, diag_list *l, const target *t, size_t n, kir_kernel *const *kernels, bool assembly,
                         strbuf *out) {
  size_t *scratch_bytes = ARENA_ARRAY(a, size_t, n);
  session *s = new_session(a, l);
  bool ok = s != NULL && open_session(s, l, t) && emit_kernels(s, l, t, n, kernels, scratch_bytes);
  if (ok && assembly) {
    ok = generate(s, l, LLVMAssemblyFile);
    if (ok) sb_bytes(out, LLVMGetBufferStart(s->result), LLVMGetBufferSize(s->result));
  } else if (ok) {
    s->message = LLVMPrintModuleToString(s->mod);
    sb_z(out, s->message);
  }
  if (s != NULL) release(s);
  return ok;
}

__attribute__((visibility("default"))) const llvm_backend *nnc_llvm_backend(void) {
  static const llvm_backend table = {
      .abi = NNC_LLVM_ABI, .version = LLVM_VERSION_STRING, .compile = backend_compile, .dump = backend_dump};
  return &table;
}
