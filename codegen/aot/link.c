// Linking an AOT library: the system linker is called directly against the C library's own files, so that no compiler
// and no development package is needed. Inputs and the result lie in a private temporary folder.
#define _GNU_SOURCE // dladdr
#include "base/file.h"
#include "codegen/aot/aot.h"
#include "codegen/elf/elf.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char nnc_runtime_archive[], nnc_runtime_archive_end[]; // libnncrt.a, embedded when nnc was built
extern char **environ;

typedef struct workspace {
  char *folder;
  VEC(char *) files;
} workspace;

static void remove_workspace(void *handle) {
  workspace *w = handle;
  for (size_t i = 0; i < w->files.n; i++) unlink(w->files.at[i]);
  rmdir(w->folder);
}

static char *put(arena *a, diag_list *l, workspace *w, const char *name, str content) {
  char *path = str_fmt(a, "%s/%s", w->folder, name);
  vec_push(a, &w->files, path);
  return file_write(a, l, path, content, 0600) ? path : NULL;
}

// The folder that the C library was loaded from: `-l:libc.so.6` is looked for there.
static const char *libc_folder(arena *a) {
  Dl_info info;
  void *f = dlsym(RTLD_DEFAULT, "qsort");
  if (!f || !dladdr(f, &info) || !info.dli_fname) return "/lib";
  const char *slash = strrchr(info.dli_fname, '/');
  return slash ? str_dup(a, (str){info.dli_fname, (size_t)(slash - info.dli_fname)}) : "/lib";
}

// Runs the linker; what it says on standard error goes into the diagnostic.
static bool run_linker(arena *a, diag_list *l, char *const *argv, const char *log) {
  posix_spawn_file_actions_t actions;
  pid_t child;
  int status = 0;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  int failed = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed) {
    diag_note_to(l, diag_at(l, NO_SPAN, linker_failed, strerror(failed)),
                 "`ld` (binutils) is needed to write a library; `--emit obj` needs no linker");
    return false;
  }
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  str said = {"", 0};
  diag_list ignore;
  diag_init(&ignore, a);
  file_read(a, &ignore, log, 1 << 16, &said);
  diag_at(l, NO_SPAN, linker_failed, said.n ? said.p : "no message");
  return false;
}

// The functions that a library offers under the model's name, and what they are called in the runtime.
typedef enum library_kind { PLAIN, WITH_FILE, ON_DEVICE, N_KINDS } library_kind;
static const struct {
  const char *name, *called[N_KINDS]; // NULL: not offered
} functions[] = {{"open", {"nnc_aot_open", "nnc_aot_open_beside", "nnc_aot_open_opencl"}},
                 {"open_file", {NULL, "nnc_aot_open_file", NULL}},
                 {"open_device", {NULL, NULL, "nnc_aot_open_device"}},
                 {"close", {"nnc_aot_close", "nnc_aot_close", "nnc_aot_close"}},
                 {"call", {"nnc_aot_call", "nnc_aot_call", "nnc_aot_call"}},
                 {"error", {"nnc_aot_error", "nnc_aot_error", "nnc_aot_error"}},
                 {"reset", {"nnc_aot_reset", "nnc_aot_reset", "nnc_aot_reset"}},
                 {"set_dim", {"nnc_aot_set_dim", "nnc_aot_set_dim", "nnc_aot_set_dim"}}};
enum { N_FUNCTIONS = sizeof functions / sizeof *functions };

static const char *runtime_name(const aot_library *lib, size_t i) {
  return functions[i].called[lib->on_device ? ON_DEVICE : lib->weights_in_file ? WITH_FILE : PLAIN];
}

static str exports(arena *a, const aot_library *lib) {
  strbuf script;
  sb_init(&script, a);
  sb_z(&script, "{ global: nnc_aot_model; ");
  for (size_t i = 0; i < N_FUNCTIONS; i++)
    if (runtime_name(lib, i)) sb_fmt(&script, "%s_%s; ", lib->prefix, functions[i].name);
  sb_z(&script, "local: *; };\n");
  return sb_str(&script);
}

bool aot_link(arena *a, diag_list *l, const aot_library *lib, str *linked) {
  workspace *w = ARENA_NEW(a, workspace);
  const char *tmp = getenv("TMPDIR");
  w->folder = str_fmt(a, "%s/nnc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(w->folder)) {
    diag_at(l, NO_SPAN, file_write, w->folder, strerror(errno));
    return false;
  }
  arena_defer(a, remove_workspace, w);
  const char *base = strrchr(lib->path, '/');
  base = base ? base + 1 : lib->path;
  VEC(char *) argv = {0};
  char *out = str_fmt(a, "%s/out.so", w->folder), *log = str_fmt(a, "%s/log", w->folder);
  vec_push(a, &w->files, out);
  vec_push(a, &w->files, log);
  char *names = put(a, l, w, "exports.map", exports(a, lib)),
       *script = put(a, l, w, "weights.ld", str_of(elf_weights_script));
  char *archive =
      put(a, l, w, "libnncrt.a", (str){nnc_runtime_archive, (size_t)(nnc_runtime_archive_end - nnc_runtime_archive)});
  if (!names || !script || !archive) return false;
  static const char *const head[] = {"ld",         "-shared", "--gc-sections", "-s", "-Bsymbolic",  "-z",
                                     "relro",      "-z",      "now",           "-z", "noexecstack", "--build-id=none",
                                     "--as-needed"};
  for (size_t i = 0; i < sizeof head / sizeof *head; i++) vec_push(a, &argv, str_dup(a, str_of(head[i])));
  vec_push(a, &argv, str_fmt(a, "--version-script=%s", names));
  vec_push(a, &argv, str_fmt(a, "-soname=%s", base));
  for (size_t i = 0; i < N_FUNCTIONS; i++) {
    const char *name = runtime_name(lib, i);
    if (!name) continue;
    vec_push(a, &argv, str_fmt(a, "--undefined=%s", name));
    vec_push(a, &argv, str_fmt(a, "--defsym=%s_%s=%s", lib->prefix, functions[i].name, name));
  }
  for (size_t i = 0; i < lib->n_objects; i++) {
    char *object = put(a, l, w, str_fmt(a, "part%zu.o", i), lib->objects[i]);
    if (!object) return false;
    vec_push(a, &argv, object);
  }
  vec_push(a, &argv, archive);
  if (!lib->weights_in_file) {
    vec_push(a, &argv, str_dup(a, str_of("-T")));
    vec_push(a, &argv, script);
  }
  vec_push(a, &argv, str_fmt(a, "-L%s", libc_folder(a)));
  vec_push(a, &argv, str_dup(a, str_of("-l:libc.so.6")));
  vec_push(a, &argv, str_dup(a, str_of("-l:libm.so.6")));
  vec_push(a, &argv, str_dup(a, str_of("-o")));
  vec_push(a, &argv, out);
  vec_push(a, &argv, NULL);
  return run_linker(a, l, argv.at, log) && file_read(a, l, out, SIZE_MAX / 2, linked);
}
