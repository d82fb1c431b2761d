// See runner.h. One mutex, and one condition for both sides: each waits for what the other does next.
#define _POSIX_C_SOURCE 200809L // pthread_sigmask
#include "api/runner.h"
#include "runtime/session.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

typedef enum runner_state { RUNNER_idle, RUNNER_asked, RUNNER_done, RUNNER_leaves } runner_state;

struct runner {
  rt_session *s;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  runner_state state;
  rt_status status;
  rt_error error;
};

static void *runner_main(void *argument) {
  runner *r = argument;
  pthread_mutex_lock(&r->lock);
  for (;;) {
    while (r->state != RUNNER_asked && r->state != RUNNER_leaves) pthread_cond_wait(&r->changed, &r->lock);
    if (r->state == RUNNER_leaves) break;
    pthread_mutex_unlock(&r->lock);
    r->error.text[0] = 0;
    r->status = rt_finish(r->s, &r->error);
    pthread_mutex_lock(&r->lock);
    r->state = RUNNER_done;
    pthread_cond_broadcast(&r->changed);
  }
  pthread_mutex_unlock(&r->lock);
  return NULL;
}

static void change(runner *r, runner_state state) {
  pthread_mutex_lock(&r->lock);
  r->state = state;
  pthread_cond_broadcast(&r->changed);
  pthread_mutex_unlock(&r->lock);
}

rt_status runner_new(runner **out, rt_session *s, rt_error *err) {
  sigset_t all, before;
  *out = NULL;
  runner *r = calloc(1, sizeof *r);
  if (!r) return rt_fail(err, RT_E_MEMORY, "out of memory");
  r->s = s;
  pthread_mutex_init(&r->lock, NULL);
  pthread_cond_init(&r->changed, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); // inherited: the host program's handlers run on its own threads
  int code = pthread_create(&r->thread, NULL, runner_main, r);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!code) {
    *out = r;
    return RT_OK;
  }
  pthread_cond_destroy(&r->changed);
  pthread_mutex_destroy(&r->lock);
  free(r);
  return rt_fail(err, RT_E_MEMORY, "the system gives no thread to run in");
}

void runner_free(runner *r) {
  if (!r) return;
  change(r, RUNNER_leaves);
  pthread_join(r->thread, NULL);
  pthread_cond_destroy(&r->changed);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

void runner_start(runner *r) { change(r, RUNNER_asked); }

rt_status runner_wait(runner *r, rt_error *err) {
  pthread_mutex_lock(&r->lock);
  while (r->state != RUNNER_done) pthread_cond_wait(&r->changed, &r->lock);
  r->state = RUNNER_idle;
  pthread_mutex_unlock(&r->lock);
  if (r->status) *err = r->error;
  return r->status;
}
