// nnc: the command line. Finds the sub-command, reads its options, runs it, and turns what happened into an exit
// status.
#include "tools/nnc/cli.h"

#include <errno.h>
#include <string.h>

const command commands[] = {
    {"compile", "MODEL", "compile a model into a shared library with a C header",
     "MODEL is a .yaml file. The library holds the code, the weights and the small runtime; it needs libc, libm and "
     "libpthread\n"
     "only. Other kinds of output are intermediate forms, for looking at and for linking by hand.",
     "nnc compile models/vision/digits.yaml -o digits.so\n"
     "nnc compile models/vision/digits.yaml --emit asm --cpu x86-64-v3",
     cmd_compile},
    {"run", "MODEL", "run a model on given inputs",
     "MODEL is a .yaml file, compiled in this process, or a .so that `nnc compile` wrote. Outputs without a --out are "
     "printed.\n"
     "A dim that no file fixes is taken from --dim, else it is the low end of its range.",
     "nnc run models/vision/digits.yaml --in image=models/vision/digits/7_2.png --out probabilities=p.npy\n"
     "nnc run digits.so --in image=random:1 --dim batch=4",
     cmd_run},
    {"bench", "MODEL", "measure a model's speed",
     "MODEL is a .yaml or a .so. Inputs that are not given are random:0. Printed are the median and the 10th and 90th "
     "percentile\n"
     "of the time of a run, the arithmetic and memory rates that follow, and how much of this machine's measured peak "
     "that is.",
     "nnc bench models/vision/digits.yaml --dim batch=8 --threads 2\n"
     "nnc bench models/vision/digits.yaml --dim batch=8 --roofline --svg digits.svg\n"
     "nnc bench digits.so --runs 1000 --json",
     cmd_bench},
    {"verify", "MODEL", "compare compiled code with the interpreter",
     "MODEL is a .yaml. Every output of an entry is computed twice: by the interpreter, which is slow and obvious, and "
     "by compiled\n"
     "code. On a difference, the first step that gives other values is named with its YAML line.\n"
     "With --device, code for this CPU runs as well, and how far the device is from it is printed too.",
     "nnc verify models/vision/digits.yaml --dim batch=3\n"
     "nnc verify models/vision/digits.yaml --bisect\n"
     "nnc verify models/vision/digits.yaml --weights-dtype q8",
     cmd_verify},
    {"check", "MODEL", "list every problem of a model at once",
     "Parses MODEL and infers every type, then prints entries, dims, weights and the exact number of parameters. "
     "Operators that\n"
     "the back end does not compile yet are named; they are no errors. Weight files are read only where --weights is "
     "given.",
     "nnc check models/vision/digits.yaml\n"
     "nnc check models/vision/digits.yaml --set num_layers=12 --json",
     cmd_check},
    {"show", "MODEL", "show an intermediate form of a model",
     "Stages: graph, as written; fused, after the passes; kernel, the loops of every kernel; plan, the steps that run, "
     "and what\n"
     "those of one entry move at given dims; memory, where each buffer lies. MODEL may be a .so for the last two.",
     "nnc show models/vision/digits.yaml --stage fused\n"
     "nnc show models/vision/digits.yaml --format dot | dot -Tsvg -o digits.svg",
     cmd_show},
    {"cache", "", "look after the cache of compiled models and prepared weights",
     "Prints where the cache is, what it holds, and the caps beyond which what was used longest ago is removed. "
     "`compile` and\n"
     "`run` fill it; see ENVIRONMENT in the manual for its place and size.",
     "nnc cache\nnnc cache --verify\nnnc cache --clear", cmd_cache},
    {"devices", "", "list the OpenCL devices, with their limits",
     "What `--device opencl:N` may name: every device of every OpenCL driver on this machine, and the limits that "
     "kernels meet.\n"
     "OpenCL is opened when it is asked for; without it nnc runs models on the CPU.",
     "nnc devices\nnnc devices --json", cmd_devices},
    {"ops", "", "list the operators",
     "The operator table of the graph: name, class, what it means, and whether the back end compiles it.",
     "nnc ops\nnnc ops --json", cmd_ops},
    {"version", "", "print versions and the CPU level",
     "The versions of nnc and of LLVM, and the CPU level that `--cpu native` stands for.", "nnc version", cmd_version},
    {"help", "", "print this, or the help of a command", "", "nnc help run", cmd_help},
};
const size_t n_commands = sizeof commands / sizeof *commands;

