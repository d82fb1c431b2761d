// `--pin CPUS`: see pin.h. CPUS is the numbers of CPUs with commas between them: "0,2".
#define _GNU_SOURCE // sched_setaffinity
#include "tools/nnc/pin.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>

static bool parse(const char *p, cpu_list *out) {
  for (char *end; out->n < CPU_SETSIZE; p = end + 1) {
    if (!isdigit((unsigned char)*p)) return false;
    unsigned long cpu = strtoul(p, &end, 10);
    if (cpu >= CPU_SETSIZE) return false;
    out->at[out->n++] = (unsigned)cpu;
    if (*end != ',') return *end == '\0';
  }
  return false;
}

static bool may_use(unsigned cpu) {
  cpu_set_t usable;
  return sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_ISSET(cpu, &usable);
}

bool pin_threads(cli *c, cpu_list *out) {
  *out = (cpu_list){NULL, 0};
  if (!c->opt.pin) return true;
  out->at = ARENA_ARRAY(c->a, unsigned, CPU_SETSIZE);
  if (!parse(c->opt.pin, out)) {
    diag_at(&c->diags, NO_SPAN, cli_option_value, "pin", c->opt.pin, "numbers of CPUs, such as 0,2");
    return false;
  }
  for (size_t i = 0; i < out->n; i++)
    if (!may_use(out->at[i])) {
      diag_at(&c->diags, NO_SPAN, run_failed, str_fmt(c->a, "this process may not use CPU %u", out->at[i]));
      return false;
    }
  if (c->opt.threads == 0) c->opt.threads = (int64_t)out->n;
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(out->at[0], &first);
  return sched_setaffinity(0, sizeof first, &first) == 0;
}
