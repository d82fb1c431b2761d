// A compile job with the options of the command line: what `compile`, `check`, `show` and `verify` work on.
#ifndef NNC_TOOLS_JOB_H
#define NNC_TOOLS_JOB_H

#include "api/compile.h"
#include "nnc/nnc.h"
#include "tools/nnc/cli.h"

// A job for c->model with all model and pass options. NULL: reported already, *status says how to leave.
compile_job *job_begin(cli *c, exit_status *status);

// After the last step of a job, failed or not: dumps, pass times, explanations and diagnostics go to standard error.
void job_report(cli *c, compile_job *j);
exit_status job_fail(cli *c, compile_job *j); // job_report and the status of the failure

bool job_is_library(const cli *c); // MODEL is a .so

// Opens MODEL through the public API, reporting diagnostics as they come; it is freed with the arena. NULL: reported,
// *status set.
nnc_module *open_module(cli *c, exit_status *status);

#endif
