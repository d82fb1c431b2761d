// The option table, and reading a command line by it.
//
// One row an option: its name, how its value is read, where it goes in cli_options, and which commands offer it.
// getopt_long does the GNU part (abbreviations, `--name=value`, options after arguments); everything it refuses becomes
// one diagnostic.
#include "tools/nnc/cli.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

typedef enum option_kind {
  KIND_flag,   // bool
  KIND_text,   // const char *, the last one counts
  KIND_choice, // const char *, one of `choices`
  KIND_count,  // int64_t >= 0
  KIND_real,   // double > 0
  KIND_list,   // text_list
  KIND_pairs   // pair_list: NAME=VALUE
} option_kind;

enum {
  ON_compile = 1,
  ON_run = 2,
  ON_bench = 4,
  ON_verify = 8,
  ON_check = 16,
  ON_show = 32,
  ON_ops = 64,
  ON_version = 128,
  ON_cache = 256,
  ON_devices = 512,
  ON_MODEL = ON_compile | ON_run | ON_bench | ON_verify | ON_check | ON_show,
  ON_PASSES = ON_compile | ON_verify | ON_check | ON_show,
  ON_SESSION = ON_run | ON_bench | ON_verify,
  ON_ALL = ON_MODEL | ON_ops | ON_version | ON_cache | ON_devices
};

typedef struct option_row {
  const char *name;
  char letter; // 0: none
  option_kind kind;
  size_t at; // offset in cli_options
  unsigned on;
  const char *argument; // what the help calls the value
  const char *choices;  // "a|b|c"
  const char *doc;
} option_row;

