#include "call.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "statistics.h"

const struct function_list *real;

static void wait_for(uint64_t nanoseconds) {
  struct timespec left = {(time_t)(nanoseconds / 1000000000ULL), (long)(nanoseconds % 1000000000ULL)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

static void crash(int number) {
  /* No core file: the process may hold a PIN. */
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  raise(number);
  abort();
}

static void wait_and_crash(const struct moment *moment) {
  if (moment->delay > 0) wait_for(moment->delay);
  while (moment->hang != 0 && control_holds(moment->hang)) wait_for(1000000);
  if (moment->signal != 0) crash(moment->signal);
}

static void forget(enum what what) {
  if (!real_alone()) {
    fprintf(stderr, "fault-pkcs11: calls of the real module did not end: its sessions stay as they are\n");
    return;
  }
  if (what == THE_LOGIN)
    sessions_log_out(real);
  else
    sessions_close_all(real);
  real_together();
}

int call_begin(struct call *call, enum function function, const struct subject *subject) {
  static const struct subject nothing = {NULL, NULL, 0, 0};
  if (subject == NULL) subject = &nothing;
  call->function = function;
  call->touched = 0;
  call->refused = 0;
  statistics_enter(function);
  control_thread(subject->mechanism);
  control_refresh();
  if (!control_concerns(function) || !control_decide(function, subject, &call->decision)) return 1;
  call->touched = 1;
  if (call->decision.forget) forget(call->decision.forgotten);
  wait_and_crash(&call->decision.before);
  call->rv = call->decision.before.error;
  call->refused = call->rv != CKR_OK;
  return !call->refused;
}

CK_RV call_end(struct call *call) {
  if (call->touched && !call->refused) {
    wait_and_crash(&call->decision.after);
    if (call_lost(call)) call->rv = call->decision.after.error;
  }
  statistics_leave(call->function, call->rv);
  return call->rv;
}

void call_corrupt(const struct call *call, CK_BYTE *output, CK_ULONG length) {
  if (!call->touched || !call->decision.corrupt || output == NULL || length == 0) return;
  long bit = call->decision.bit == MIDDLE ? (long)(length * 4) : call->decision.bit;
  CK_ULONG number = (CK_ULONG)bit % (length * 8);
  output[length - 1 - number / 8] ^= (CK_BYTE)(1u << (number % 8));
}
