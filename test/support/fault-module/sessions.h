/* The real module's sessions that are open in this process, and a moment without calls to take them away in. */
#ifndef SESSIONS_H
#define SESSIONS_H

#include "function-list.h"

void sessions_add(CK_ULONG session, CK_ULONG slot);
void sessions_remove(CK_ULONG session);
void sessions_remove_slot(CK_ULONG slot);
void sessions_remove_all(void);
unsigned long sessions_open(void);

/* Around every call of the real module. */
void real_enter(void);
void real_leave(void);

/*
 * Between them no other thread is in the real module: closing a session under a running call may corrupt its memory.
 * Answers 0, and nothing is held, when calls did not end within two seconds.
 */
int real_alone(void);
void real_together(void);

/* In such a moment: closes all sessions, as a device that was unplugged, or logs the user out of the token. */
void sessions_close_all(const struct function_list *real);
void sessions_log_out(const struct function_list *real);

#endif
