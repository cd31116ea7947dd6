#include "rule.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

struct keyword {
  const char *name;
  long value;
};

static const struct keyword actions[] = {
    {"latency", LATENCY}, {"error", ERROR},           {"hang", HANG},
    {"crash", CRASH},     {"corrupt", CORRUPT},       {"vanish", VANISH},
    {"forget", FORGET},   {"wrong-pin", WRONG_PIN},   {"session-limit", SESSION_LIMIT},
    {"reverse-slots", REVERSE_SLOTS}, {NULL, 0}};
static const struct keyword times[] = {{"before", 0}, {"after", 1}, {NULL, 0}};
static const struct keyword signals[] = {{"SIGSEGV", SIGSEGV}, {"SIGABRT", SIGABRT}, {NULL, 0}};
static const struct keyword whats[] = {
    {"token", THE_TOKEN}, {"slots", THE_SLOTS}, {"sessions", THE_SESSIONS}, {"login", THE_LOGIN}, {NULL, 0}};
static const struct keyword pin_states[] = {{"none", 0},
                                            {"low", CKF_USER_PIN_COUNT_LOW},
                                            {"final", CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY},
                                            {"locked", CKF_USER_PIN_LOCKED},
                                            {NULL, 0}};

static int keyword(const struct keyword *words, const char *text, long *value) {
  for (; words->name != NULL; words += 1) {
    if (strcmp(words->name, text) != 0) continue;
    *value = words->value;
    return 1;
  }
  return 0;
}

static int whole(const char *text, uint64_t *value) {
  char *end;
  errno = 0;
  *value = strtoull(text, &end, 0);
  return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static int small(const char *text, long *value) {
  uint64_t number;
  if (!whole(text, &number) || number > 0xffffffffUL) return 0;
  *value = (long)number;
  return 1;
}

static int decimal(const char *text, double most, double *value) {
  char *end;
  *value = strtod(text, &end);
  return end != text && *end == '\0' && *value >= 0 && *value <= most;
}

static int hex(const char *text, CK_BYTE *bytes, size_t room, size_t *length) {
  size_t digits = strlen(text);
  if (digits == 0 || digits % 2 != 0 || digits / 2 > room || strspn(text, "0123456789abcdefABCDEF") != digits) return 0;
  for (*length = 0; *length < digits / 2; *length += 1) {
    char pair[3] = {text[2 * *length], text[2 * *length + 1], '\0'};
    bytes[*length] = (CK_BYTE)strtoul(pair, NULL, 16);
  }
  return 1;
}

static int functions(char *list, CK_BYTE *on) {
  char *rest;
  for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
    if (strcmp(name, "*") == 0) {
      memset(on, 1, FN_COUNT);
      continue;
    }
    int function = function_named(name);
    if (function < 0) return 0;
    on[function] = 1;
  }
  /* Asked for before there is a device to be at fault. */
  on[FN_C_GetFunctionList] = 0;
  return 1;
}

static int value_of(struct rule *rule, const char *key, char *value) {
  long number;
  double fraction;
  if (strcmp(key, "on") == 0) return functions(value, rule->on);
  if (strcmp(key, "action") == 0) return keyword(actions, value, &number) && (rule->action = (enum action)number, 1);
  if (strcmp(key, "when") == 0) return keyword(times, value, &number) && (rule->after_the_call = (int)number, 1);
  if (strcmp(key, "signal") == 0) return keyword(signals, value, &number) && (rule->signal = (int)number, 1);
  if (strcmp(key, "what") == 0) return keyword(whats, value, &number) && (rule->what = (enum what)number, 1);
  if (strcmp(key, "pin") == 0) return keyword(pin_states, value, &number) && (rule->token_flags = (CK_ULONG)number, 1);
  if (strcmp(key, "code") == 0) return code_named(value, &rule->code);
  if (strcmp(key, "ms") == 0)
    return decimal(value, 1e9, &fraction) && (rule->nanoseconds = (uint64_t)(fraction * 1e6), 1);
  if (strcmp(key, "bit") == 0) return small(value, &rule->bit);
  if (strcmp(key, "max") == 0) return whole(value, &rule->max);
  if (strcmp(key, "pid") == 0) return small(value, &rule->pid);
  if (strcmp(key, "thread") == 0) return small(value, &rule->thread);
  if (strcmp(key, "mechanism") == 0) return small(value, &rule->mechanism);
  if (strcmp(key, "tag") == 0) return strlen(value) < sizeof rule->tag && strcpy(rule->tag, value) != NULL;
  if (strcmp(key, "blob") == 0) return hex(value, rule->blob, sizeof rule->blob, &rule->blob_length);
  if (strcmp(key, "after") == 0) return whole(value, &rule->skip);
  if (strcmp(key, "count") == 0) return whole(value, &rule->count);
  if (strcmp(key, "probability") == 0) return decimal(value, 1, &rule->probability);
  if (strcmp(key, "seed") == 0) return whole(value, &rule->seed);
  return 0;
}