#define FIELD(name) offsetof(cli_options, name)
static const option_row rows[] = {
    {"output", 'o', KIND_text, FIELD(output), ON_compile, "FILE", NULL,
     "where to write; its default is the model's name in this folder, or standard output for text"},
    {"emit", 0, KIND_choice, FIELD(emit), ON_compile, "KIND", "so|obj|graph|kernel|plan|llvm|asm|cl",
     "what to write; `so` writes a C header beside the library"},
    {"stage", 0, KIND_choice, FIELD(stage), ON_show, "STAGE", "graph|fused|kernel|plan|memory",
     "what to show; default `graph`"},
    {"format", 0, KIND_choice, FIELD(format), ON_show, "FORMAT", "text|dot",
     "`dot` draws the stages `graph` and `fused`"},
    {"in", 0, KIND_pairs, FIELD(in), ON_SESSION, "NAME=SRC", NULL,
     "an input: a file (.npy, .npz:key, .safetensors:key, .png), a number, random[:seed], zeros, iota"},
    {"out", 0, KIND_pairs, FIELD(out), ON_run, "NAME=DST", NULL,
     "where an output goes: .npy, .npz, .safetensors, .png, or - for text"},
    {"profile", 0, KIND_text, FIELD(profile), ON_run | ON_bench, "FILE", NULL,
     "write when each kernel of a run began and ended, as a trace that Perfetto opens (ui.perfetto.dev)"},
    {"entry", 0, KIND_text, FIELD(entry), ON_SESSION | ON_show, "NAME", NULL, "the entry; default `forward`"},
    {"runs", 0, KIND_count, FIELD(runs), ON_bench, "N", NULL, "timed runs; default: as many as fit in two seconds"},
    {"warmup", 0, KIND_count, FIELD(warmup), ON_bench, "N", NULL, "runs before them; default 3"},
    {"roofline", 0, KIND_flag, FIELD(roofline), ON_bench, NULL, NULL,
     "each kernel beside what the measured arithmetic and memory rates of this machine allow"},
    {"svg", 0, KIND_text, FIELD(svg), ON_bench, "FILE", NULL, "draw that as a chart; implies --roofline"},
    {"bound", 0, KIND_real, FIELD(bound), ON_verify, "B", NULL,
     "largest error allowed, relative to the largest magnitude of the output; default 1e-5, with --precision what "
     "rounding may give"},
    {"calls", 0, KIND_count, FIELD(calls), ON_verify, "N", NULL,
     "calls one after another, each with the state that the last one left; default 1, of a model with state 3"},
    {"bisect", 0, KIND_flag, FIELD(bisect), ON_verify, NULL, NULL,
     "name the pass after which the interpreted graph gives other values"},
    {"config", 0, KIND_list, FIELD(configs), ON_MODEL, "FILE", NULL,
     "a config.json or YAML whose keys override the model's `config`; INCLUDE=FILE for an included model"},
    {"set", 0, KIND_pairs, FIELD(sets), ON_MODEL, "KEY=EXPR", NULL, "overrides one key of `config`"},
    {"dim", 0, KIND_pairs, FIELD(dims), ON_MODEL, "NAME=N", NULL,
     "pins a named dim; of a .so it binds it for this run"},
    {"weights", 0, KIND_list, FIELD(weights), ON_MODEL, "FILE", NULL,
     "weights from safetensors files, or random[:SEED]; default: what the model names; of a .so: its .weights file"},
    {"weights-mode", 0, KIND_choice, FIELD(weights_mode), ON_compile, "MODE", "embed|file",
     "weights in the library, at most 1 GiB (default), or in a file beside it, NAME.weights"},
    {"approx", 0, KIND_choice, FIELD(approx), ON_MODEL, "WHAT", "linear-attention=elu1",
     "compute something else, faster: `attention` without its softmax, linear in the number of keys; warns"},
    {"weights-dtype", 0, KIND_choice, FIELD(weights_dtype), ON_MODEL, "DTYPE", "f32|bf16|f16|q8|q4",
     "how weights lie in memory: as declared (default), narrower, or in groups of 32 with one scale"},
    {"precision", 0, KIND_choice, FIELD(precision), ON_MODEL, "DTYPE", "f32|bf16|int8",
     "how tensors between kernels, and by default weights, lie in memory; `bf16` rounds them to 8 bits of precision, "
     "`int8` products with weights to bytes besides, by rows and columns"},
    {"cpu", 0, KIND_text, FIELD(cpu), ON_MODEL, "LEVEL", NULL,
     "native (default), x86-64, x86-64-v3, x86-64-v4, x86-64-v4-bf16, x86-64-v4-amx"},
    {"device", 0, KIND_text, FIELD(device), ON_SESSION | ON_show | ON_compile, "DEVICE", NULL,
     "cpu (default), auto: a GPU where there is one that can, opencl: the first GPU, else the first device of OpenCL; "
     "opencl:N as `nnc devices` counts"},
    {"threads", 0, KIND_count, FIELD(threads), ON_SESSION, "N", NULL, "threads to use; default: one a core"},
    {"pin", 0, KIND_text, FIELD(pin), ON_run | ON_bench, "CPUS", NULL,
     "binds thread i to the i-th CPU of a list such as 0,2; as many threads as it names, unless --threads says "
     "otherwise"},
    {"no-cache", 0, KIND_flag, FIELD(no_cache), ON_compile | ON_run, NULL, NULL,
     "neither read nor write the cache of compiled models and prepared weights"},
    {"clear", 0, KIND_flag, FIELD(clear), ON_cache, NULL, NULL, "remove everything"},
    {"verify", 0, KIND_flag, FIELD(verify), ON_cache, NULL, NULL, "read everything, and remove what is damaged"},
    {"print-after", 0, KIND_list, FIELD(print_after), ON_PASSES, "PASS", NULL,
     "print the graph after a pass on standard error; `all` for every pass"},
    {"skip", 0, KIND_list, FIELD(skip), ON_PASSES, "PASS", NULL, "leave a pass out"},
    {"pass-limit", 0, KIND_count, FIELD(pass_limit), ON_PASSES, "N", NULL, "run the first N passes only"},
    {"stop-after", 0, KIND_text, FIELD(stop_after), ON_PASSES, "PASS", NULL, "run no pass after this one"},
    {"time-passes", 0, KIND_flag, FIELD(time_passes), ON_PASSES, NULL, NULL, "time of each pass on standard error"},
    {"round-trip", 0, KIND_flag, FIELD(round_trip), ON_PASSES, NULL, NULL,
     "print and parse the graph after each pass, and compare"},
    {"explain", 0, KIND_flag, FIELD(explain), ON_PASSES, NULL, NULL,
     "list rewrites that change rounding on standard error"},
    {"json", 0, KIND_flag, FIELD(json), ON_ALL & ~(unsigned)ON_show, NULL, NULL,
     "the result as JSON on standard output"},
    {"help", 'h', KIND_flag, FIELD(help), ON_ALL, NULL, NULL, "this text"},
};
enum { N_ROWS = sizeof rows / sizeof *rows, LONG_BASE = 256 };

