#include "statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(offsetof(struct statistics, rules) == 4096, "statistics.ts counts on it");
_Static_assert(offsetof(struct statistics, processes) == 4096 + 24 * RULE_COUNTERS, "statistics.ts counts on it");
_Static_assert(sizeof(struct process_statistics) == 2000, "statistics.ts counts on it");
_Static_assert(FN_COUNT == 68 && FN_COUNT <= 72 && ACTION_COUNT <= 16, "each has a column");

struct statistics *all;
struct process_statistics *mine;

/* Whether the file is ours, or new. Two processes that find it new write the same bytes. */
static int prepared(int file) {
  struct stat status;
  char magic[8];
  if (fstat(file, &status) != 0) return 0;
  if (status.st_size == 0)
    return ftruncate(file, sizeof(struct statistics)) == 0 && pwrite(file, STATISTICS_MAGIC, 8, 0) == 8;
  if (status.st_size == sizeof(struct statistics) && pread(file, magic, 8, 0) == 8 &&
      memcmp(magic, STATISTICS_MAGIC, 8) == 0)
    return 1;
  errno = EINVAL;
  return 0;
}

static void *mapped(const char *path) {
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  void *memory = MAP_FAILED;
  if (file >= 0 && prepared(file))
    memory = mmap(NULL, sizeof(struct statistics), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED)
    fprintf(stderr, "fault-pkcs11: HSM_FAULT_STATS %s cannot be used (%s): delete it, or name a file of its own\n", path,
            strerror(errno));
  if (file >= 0) close(file);
  return memory;
}

void statistics_open(const char *path, const char *tag) {
  void *memory = path == NULL ? MAP_FAILED : mapped(path);
  if (memory == MAP_FAILED)
    memory = mmap(NULL, sizeof(struct statistics), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static struct statistics last_resort;
  all = memory == MAP_FAILED ? &last_resort : memory;
  uint64_t index = add(&all->used, 1);
  int shared = index >= PROCESSES - 1;
  mine = &all->processes[shared ? PROCESSES - 1 : index].process;
  strncpy(mine->tag, shared ? "(further processes)" : tag, sizeof mine->tag - 1);
  __atomic_store_n(&mine->pid, shared ? 0 : (uint64_t)getpid(), __ATOMIC_RELEASE);
}

struct rule_counter *statistics_rule(uint64_t file_identity, unsigned index) {
  const uint64_t emptying = 1;
  /* Neighbours, so that two rules of one file never meet in a counter; older files' counters are taken over. */
  struct rule_counter *counter = &all->rules[(file_identity + index) % RULE_COUNTERS];
  uint64_t key = (file_identity * 64 + index) | 2;
  uint64_t found = __atomic_load_n(&counter->key, __ATOMIC_ACQUIRE);
  while (found != key) {
    if (found == emptying) { /* another process is about to finish, unless it was killed just there */
      for (int turn = 0; turn < 100 && found == emptying; turn += 1) {
        usleep(100);
        found = __atomic_load_n(&counter->key, __ATOMIC_ACQUIRE);
      }
      if (found == key) break;
    }
    if (!__atomic_compare_exchange_n(&counter->key, &found, emptying, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) continue;
    counter->matched = 0;
    counter->applied = 0;
    __atomic_store_n(&counter->key, key, __ATOMIC_RELEASE);
    break;
  }
  return counter;
}

void statistics_enter(enum function function) {
  add(&mine->calls[function], 1);
  uint64_t now = add(&mine->in_flight, 1) + 1;
  uint64_t most = __atomic_load_n(&mine->in_flight_max, __ATOMIC_RELAXED);
  while (now > most &&
         !__atomic_compare_exchange_n(&mine->in_flight_max, &most, now, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

void statistics_leave(enum function function, CK_RV rv) {
  add(&mine->in_flight, (uint64_t)-1);
  if (rv == CKR_OK) return;
  add(&mine->failed[function], 1);
  if (function == FN_C_Login && (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED)) add(&mine->logins_refused, 1);
}
