#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "decide.h"
#include "statistics.h"

#define MAX_RULES 64
#define MAX_BYTES 65536
#define LOOK_EACH_NS 10000000ULL

#ifdef CLOCK_MONOTONIC_COARSE
#define CLOCK CLOCK_MONOTONIC_COARSE
#else
#define CLOCK CLOCK_MONOTONIC
#endif
#ifdef __APPLE__
#define modified(status) ((status)->st_mtimespec)
#else
#define modified(status) ((status)->st_mtim)
#endif

static char control_file[4096];
static char process_tag[64];

/* Guards the rules, and the file's state. Held for a look at a few rules, never while anything waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[MAX_RULES], next_rules[MAX_RULES];
static unsigned rule_count;
static uint64_t identity;
static struct stat known;
static char text[MAX_BYTES + 1];

/* Read without the lock. */
static uint64_t generation;
static uint64_t look_again;
static uint8_t concerned[FN_COUNT];

static __thread long thread_index = ANY;
static __thread long thread_mechanism = ANY;
static long thread_count;

static uint64_t clock_now(void) {
  struct timespec now;
  clock_gettime(CLOCK, &now);
  return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

void control_open(const char *file, const char *tag) {
  snprintf(control_file, sizeof control_file, "%s", file == NULL ? "" : file);
  snprintf(process_tag, sizeof process_tag, "%s", tag);
  generation = ~0ULL;
}

/* The whole file in `text`, a terminator after it. No file is an empty one. */
static size_t read_file(void) {
  size_t length = 0;
  int file = open(control_file, O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno != ENOENT)
    fprintf(stderr, "fault-pkcs11: %s cannot be read (%s): no faults\n", control_file, strerror(errno));
  memset(&known, 0, sizeof known);
  if (file >= 0) {
    (void)fstat(file, &known);
    for (ssize_t got; length < MAX_BYTES && (got = read(file, text + length, MAX_BYTES - length)) > 0;)
      length += (size_t)got;
    close(file);
  }
  if (length == MAX_BYTES) fprintf(stderr, "fault-pkcs11: %s: only its first 64 KiB are read\n", control_file);
  text[length] = '\0';
  return length;
}

/* A line's content without blanks around it and carriage return; NULL: nothing to read in it. */
static char *content(char *line) {
  line += strspn(line, " \t");
  size_t length = strlen(line);
  while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL) line[--length] = '\0';
  return *line == '\0' || *line == '#' ? NULL : line;
}

const char *control_module(void) {
  static char module[4096];
  pthread_mutex_lock(&lock);
  module[0] = '\0';
  if (control_file[0] != '\0') read_file();
  char *rest;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
    if ((line = content(line)) != NULL && strncmp(line, "module=", 7) == 0)
      snprintf(module, sizeof module, "%s", line + 7);
  pthread_mutex_unlock(&lock);
  return module[0] == '\0' ? NULL : module;
}

static void keep_what_was_done(struct rule *rule) {
  for (unsigned index = 0; index < rule_count; index += 1)
    if (rules[index].text == rule->text && rules[index].done) rule->done = 1;
}

static void complain(unsigned line_number, const char *problem) {
  fprintf(stderr, "fault-pkcs11: %s line %u: %s; the line is ignored\n", control_file, line_number, problem);
  add(&mine->bad_lines, 1);
}

static void load(void) {
  size_t length = read_file();
  uint64_t file_now = text_hash(text, length) ^ ((uint64_t)modified(&known).tv_nsec << 20) ^ (uint64_t)known.st_ino;
  /* Seen before: by its own change, and now by the generation that was raised after it. */
  if (file_now == identity) return;
  identity = file_now;
  add(&mine->versions_read, 1);
  unsigned count = 0, number = 0;
  for (char *line = text, *end; line != NULL; line = end == NULL ? NULL : end + 1) {
    char problem[256];
    number += 1;
    end = strchr(line, '\n');
    if (end != NULL) *end = '\0';
    char *words = content(line);
    if (words == NULL || strncmp(words, "module=", 7) == 0) continue;
    if (count == MAX_RULES) {
      complain(number, "there are 64 rules already");
    } else if (!rule_parse(words, &next_rules[count], problem, sizeof problem)) {
      complain(number, problem);
    } else {
      struct rule *rule = &next_rules[count];
      rule->counter = statistics_rule(identity, count);
      keep_what_was_done(rule);
      count += 1;
    }
  }
  memcpy(rules, next_rules, sizeof *rules * count);
  rule_count = count;
  for (int function = 0; function < FN_COUNT; function += 1) {
    uint8_t any = 0;
    for (unsigned index = 0; index < count; index += 1) any |= rules[index].on[function];
    __atomic_store_n(&concerned[function], any, __ATOMIC_RELEASE);
  }
}

/* Whether the file on disk is another one than the one that was read. */
static int changed(void) {
  struct stat now;
  if (stat(control_file, &now) != 0) memset(&now, 0, sizeof now);
  return now.st_ino != known.st_ino || now.st_size != known.st_size ||
         modified(&now).tv_sec != modified(&known).tv_sec || modified(&now).tv_nsec != modified(&known).tv_nsec;
}

void control_refresh(void) {
  if (control_file[0] == '\0') return;
  uint64_t raised = __atomic_load_n(&all->generation, __ATOMIC_ACQUIRE);
  uint64_t due = __atomic_load_n(&look_again, __ATOMIC_RELAXED);
  uint64_t now = clock_now();
  int stale = raised != __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
  if (!stale) {
    /* One thread looks, the others carry on. */
    if (now < due) return;
    if (!__atomic_compare_exchange_n(&look_again, &due, now + LOOK_EACH_NS, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return;
  }
  pthread_mutex_lock(&lock);
  if (stale ? raised != generation : changed()) load();
  if (stale) __atomic_store_n(&generation, raised, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&lock);
}

int control_concerns(enum function function) { return __atomic_load_n(&concerned[function], __ATOMIC_ACQUIRE); }

int control_decide(enum function function, const struct subject *subject, struct decision *decision) {
  struct caller caller = {process_tag, thread_index, thread_mechanism};
  pthread_mutex_lock(&lock);
  int any = decide(rules, rule_count, &caller, function, subject, decision);
  pthread_mutex_unlock(&lock);
  return any;
}

int control_holds(uint64_t wanted) {
  int found = 0;
  control_refresh();
  pthread_mutex_lock(&lock);
  for (unsigned index = 0; index < rule_count; index += 1) found |= rules[index].text == wanted;
  pthread_mutex_unlock(&lock);
  return found;
}

void control_thread(const CK_MECHANISM *mechanism) {
  if (thread_index == ANY) thread_index = __atomic_fetch_add(&thread_count, 1, __ATOMIC_RELAXED);
  if (mechanism != NULL) thread_mechanism = (long)mechanism->mechanism;
}