static int has_output(int function) {
  return function == FN_C_Sign || function == FN_C_SignFinal || function == FN_C_WrapKey ||
         function == FN_C_GetAttributeValue;
}

/* Leaves of `on` what the action can happen to; an action with one place of its own needs no `on`. */
static void narrow(struct rule *rule, int any) {
  for (int function = 0; function < FN_COUNT; function += 1) {
    CK_BYTE *on = &rule->on[function];
    if (rule->blob_length > 0) *on = *on && function == FN_C_UnwrapKey;
    if (rule->action == CORRUPT) *on = *on && has_output(function);
    if (rule->action == FORGET) *on = (any ? *on : 1) && function_abouts[function] == SESSION;
    if (rule->action == VANISH) *on = function_abouts[function] != LIBRARY || function == FN_C_GetSlotList;
    if (rule->action == WRONG_PIN) *on = function == FN_C_Login || function == FN_C_GetTokenInfo;
    if (rule->action == SESSION_LIMIT) *on = function == FN_C_OpenSession;
    if (rule->action == REVERSE_SLOTS) *on = function == FN_C_GetSlotList;
  }
}

/* What the rule still lacks; NULL: nothing. */
static const char *incomplete(const struct rule *rule) {
  int any = 0;
  for (int function = 0; function < FN_COUNT; function += 1) any |= rule->on[function];
  if (rule->action == ACTION_COUNT) return "it has no action=";
  if (rule->action == ERROR && rule->code == CKR_OK) return "action=error needs code=";
  if (rule->action == SESSION_LIMIT && rule->max == UINT64_MAX) return "action=session-limit needs max=";
  if (rule->action == VANISH && rule->what > THE_SLOTS) return "action=vanish needs what=token or what=slots";
  if (rule->action == FORGET && rule->what < THE_SESSIONS) return "action=forget needs what=sessions or what=login";
  if (!any) return "on= names no function that this can happen to";
  return NULL;
}

int rule_parse(char *line, struct rule *rule, char *problem, size_t problem_size) {
  memset(rule, 0, sizeof *rule);
  rule->text = text_hash(line, strlen(line));
  rule->seed = rule->text;
  rule->action = ACTION_COUNT;
  rule->signal = SIGSEGV;
  rule->bit = MIDDLE;
  rule->what = THE_TOKEN;
  rule->pid = rule->thread = rule->mechanism = ANY;
  rule->max = rule->count = UINT64_MAX;
  rule->probability = 1;
  int on = 0;
  char *rest;
  for (char *word = strtok_r(line, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
    char *equals = strchr(word, '=');
    if (equals != NULL) *equals = '\0';
    on |= strcmp(word, "on") == 0;
    /* A list of functions is taken apart as it is read: said before that. */
    snprintf(problem, problem_size, "“%s=%s” is not understood", word, equals == NULL ? "" : equals + 1);
    if (equals == NULL || !value_of(rule, word, equals + 1)) return 0;
  }
  narrow(rule, on);
  const char *lack = incomplete(rule);
  if (lack != NULL) snprintf(problem, problem_size, "%s", lack);
  return lack == NULL;
}

/* FNV-1a. */
uint64_t text_hash(const char *text, size_t length) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (size_t index = 0; index < length; index += 1) hash = (hash ^ (CK_BYTE)text[index]) * 0x100000001b3ULL;
  return hash;
}
