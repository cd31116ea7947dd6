/* One call through this module: counted, delayed, refused, made, and its answer changed or lost. */
#ifndef CALL_H
#define CALL_H

#include "decide.h"
#include "sessions.h"

/* The module that calls are forwarded to. */
extern const struct function_list *real;

struct call {
  enum function function;
  CK_RV rv;
  /* Whether `decision` is filled in. */
  int touched;
  /* The error came before the real call. */
  int refused;
  struct decision decision;
};

/* Answers 0 when the real call is not to be made; call->rv then says why. */
int call_begin(struct call *call, enum function function, const struct subject *subject);

/* Answers what the caller gets. */
CK_RV call_end(struct call *call);

/* Whether the caller will not get to see what the real call gave. */
static inline int call_lost(const struct call *call) { return call->touched && call->decision.after.error != CKR_OK; }

/* Flips the bit that the decision names, if it does; bit 0 is the lowest of the last byte. */
void call_corrupt(const struct call *call, CK_BYTE *output, CK_ULONG length);

#define REAL(call, name, arguments) \
  do { \
    if (real->name == NULL) { \
      (call)->rv = CKR_FUNCTION_NOT_SUPPORTED; \
    } else { \
      real_enter(); \
      (call)->rv = real->name arguments; \
      real_leave(); \
    } \
  } while (0)

#endif