static void print_examples(const char *examples, FILE *to) {
  while (*examples) {
    size_t n = strcspn(examples, "\n");
    fprintf(to, "  %.*s\n", (int)n, examples);
    examples += n + (examples[n] == '\n');
  }
}

void print_help(const command *cmd, FILE *to) {
  if (cmd) {
    fprintf(to, "usage: nnc %s%s%s [options]\n\n%s\n\nOptions:\n", cmd->name, cmd->argument[0] ? " " : "",
            cmd->argument, cmd->details);
    options_help(cmd, to);
    fputs("\nExamples:\n", to);
    print_examples(cmd->examples, to);
    return;
  }
  fputs("nnc compiles neural networks, described in YAML, into native code, and runs them.\n\nusage: nnc COMMAND "
        "[MODEL] [options]\n\n"
        "Commands:\n",
        to);
  for (size_t i = 0; i < n_commands; i++) fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].doc);
  fputs("\n`nnc COMMAND --help` lists a command's options.\n\nExamples:\n"
        "  nnc run models/vision/digits.yaml --in image=models/vision/digits/7_2.png\n"
        "  nnc compile models/vision/digits.yaml -o digits.so\n\n"
        "Exit status: 0 done; 1 the model or an input is wrong; 2 the command line is wrong; 3 a file, memory or the "
        "machine\n"
        "failed.\n",
        to);
}

static const command *find_command(const char *name) {
  for (size_t i = 0; i < n_commands; i++)
    if (strcmp(commands[i].name, name) == 0) return &commands[i];
  return NULL;
}

static exit_status no_such_command(cli *c, const char *name) {
  const char *names[sizeof commands / sizeof *commands];
  for (size_t i = 0; i < n_commands; i++) names[i] = commands[i].name;
  diag *d = diag_at(&c->diags, NO_SPAN, cli_command_unknown, name);
  const char *near = str_suggest(str_of(name), names, n_commands);
  if (near) diag_note_to(&c->diags, d, "did you mean `nnc %s`?", near);
  diag_note_to(&c->diags, d, "`nnc --help` lists the commands");
  return fail(c);
}

exit_status cmd_help(cli *c) {
  const command *cmd = c->model ? find_command(c->model) : NULL;
  if (c->model && !cmd) return no_such_command(c, c->model);
  print_help(cmd, stdout);
  return EXIT_done;
}

static exit_status run_command(cli *c, int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : NULL;
  if (!name) {
    diag *d = diag_at(&c->diags, NO_SPAN, cli_command_missing);
    diag_note_to(&c->diags, d, "`nnc --help` lists the commands");
    return fail(c);
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
  if (strcmp(name, "--version") == 0) name = "version";
  c->cmd = find_command(name);
  if (!c->cmd) return no_such_command(c, name);
  if (c->cmd->run == cmd_help && argc == 3)
    c->model = argv[2]; // `nnc help run`: the word is a command, not an option's
  else if (!options_parse(c, argc - 1, argv + 1)) return fail(c);
  if (c->opt.help) {
    print_help(c->cmd->run == cmd_help ? NULL : c->cmd, stdout);
    return EXIT_done;
  }
  return c->cmd->run(c);
}

static exit_status run_guarded(cli *c, int argc, char **argv) {
  switch (setjmp(*arena_guard(c->a))) {
  case 0: return run_command(c, argc, argv);
  case 1: fputs("error: out of memory\n", stderr); return EXIT_environment;
  default: // an internal error: its text lies in the list that met it
    if (c->job_diags) report_diagnostics(c->job_diags);
    else report_diagnostics(&c->diags);
    return EXIT_environment;
  }
}

int main(int argc, char **argv) {
  cli c = {.a = arena_new(NULL)};
  if (!c.a) {
    fputs("error: out of memory\n", stderr);
    return EXIT_environment;
  }
  exit_status status = EXIT_environment;
  if (!setjmp(*arena_guard(c.a))) diag_init(&c.diags, c.a);
  if (c.diags.scratch) status = run_guarded(&c, argc, argv);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "error: cannot write standard output: %s\n", strerror(errno));
    if (status == EXIT_done) status = EXIT_environment;
  }
  arena_free(c.a);
  return (int)status;
}
