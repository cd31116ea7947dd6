/* What the rules mean for one call. Called with the rules locked: looks and counts, and waits for nothing. */
#include "decide.h"

#include <string.h>
#include <unistd.h>

#include "sessions.h"
#include "statistics.h"

/* splitmix64: the same seed and number always give the same answer, in whichever process. */
static int chance(const struct rule *rule, uint64_t number) {
  uint64_t value = rule->seed + (number + 1) * 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  value ^= value >> 31;
  return (double)(value >> 11) < rule->probability * 9007199254740992.0;
}

static int selected(const struct rule *rule, const struct caller *caller, enum function function,
                    const struct subject *subject) {
  if (!rule->on[function]) return 0;
  if (rule->pid != ANY && rule->pid != (long)getpid()) return 0;
  if (rule->tag[0] != '\0' && strcmp(rule->tag, caller->tag) != 0) return 0;
  if (rule->thread != ANY && rule->thread != caller->thread) return 0;
  if (rule->mechanism != ANY && rule->mechanism != caller->mechanism) return 0;
  if (rule->blob_length > 0 &&
      (subject->blob == NULL || subject->blob_length < rule->blob_length ||
       memcmp(subject->blob, rule->blob, rule->blob_length) != 0))
    return 0;
  if (rule->action == WRONG_PIN && function == FN_C_Login && subject->user != CKU_USER) return 0;
  if (rule->action == SESSION_LIMIT && sessions_open() < rule->max) return 0;
  if (rule->action == FORGET && rule->done) return 0;
  return 1;
}

/* Counts a call that the rule is about, and answers whether its turn has come. */
static int due(struct rule *rule) {
  uint64_t number = add(&rule->counter->matched, 1);
  if (number < rule->skip || !chance(rule, number)) return 0;
  if (rule->count != UINT64_MAX && add(&rule->counter->applied, 1) >= rule->count) return 0;
  add(&mine->applied[rule->action], 1);
  return 1;
}

static void forget_once(struct rule *rule, enum what what, struct decision *decision) {
  if (rule->done) return;
  rule->done = 1;
  decision->forget = 1;
  decision->forgotten = what;
}

static void vanish(struct rule *rule, enum function function, struct decision *decision) {
  /* What comes back later is another device: nobody is logged in, no session is known. */
  forget_once(rule, THE_SESSIONS, decision);
  int whole_slot = rule->what == THE_SLOTS;
  decision->vanished = whole_slot ? SLOTS_GONE : TOKEN_GONE;
  if (function == FN_C_GetSlotList) return; /* answers, with fewer slots */
  if (whole_slot && function_abouts[function] == SLOT) {
    decision->before.error = CKR_SLOT_ID_INVALID;
  } else if (whole_slot || function != FN_C_GetSlotInfo) {
    CK_RV usual = whole_slot ? CKR_SESSION_HANDLE_INVALID : CKR_TOKEN_NOT_PRESENT;
    decision->before.error = rule->code != CKR_OK ? rule->code : usual;
  }
}

static void apply(struct rule *rule, enum function function, struct decision *decision) {
  struct moment *moment = rule->after_the_call ? &decision->after : &decision->before;
  switch (rule->action) {
    case LATENCY:
      moment->delay += rule->nanoseconds;
      break;
    case ERROR:
      if (moment->error == CKR_OK) moment->error = rule->code;
      break;
    case HANG:
      if (moment->hang == 0) moment->hang = rule->text;
      break;
    case CRASH:
      if (moment->signal == 0) moment->signal = rule->signal;
      break;
    case CORRUPT:
      decision->corrupt = 1;
      decision->bit = rule->bit;
      break;
    case VANISH:
      vanish(rule, function, decision);
      break;
    case FORGET:
      forget_once(rule, rule->what, decision);
      break;
    case WRONG_PIN:
      decision->before.error = rule->token_flags & CKF_USER_PIN_LOCKED ? CKR_PIN_LOCKED : CKR_PIN_INCORRECT;
      break;
    case SESSION_LIMIT:
      decision->before.error = CKR_SESSION_COUNT;
      break;
    case REVERSE_SLOTS:
      decision->reversed = 1;
      break;
    case ACTION_COUNT:
      break;
  }
}

int decide(struct rule *rules, unsigned count, const struct caller *caller, enum function function,
           const struct subject *subject, struct decision *decision) {
  int any = 0, faulted = 0;
  memset(decision, 0, sizeof *decision);
  for (unsigned index = 0; index < count; index += 1) {
    struct rule *rule = &rules[index];
    if (!selected(rule, caller, function, subject)) continue;
    if (rule->action == WRONG_PIN && function == FN_C_GetTokenInfo) {
      /* How the token looks while the rule stands: no fault of this call. */
      decision->token_flags |= rule->token_flags;
      any = 1;
    } else if (due(rule)) {
      apply(rule, function, decision);
      faulted = 1;
    }
  }
  if (faulted) add(&mine->faulted[function], 1);
  return any || faulted;
}
