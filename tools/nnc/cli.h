// What the files of the command line share: the state of one invocation, its options, and how it reports.
//
// One invocation is one arena. A command gets a `cli` with its options read, and returns the exit status. Nothing here
// is used by the library.
#ifndef NNC_TOOLS_CLI_H
#define NNC_TOOLS_CLI_H

#include "base/diag.h"
#include "frontend/frontend.h"

#include <jansson.h>
#include <stdio.h>

typedef enum exit_status { EXIT_done, EXIT_model, EXIT_usage, EXIT_environment } exit_status;

typedef VEC(const char *) text_list;
typedef VEC(frontend_pair) pair_list;

// The values of all options; a command reads those that tools/nnc/options.c offers for it.
typedef struct cli_options {
  bool help, json, bisect, time_passes, round_trip, explain, no_cache, clear, verify, roofline;
  const char *cpu, *device, *entry, *output, *emit, *stage, *format, *stop_after, *weights_mode, *weights_dtype,
      *precision, *approx, *profile, *svg, *pin;
  int64_t threads, runs, warmup, calls, pass_limit; // pass_limit < 0: none
  double bound;                                     // 0: not given
  text_list configs, weights, print_after, skip;
  pair_list sets, dims, in, out;
} cli_options;

typedef struct command command;

typedef struct cli {
  arena *a;
  diag_list diags; // of the command line and of the files it names; a model's own are in its compile job
  const command *cmd;
  cli_options opt;
  const char *model;          // the MODEL argument, or NULL
  const diag_list *job_diags; // of the compile job at work, or NULL
} cli;

struct command {
  const char *name;
  const char *argument; // "MODEL", or "" when there is none
  const char *doc;      // one line
  const char *details;  // paragraphs for its --help
  const char *examples; // one a line
  exit_status (*run)(cli *c);
};

extern const command commands[];
extern const size_t n_commands;

// -- options.c --
// Reads argv[1..] of a command into c->opt and c->model. false: c->diags says what is wrong with the line.
bool options_parse(cli *c, int argc, char **argv);
void options_help(const command *cmd, FILE *to); // the option list of a command

// -- main.c --
void print_help(const command *cmd, FILE *to); // NULL: of the whole program

// -- report.c --
bool colour_on(FILE *to);                             // a terminal that shows colours, and nobody asked for none
void report_diagnostics(const diag_list *l);          // on standard error
exit_status failure_status(const diag_list *l);       // of a failed step: by the kind of its first error
exit_status fail(cli *c);                             // report_diagnostics and failure_status of c->diags
json_t *json_new(cli *c);                             // an object that the arena releases
exit_status print_json(cli *c, const json_t *object); // on standard output
const char *with_separators(arena *a, uint64_t v);    // 69066 -> "69,066"
const char *bytes_text(arena *a, uint64_t bytes);     // 1536 -> "1.5 KiB"
// `file` with its folder dropped, its last extension replaced by `extension` (which may be empty).
const char *file_stem(arena *a, const char *file, const char *extension);
bool ends_with(const char *text, const char *tail);

// -- the commands --
exit_status cmd_compile(cli *c);
exit_status cmd_run(cli *c);
exit_status cmd_bench(cli *c);
exit_status cmd_verify(cli *c);
exit_status cmd_check(cli *c);
exit_status cmd_show(cli *c);
exit_status cmd_cache(cli *c);
exit_status cmd_devices(cli *c);
exit_status cmd_ops(cli *c);
exit_status cmd_version(cli *c);
exit_status cmd_help(cli *c);

#endif
