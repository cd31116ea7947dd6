#ifndef DECIDE_H
#define DECIDE_H

#include "rule.h"

/* What is known of a call before it is made. */
struct subject {
  const CK_MECHANISM *mechanism;
  const CK_BYTE *blob;
  CK_ULONG blob_length;
  CK_ULONG user;
};

/* Who makes it. */
struct caller {
  const char *tag;
  /* In the order in which threads first called, from 0. */
  long thread;
  /* Of this thread's latest call that named one: C_Sign does not say what C_SignInit said. */
  long mechanism;
};

/* What happens to the call: all rules that apply, together. Times in nanoseconds, 0 for what does not happen. */
struct decision {
  int forget;
  enum what forgotten;
  enum { HERE, TOKEN_GONE, SLOTS_GONE } vanished;
  int reversed;
  int corrupt;
  long bit;
  CK_ULONG token_flags;
  struct moment {
    uint64_t delay;
    /* The text of the rule to wait for. */
    uint64_t hang;
    int signal;
    CK_RV error;
  } before, after;
};

/* Whether any rule applies to this call, and how. */
int decide(struct rule *rules, unsigned count, const struct caller *caller, enum function function,
           const struct subject *subject, struct decision *decision);

#endif