static unsigned command_bit(const command *cmd) {
  static const char *const names[] = {"compile", "run", "bench",   "verify", "check",
                                      "show",    "ops", "version", "cache",  "devices"};
  for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(names[i], cmd->name) == 0) return 1u << i;
  return 0;
}

// `help` and what else has no row of its own still knows --help.
static bool offered(const option_row *r, const command *cmd) {
  unsigned bit = command_bit(cmd);
  return bit ? (r->on & bit) != 0 : r->at == FIELD(help);
}

// -- values --

static bool bad_value(cli *c, const option_row *r, const char *value, const char *expected) {
  diag_at(&c->diags, NO_SPAN, cli_option_value, r->name, value, expected);
  return false;
}

static bool is_choice(const char *choices, str value) {
  for (const char *p = choices; *p;) {
    const char *end = strchr(p, '|');
    size_t n = end ? (size_t)(end - p) : strlen(p);
    if (str_eq((str){p, n}, value)) return true;
    p += n + (end != NULL);
  }
  return false;
}

static bool set_pair(cli *c, const option_row *r, const char *value, pair_list *list) {
  const char *equals = strchr(value, '=');
  if (!equals || equals == value || !equals[1]) return bad_value(c, r, value, r->argument);
  vec_push(c->a, list, ((frontend_pair){str_dup(c->a, (str){value, (size_t)(equals - value)}), equals + 1}));
  return true;
}

static bool set_value(cli *c, const option_row *r, const char *value) {
  void *at = (char *)&c->opt + r->at;
  int64_t count;
  double real;
  switch (r->kind) {
  case KIND_flag: *(bool *)at = true; return true;
  case KIND_text: *(const char **)at = value; return true;
  case KIND_choice:
    if (!is_choice(r->choices, str_of(value))) return bad_value(c, r, value, r->choices);
    *(const char **)at = value;
    return true;
  case KIND_count:
    if (!parse_i64(str_of(value), &count) || count < 0) return bad_value(c, r, value, "a number >= 0");
    *(int64_t *)at = count;
    return true;
  case KIND_real:
    if (!parse_f64(str_of(value), &real) || !(real > 0)) return bad_value(c, r, value, "a number > 0");
    *(double *)at = real;
    return true;
  case KIND_list: vec_push(c->a, (text_list *)at, value); return true;
  case KIND_pairs: return set_pair(c, r, value, at);
  }
  return false;
}

// -- what getopt_long refuses --

static void unknown_option(cli *c, const char *word) {
  const char *name = word + strspn(word, "-");
  size_t length = strcspn(name, "=");
  diag *d = diag_at(&c->diags, NO_SPAN, cli_option_unknown, c->cmd->name, word);
  const char *names[N_ROWS];
  size_t n = 0;
  for (size_t i = 0; i < N_ROWS; i++) {
    if (!offered(&rows[i], c->cmd)) continue;
    names[n++] = rows[i].name;
    if (length && strncmp(rows[i].name, name, length) == 0)
      diag_note_to(&c->diags, d, "it may stand for `--%s`", rows[i].name);
  }
  const char *near = d->notes.n ? NULL : str_suggest((str){name, length}, names, n);
  if (near) diag_note_to(&c->diags, d, "did you mean `--%s`?", near);
  diag_note_to(&c->diags, d, "`nnc %s --help` lists its options", c->cmd->name);
}

