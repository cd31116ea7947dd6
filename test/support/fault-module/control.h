/* The control file (HSM_FAULT_CONTROL) as it is now. */
#ifndef CONTROL_H
#define CONTROL_H

#include "decide.h"

/* Remembers where the file is; it need not exist yet. */
void control_open(const char *file, const char *tag);

/* The real module that the file names (module=/path), or NULL. */
const char *control_module(void);

/* Notes the calling thread and, when the call names one, its mechanism. */
void control_thread(const CK_MECHANISM *mechanism);

/* Reads the file again if it was replaced. Called at every call: an atomic load, and a stat each 10 ms. */
void control_refresh(void);

/* Whether any rule is about this function. */
int control_concerns(enum function function);

/* Whether a rule applies to this call, and how. */
int control_decide(enum function function, const struct subject *subject, struct decision *decision);

/* Whether a rule of this text is still in the file. */
int control_holds(uint64_t text);

#endif
