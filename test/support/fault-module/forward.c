/*
 * Every function of the list. Most are forwarded by one of two macros; by hand are those whose answers are changed
 * (slots, token flags, outputs) or counted (sessions, objects).
 */
#include "forward.h"

#include <string.h>

#include "call.h"
#include "statistics.h"

#define FORWARD_OWN(name, parameters, arguments) static CK_RV forward_##name parameters;
#define FORWARD_PLAIN(name, parameters, arguments) \
  static CK_RV forward_##name parameters { \
    struct call call; \
    if (call_begin(&call, FN_##name, NULL)) REAL(&call, name, arguments); \
    return call_end(&call); \
  }
#define FORWARD_KEYED(name, parameters, arguments) \
  static CK_RV forward_##name parameters { \
    struct call call; \
    struct subject subject = {.mechanism = b}; \
    if (call_begin(&call, FN_##name, &subject)) REAL(&call, name, arguments); \
    return call_end(&call); \
  }
#define X(name, about, forwarded, parameters, arguments) FORWARD_##forwarded(name, parameters, arguments)
FUNCTIONS(X)
#undef X

struct function_list forward_list = {
    {2, 40},
#define X(name, about, forwarded, parameters, arguments) forward_##name,
    FUNCTIONS(X)
#undef X
};

static CK_RV forward_C_GetFunctionList(struct function_list **list) {
  if (list == NULL) return CKR_ARGUMENTS_BAD;
  *list = &forward_list;
  return CKR_OK;
}

static CK_RV forward_C_Finalize(void *reserved) {
  struct call call;
  if (call_begin(&call, FN_C_Finalize, NULL)) {
    REAL(&call, C_Finalize, (reserved));
    if (call.rv == CKR_OK) sessions_remove_all();
  }
  return call_end(&call);
}

/* Blocks for as long as nothing happens: not counted as a call that a moment alone would wait for. */
static CK_RV forward_C_WaitForSlotEvent(CK_ULONG flags, COUNT slot, void *reserved) {
  struct call call;
  if (call_begin(&call, FN_C_WaitForSlotEvent, NULL))
    call.rv = real->C_WaitForSlotEvent == NULL ? CKR_FUNCTION_NOT_SUPPORTED
                                               : real->C_WaitForSlotEvent(flags, slot, reserved);
  return call_end(&call);
}

static CK_RV forward_C_GetSlotList(CK_BYTE with_token, COUNT slots, COUNT count) {
  struct call call;
  if (call_begin(&call, FN_C_GetSlotList, NULL)) {
    int vanished = call.touched ? call.decision.vanished : HERE;
    if (count != NULL && (vanished == SLOTS_GONE || (vanished == TOKEN_GONE && with_token))) {
      *count = 0;
      call.rv = CKR_OK;
    } else {
      REAL(&call, C_GetSlotList, (with_token, slots, count));
      if (call.rv == CKR_OK && call.touched && call.decision.reversed && slots != NULL) {
        for (CK_ULONG from = 0, to = *count; from + 1 < to; from += 1) {
          CK_ULONG kept = slots[from];
          slots[from] = slots[--to];
          slots[to] = kept;
        }
      }
    }
  }
  return call_end(&call);
}

static CK_RV forward_C_GetSlotInfo(CK_ULONG slot, CK_INFO_HEAD *info) {
  struct call call;
  if (call_begin(&call, FN_C_GetSlotInfo, NULL)) {
    REAL(&call, C_GetSlotInfo, (slot, info));
    if (call.rv == CKR_OK && call.touched && call.decision.vanished == TOKEN_GONE) info->flags &= ~CKF_TOKEN_PRESENT;
  }
  return call_end(&call);
}

static CK_RV forward_C_GetTokenInfo(CK_ULONG slot, CK_INFO_HEAD *info) {
  struct call call;
  if (call_begin(&call, FN_C_GetTokenInfo, NULL)) {
    REAL(&call, C_GetTokenInfo, (slot, info));
    if (call.rv == CKR_OK && call.touched) info->flags |= call.decision.token_flags;
  }
  return call_end(&call);
}

static CK_RV forward_C_OpenSession(CK_ULONG slot, CK_ULONG flags, void *application, void *notify, COUNT session) {
  struct call call;
  if (call_begin(&call, FN_C_OpenSession, NULL)) {
    REAL(&call, C_OpenSession, (slot, flags, application, notify, session));
    if (call.rv == CKR_OK) {
      sessions_add(*session, slot);
      if (call_lost(&call)) *session = 0;
    }
  }
  return call_end(&call);
}

static CK_RV forward_C_CloseSession(CK_ULONG session) {
  struct call call;
  if (call_begin(&call, FN_C_CloseSession, NULL)) {
    REAL(&call, C_CloseSession, (session));
    if (call.rv == CKR_OK || call.rv == CKR_SESSION_HANDLE_INVALID) sessions_remove(session);
  }
  return call_end(&call);
}

static CK_RV forward_C_CloseAllSessions(CK_ULONG slot) {
  struct call call;
  if (call_begin(&call, FN_C_CloseAllSessions, NULL)) {
    REAL(&call, C_CloseAllSessions, (slot));
    if (call.rv == CKR_OK) sessions_remove_slot(slot);
  }
  return call_end(&call);
}

static CK_RV forward_C_Login(CK_ULONG session, CK_ULONG user, BYTES pin, CK_ULONG pin_length) {
  struct call call;
  struct subject subject = {.user = user};
  if (call_begin(&call, FN_C_Login, &subject)) REAL(&call, C_Login, (session, user, pin, pin_length));
  return call_end(&call);
}

/* The objects exist, even when the caller never learns of them: that is what a leak is. */
static void made(const struct call *call, unsigned long number, COUNT first, COUNT second) {
  if (call->rv != CKR_OK) return;
  add(&mine->objects_made, number);
  if (!call_lost(call)) return;
  if (first != NULL) *first = 0;
  if (second != NULL) *second = 0;
}

static CK_RV forward_C_CreateObject(CK_ULONG a, TEMPLATE b, CK_ULONG c, COUNT object) {
  struct call call;
  if (call_begin(&call, FN_C_CreateObject, NULL)) {
    REAL(&call, C_CreateObject, (a, b, c, object));
    made(&call, 1, object, NULL);
  }
  return call_end(&call);
}

static CK_RV forward_C_CopyObject(CK_ULONG a, CK_ULONG b, TEMPLATE c, CK_ULONG d, COUNT object) {
  struct call call;
  if (call_begin(&call, FN_C_CopyObject, NULL)) {
    REAL(&call, C_CopyObject, (a, b, c, d, object));
    made(&call, 1, object, NULL);
  }
  return call_end(&call);
}

static CK_RV forward_C_DestroyObject(CK_ULONG session, CK_ULONG object) {
  struct call call;
  if (call_begin(&call, FN_C_DestroyObject, NULL)) {
    REAL(&call, C_DestroyObject, (session, object));
    if (call.rv == CKR_OK) add(&mine->objects_destroyed, 1);
  }
  return call_end(&call);
}

static CK_RV forward_C_GenerateKey(CK_ULONG a, CK_MECHANISM *mechanism, TEMPLATE c, CK_ULONG d, COUNT key) {
  struct call call;
  struct subject subject = {.mechanism = mechanism};
  if (call_begin(&call, FN_C_GenerateKey, &subject)) {
    REAL(&call, C_GenerateKey, (a, mechanism, c, d, key));
    made(&call, 1, key, NULL);
  }
  return call_end(&call);
}

static CK_RV forward_C_GenerateKeyPair(CK_ULONG a, CK_MECHANISM *mechanism, TEMPLATE c, CK_ULONG d, TEMPLATE e,
                                       CK_ULONG f, COUNT public_key, COUNT private_key) {
  struct call call;
  struct subject subject = {.mechanism = mechanism};
  if (call_begin(&call, FN_C_GenerateKeyPair, &subject)) {
    REAL(&call, C_GenerateKeyPair, (a, mechanism, c, d, e, f, public_key, private_key));
    made(&call, 2, public_key, private_key);
  }
  return call_end(&call);
}

static CK_RV forward_C_UnwrapKey(CK_ULONG a, CK_MECHANISM *mechanism, CK_ULONG c, BYTES blob, CK_ULONG blob_length,
                                 TEMPLATE f, CK_ULONG g, COUNT key) {
  struct call call;
  struct subject subject = {.mechanism = mechanism, .blob = blob, .blob_length = blob_length};
  if (call_begin(&call, FN_C_UnwrapKey, &subject)) {
    REAL(&call, C_UnwrapKey, (a, mechanism, c, blob, blob_length, f, g, key));
    made(&call, 1, key, NULL);
  }
  return call_end(&call);
}

static CK_RV forward_C_DeriveKey(CK_ULONG a, CK_MECHANISM *mechanism, CK_ULONG c, TEMPLATE d, CK_ULONG e, COUNT key) {
  struct call call;
  struct subject subject = {.mechanism = mechanism};
  if (call_begin(&call, FN_C_DeriveKey, &subject)) {
    REAL(&call, C_DeriveKey, (a, mechanism, c, d, e, key));
    made(&call, 1, key, NULL);
  }
  return call_end(&call);
}

/* Bytes that a call gave: changed, or taken back. With no buffer it was asked for their number only. */
static void given(const struct call *call, BYTES output, COUNT length) {
  if (call->rv != CKR_OK || output == NULL) return;
  call_corrupt(call, output, *length);
  if (call_lost(call)) memset(output, 0, *length);
}

static CK_RV forward_C_Sign(CK_ULONG a, BYTES b, CK_ULONG c, BYTES signature, COUNT length) {
  struct call call;
  if (call_begin(&call, FN_C_Sign, NULL)) {
    REAL(&call, C_Sign, (a, b, c, signature, length));
    given(&call, signature, length);
  }
  return call_end(&call);
}

static CK_RV forward_C_SignFinal(CK_ULONG a, BYTES signature, COUNT length) {
  struct call call;
  if (call_begin(&call, FN_C_SignFinal, NULL)) {
    REAL(&call, C_SignFinal, (a, signature, length));
    given(&call, signature, length);
  }
  return call_end(&call);
}

static CK_RV forward_C_WrapKey(CK_ULONG a, CK_MECHANISM *mechanism, CK_ULONG c, CK_ULONG d, BYTES blob, COUNT length) {
  struct call call;
  struct subject subject = {.mechanism = mechanism};
  if (call_begin(&call, FN_C_WrapKey, &subject)) {
    REAL(&call, C_WrapKey, (a, mechanism, c, d, blob, length));
    given(&call, blob, length);
  }
  return call_end(&call);
}

/* Of attributes only public keys are corrupted: a flipped CKA_TOKEN would be another story. */
static CK_RV forward_C_GetAttributeValue(CK_ULONG a, CK_ULONG b, TEMPLATE attributes, CK_ULONG count) {
  struct call call;
  if (call_begin(&call, FN_C_GetAttributeValue, NULL)) {
    REAL(&call, C_GetAttributeValue, (a, b, attributes, count));
    for (CK_ULONG index = 0; call.rv == CKR_OK && index < count; index += 1) {
      CK_ATTRIBUTE *attribute = &attributes[index];
      if ((attribute->type == CKA_EC_POINT || attribute->type == CKA_MODULUS) &&
          attribute->length != CK_UNAVAILABLE_INFORMATION)
        call_corrupt(&call, attribute->value, attribute->length);
    }
  }
  return call_end(&call);
}