static const option_row *row_of(int value) {
  if (value >= LONG_BASE) return &rows[value - LONG_BASE];
  for (size_t i = 0; value > 0 && i < N_ROWS; i++)
    if (rows[i].letter == value) return &rows[i];
  return NULL;
}

static void refuse(cli *c, int what, int value, const char *word) {
  const option_row *r = row_of(value);
  if (!r) unknown_option(c, word);
  else if (what == ':') diag_at(&c->diags, NO_SPAN, cli_option_missing, r->name, r->argument);
  else diag_at(&c->diags, NO_SPAN, cli_option_extra, r->name);
}

// -- the line --

static bool read_arguments(cli *c, int n, char **words) {
  bool wanted = c->cmd->argument[0] != 0;
  if (wanted && n == 0 && !c->opt.help) {
    diag *d = diag_at(&c->diags, NO_SPAN, cli_argument_missing, c->cmd->name, c->cmd->argument);
    diag_note_to(&c->diags, d, "usage: nnc %s %s [options]", c->cmd->name, c->cmd->argument);
  }
  if (n > (wanted ? 1 : 0)) diag_at(&c->diags, NO_SPAN, cli_argument_extra, c->cmd->name, words[wanted]);
  if (wanted && n > 0) c->model = words[0];
  return !diag_failed(&c->diags);
}

bool options_parse(cli *c, int argc, char **argv) {
  struct option table[N_ROWS + 1];
  char letters[2 * N_ROWS + 2] = ":";
  size_t n = 0, n_letters = 1;
  for (size_t i = 0; i < N_ROWS; i++) {
    if (!offered(&rows[i], c->cmd)) continue;
    bool valued = rows[i].kind != KIND_flag;
    table[n++] = (struct option){rows[i].name, valued ? required_argument : no_argument, NULL, LONG_BASE + (int)i};
    if (rows[i].letter) letters[n_letters++] = rows[i].letter;
    if (rows[i].letter && valued) letters[n_letters++] = ':';
  }
  table[n] = (struct option){0};
  letters[n_letters] = 0;
  c->opt.pass_limit = -1;
  c->opt.warmup = 3;
  opterr = 0;
  for (;;) {
    int before = optind;
    int got = getopt_long(argc, argv, letters, table, NULL);
    if (got == -1) break;
    if (got == '?' || got == ':') refuse(c, got, optopt, argv[optind > before ? optind - 1 : before]);
    else set_value(c, row_of(got), optarg);
  }
  return !diag_failed(&c->diags) && read_arguments(c, argc - optind, argv + optind);
}

// -- help --

enum { HELP_COLUMN = 24, HELP_WIDTH = 100 };

// `text` in lines of at most HELP_WIDTH columns, the first of which begins at column `at`.
static void wrap(const char *text, int at, FILE *to) {
  for (; at < HELP_COLUMN; at++) fputc(' ', to);
  while (*text) {
    size_t word = strcspn(text, " ");
    if (at > HELP_COLUMN && at + 1 + (int)word > HELP_WIDTH) {
      fprintf(to, "\n%*s", HELP_COLUMN, "");
      at = HELP_COLUMN;
    } else if (at > HELP_COLUMN) {
      fputc(' ', to);
      at++;
    }
    fwrite(text, 1, word, to);
    at += (int)word;
    text += word + strspn(text + word, " ");
  }
  fputc('\n', to);
}

void options_help(const command *cmd, FILE *to) {
  for (size_t i = 0; i < N_ROWS; i++) {
    const option_row *r = &rows[i];
    if (!offered(r, cmd)) continue;
    int at = r->letter ? fprintf(to, "  -%c, --%s", r->letter, r->name) : fprintf(to, "      --%s", r->name);
    const char *value = r->choices ? r->choices : r->argument;
    if (value) at += fprintf(to, " %s", value);
    if (at >= HELP_COLUMN) {
      fputc('\n', to);
      at = 0;
    }
    wrap(r->doc, at, to);
  }
}
