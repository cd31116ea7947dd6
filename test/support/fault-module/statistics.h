/*
 * What happened, in a file that every process maps (HSM_FAULT_STATS): counters that whoever drives the faults can read at
 * any time, and two things that the processes share: the generation of the control file, and how often each rule applied.
 * statistics.ts reads and writes this layout; both sides change together.
 */
#ifndef STATISTICS_H
#define STATISTICS_H

#include <stdint.h>

#include "function-list.h"
#include "rule.h"

#define STATISTICS_MAGIC "HSMFLT01"
#define RULE_COUNTERS 1024
#define PROCESSES 128

struct rule_counter {
  uint64_t key;
  uint64_t matched;
  uint64_t applied;
};

struct process_statistics {
  uint64_t pid;
  char tag[64];
  uint64_t in_flight;
  uint64_t in_flight_max;
  uint64_t sessions_opened;
  uint64_t sessions_closed;
  uint64_t objects_made;
  uint64_t objects_destroyed;
  uint64_t logins_refused;
  uint64_t bad_lines;
  uint64_t applied[16];
  uint64_t calls[72];
  uint64_t failed[72];
  uint64_t faulted[72];
  uint64_t versions_read;
};

struct statistics {
  char magic[8];
  /* Raised by whoever replaced the control file: processes then read it at their next call. */
  uint64_t generation;
  /* Entries of `processes` in use; may exceed PROCESSES: the rest share the last one. */
  uint64_t used;
  uint64_t unused[509];
  struct rule_counter rules[RULE_COUNTERS];
  struct {
    struct process_statistics process;
    char unused[4096 - sizeof(struct process_statistics)];
  } processes[PROCESSES];
};

/* Of all processes, and of this one. Set by statistics_open, never null after it. */
extern struct statistics *all;
extern struct process_statistics *mine;

/* Maps the file; without one, or when it cannot be used, counts in this process's own memory. */
void statistics_open(const char *file, const char *tag);

/* Names a rule's shared counter; the first process that does so empties it. */
struct rule_counter *statistics_rule(uint64_t file_identity, unsigned index);

void statistics_enter(enum function function);
void statistics_leave(enum function function, CK_RV rv);

static inline uint64_t add(uint64_t *counter, uint64_t by) { return __atomic_fetch_add(counter, by, __ATOMIC_RELAXED); }

#endif
