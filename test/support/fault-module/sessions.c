#include "sessions.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "statistics.h"

#define MAX_SESSIONS 16384

static struct {
  CK_ULONG session, slot;
} open_sessions[MAX_SESSIONS];
static unsigned long listed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void sessions_add(CK_ULONG session, CK_ULONG slot) {
  pthread_mutex_lock(&lock);
  if (listed < MAX_SESSIONS) {
    open_sessions[listed].session = session;
    open_sessions[listed].slot = slot;
    __atomic_store_n(&listed, listed + 1, __ATOMIC_RELAXED);
    add(&mine->sessions_opened, 1);
  }
  pthread_mutex_unlock(&lock);
}

/* Takes out what is meant: one session, or all of a slot. */
static void take_out(int whole_slot, CK_ULONG which) {
  pthread_mutex_lock(&lock);
  unsigned long left = 0;
  for (unsigned long index = 0; index < listed; index += 1)
    if ((whole_slot ? open_sessions[index].slot : open_sessions[index].session) != which)
      open_sessions[left++] = open_sessions[index];
  add(&mine->sessions_closed, listed - left);
  __atomic_store_n(&listed, left, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&lock);
}

void sessions_remove(CK_ULONG session) { take_out(0, session); }
void sessions_remove_slot(CK_ULONG slot) { take_out(1, slot); }

void sessions_remove_all(void) {
  pthread_mutex_lock(&lock);
  add(&mine->sessions_closed, listed);
  __atomic_store_n(&listed, 0, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&lock);
}

unsigned long sessions_open(void) { return __atomic_load_n(&listed, __ATOMIC_RELAXED); }

static unsigned long inside;
static int closed;
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;

void real_enter(void) {
  for (;;) {
    __atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&closed, __ATOMIC_SEQ_CST)) return;
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&closed, __ATOMIC_SEQ_CST)) usleep(50);
  }
}

void real_leave(void) { __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST); }

int real_alone(void) {
  pthread_mutex_lock(&alone);
  __atomic_store_n(&closed, 1, __ATOMIC_SEQ_CST);
  for (int turn = 0; turn < 40000; turn += 1) {
    if (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 0) return 1;
    usleep(50);
  }
  real_together();
  return 0;
}

void real_together(void) {
  __atomic_store_n(&closed, 0, __ATOMIC_SEQ_CST);
  pthread_mutex_unlock(&alone);
}

void sessions_close_all(const struct function_list *real) {
  if (real->C_CloseSession == NULL) return;
  pthread_mutex_lock(&lock);
  for (unsigned long index = 0; index < listed; index += 1) real->C_CloseSession(open_sessions[index].session);
  pthread_mutex_unlock(&lock);
  sessions_remove_all();
}

void sessions_log_out(const struct function_list *real) {
  if (real->C_Logout == NULL) return;
  pthread_mutex_lock(&lock);
  /* One of a slot is enough; the others answer that nobody is logged in. */
  for (unsigned long index = 0; index < listed; index += 1) real->C_Logout(open_sessions[index].session);
  pthread_mutex_unlock(&lock);
}
