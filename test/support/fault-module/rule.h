/* One line of the control file: which calls, and what happens to them. */
#ifndef RULE_H
#define RULE_H

#include <stddef.h>
#include <stdint.h>

#include "function-list.h"

/* In the order of `actions` in rules.ts: the statistics file has a column for each. */
enum action {
  LATENCY,
  ERROR,
  HANG,
  CRASH,
  CORRUPT,
  VANISH,
  FORGET,
  WRONG_PIN,
  SESSION_LIMIT,
  REVERSE_SLOTS,
  ACTION_COUNT
};
enum what { THE_TOKEN, THE_SLOTS, THE_SESSIONS, THE_LOGIN };

#define ANY (-1L)
#define MIDDLE (-1L)

struct rule {
  enum action action;
  CK_BYTE on[FN_COUNT];
  int after_the_call;
  uint64_t nanoseconds;
  CK_RV code;
  int signal;
  long bit;
  enum what what;
  CK_ULONG token_flags;
  uint64_t max;

  long pid;
  long thread;
  long mechanism;
  char tag[64];
  CK_BYTE blob[64];
  size_t blob_length;
  uint64_t skip;
  uint64_t count;
  double probability;
  uint64_t seed;

  /* Of the line's text: the same rule in another version of the file. */
  uint64_t text;
  struct rule_counter *counter;
  /* FORGET and VANISH take the sessions away once in each process. */
  int done;
};

/* Reads one line, which it takes apart. Answers 1, or 0 with what is wrong with it. */
int rule_parse(char *line, struct rule *rule, char *problem, size_t problem_size);

uint64_t text_hash(const char *text, size_t length);

#endif
