/*
 * A host whose clock is wrong: loaded before the C library (LD_PRELOAD), it shifts what a process is told of the time of
 * day by CLOCK_SHIFT_S seconds. Clocks that only measure durations stay as they are. Programs that the process starts
 * get the same clock, whatever environment they are given.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define SHOWN __attribute__((visibility("default")))

static long shift;
static char preload_entry[4096];
static char shift_entry[64];

__attribute__((constructor)) static void read_shift(void) {
  const char *text = getenv("CLOCK_SHIFT_S");
  const char *library = getenv("LD_PRELOAD");
  if (text == NULL || library == NULL) return;
  shift = strtol(text, NULL, 10);
  snprintf(preload_entry, sizeof preload_entry, "LD_PRELOAD=%s", library);
  snprintf(shift_entry, sizeof shift_entry, "CLOCK_SHIFT_S=%ld", shift);
}

static int is_wall_clock(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

SHOWN int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, at);
  if (result == 0 && is_wall_clock(clock)) at->tv_sec += shift;
  return result;
}

SHOWN int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

SHOWN time_t time(time_t *at) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}

/* Between fork and exec nothing may be allocated: the list is on the stack. */
static int start(int (*real)(const char *, char *const[], char *const[]), const char *file, char *const arguments[],
                 char *const given[]) {
  size_t count = 0;
  while (given != NULL && given[count] != NULL) count++;
  char *with[count + 3];
  size_t kept = 0;
  for (size_t at = 0; at < count; at++) {
    if (strncmp(given[at], "LD_PRELOAD=", 11) == 0 || strncmp(given[at], "CLOCK_SHIFT_S=", 14) == 0) continue;
    with[kept++] = given[at];
  }
  if (preload_entry[0] != '\0') {
    with[kept++] = preload_entry;
    with[kept++] = shift_entry;
  }
  with[kept] = NULL;
  return real(file, arguments, with);
}

typedef int (*execute)(const char *, char *const[], char *const[]);

SHOWN int execve(const char *file, char *const arguments[], char *const given[]) {
  execute real = (execute)dlsym(RTLD_NEXT, "execve");
  return start(real, file, arguments, given);
}

SHOWN int execvpe(const char *file, char *const arguments[], char *const given[]) {
  execute real = (execute)dlsym(RTLD_NEXT, "execvpe");
  return start(real, file, arguments, given);
}

SHOWN int execvp(const char *file, char *const arguments[]) { return execvpe(file, arguments, environ); }
