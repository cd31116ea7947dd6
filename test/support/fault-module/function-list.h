/*
 * The part of PKCS#11 (OASIS, Cryptoki 2.40) that a forwarding module needs, written from the standard: the functions in
 * the order of CK_FUNCTION_LIST, with their parameters. Structures that are only passed on are `void *`.
 */
#ifndef FUNCTION_LIST_H
#define FUNCTION_LIST_H

typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;
typedef unsigned char CK_BYTE;
typedef struct {
  CK_BYTE major, minor;
} CK_VERSION;
typedef struct {
  CK_ULONG type;
  void *value;
  CK_ULONG length;
} CK_ATTRIBUTE;
typedef struct {
  CK_ULONG mechanism;
  void *parameter;
  CK_ULONG length;
} CK_MECHANISM;
/* CK_SLOT_INFO and CK_TOKEN_INFO both begin with 96 bytes of text, then their flags. */
typedef struct {
  CK_BYTE texts[96];
  CK_ULONG flags;
} CK_INFO_HEAD;

typedef CK_BYTE *BYTES;
typedef CK_ULONG *COUNT;
typedef CK_ATTRIBUTE *TEMPLATE;

#define CKR_OK 0x000UL
#define CKR_SLOT_ID_INVALID 0x003UL
#define CKR_GENERAL_ERROR 0x005UL
#define CKR_ARGUMENTS_BAD 0x007UL
#define CKR_FUNCTION_NOT_SUPPORTED 0x054UL
#define CKR_PIN_INCORRECT 0x0a0UL
#define CKR_PIN_LOCKED 0x0a4UL
#define CKR_SESSION_COUNT 0x0b1UL
#define CKR_SESSION_HANDLE_INVALID 0x0b3UL
#define CKR_TOKEN_NOT_PRESENT 0x0e0UL

#define CKF_TOKEN_PRESENT 0x01UL
#define CKF_USER_PIN_COUNT_LOW 0x10000UL
#define CKF_USER_PIN_FINAL_TRY 0x20000UL
#define CKF_USER_PIN_LOCKED 0x40000UL
#define CKU_USER 1UL
#define CKA_MODULUS 0x120UL
#define CKA_EC_POINT 0x181UL
#define CK_UNAVAILABLE_INFORMATION (~0UL)

/*
 * X(name, about, forwarded, parameters, arguments)
 *   about      what the call is about, and so what it answers when that is gone: LIBRARY, SLOT or SESSION
 *   forwarded  PLAIN: by one generic function. KEYED: the same, its second argument is a CK_MECHANISM. OWN: by hand
 * functions.ts holds the same names in the same order: the statistics file has a column for each.
 */
#define FUNCTIONS(X) \
  X(C_Initialize, LIBRARY, PLAIN, (void *a), (a)) \
  X(C_Finalize, LIBRARY, OWN, (void *a), (a)) \
  X(C_GetInfo, LIBRARY, PLAIN, (void *a), (a)) \
  X(C_GetFunctionList, LIBRARY, OWN, (struct function_list **a), (a)) \
  X(C_GetSlotList, LIBRARY, OWN, (CK_BYTE a, COUNT b, COUNT c), (a, b, c)) \
  X(C_GetSlotInfo, SLOT, OWN, (CK_ULONG a, CK_INFO_HEAD *b), (a, b)) \
  X(C_GetTokenInfo, SLOT, OWN, (CK_ULONG a, CK_INFO_HEAD *b), (a, b)) \
  X(C_GetMechanismList, SLOT, PLAIN, (CK_ULONG a, COUNT b, COUNT c), (a, b, c)) \
  X(C_GetMechanismInfo, SLOT, PLAIN, (CK_ULONG a, CK_ULONG b, void *c), (a, b, c)) \
  X(C_InitToken, SLOT, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d), (a, b, c, d)) \
  X(C_InitPIN, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_SetPIN, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, CK_ULONG e), (a, b, c, d, e)) \
  X(C_OpenSession, SLOT, OWN, (CK_ULONG a, CK_ULONG b, void *c, void *d, COUNT e), (a, b, c, d, e)) \
  X(C_CloseSession, SESSION, OWN, (CK_ULONG a), (a)) \
  X(C_CloseAllSessions, SLOT, OWN, (CK_ULONG a), (a)) \
  X(C_GetSessionInfo, SESSION, PLAIN, (CK_ULONG a, void *b), (a, b)) \
  X(C_GetOperationState, SESSION, PLAIN, (CK_ULONG a, BYTES b, COUNT c), (a, b, c)) \
  X(C_SetOperationState, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, CK_ULONG d, CK_ULONG e), (a, b, c, d, e)) \
  X(C_Login, SESSION, OWN, (CK_ULONG a, CK_ULONG b, BYTES c, CK_ULONG d), (a, b, c, d)) \
  X(C_Logout, SESSION, PLAIN, (CK_ULONG a), (a)) \
  X(C_CreateObject, SESSION, OWN, (CK_ULONG a, TEMPLATE b, CK_ULONG c, COUNT d), (a, b, c, d)) \
  X(C_CopyObject, SESSION, OWN, (CK_ULONG a, CK_ULONG b, TEMPLATE c, CK_ULONG d, COUNT e), (a, b, c, d, e)) \
  X(C_DestroyObject, SESSION, OWN, (CK_ULONG a, CK_ULONG b), (a, b)) \
  X(C_GetObjectSize, SESSION, PLAIN, (CK_ULONG a, CK_ULONG b, COUNT c), (a, b, c)) \
  X(C_GetAttributeValue, SESSION, OWN, (CK_ULONG a, CK_ULONG b, TEMPLATE c, CK_ULONG d), (a, b, c, d)) \
  X(C_SetAttributeValue, SESSION, PLAIN, (CK_ULONG a, CK_ULONG b, TEMPLATE c, CK_ULONG d), (a, b, c, d)) \
  X(C_FindObjectsInit, SESSION, PLAIN, (CK_ULONG a, TEMPLATE b, CK_ULONG c), (a, b, c)) \
  X(C_FindObjects, SESSION, PLAIN, (CK_ULONG a, COUNT b, CK_ULONG c, COUNT d), (a, b, c, d)) \
  X(C_FindObjectsFinal, SESSION, PLAIN, (CK_ULONG a), (a)) \
  X(C_EncryptInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c), (a, b, c)) \
  X(C_Encrypt, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_EncryptUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_EncryptFinal, SESSION, PLAIN, (CK_ULONG a, BYTES b, COUNT c), (a, b, c)) \
  X(C_DecryptInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c), (a, b, c)) \
  X(C_Decrypt, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_DecryptUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_DecryptFinal, SESSION, PLAIN, (CK_ULONG a, BYTES b, COUNT c), (a, b, c)) \
  X(C_DigestInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b), (a, b)) \
  X(C_Digest, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_DigestUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_DigestKey, SESSION, PLAIN, (CK_ULONG a, CK_ULONG b), (a, b)) \
  X(C_DigestFinal, SESSION, PLAIN, (CK_ULONG a, BYTES b, COUNT c), (a, b, c)) \
  X(C_SignInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c), (a, b, c)) \
  X(C_Sign, SESSION, OWN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_SignUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_SignFinal, SESSION, OWN, (CK_ULONG a, BYTES b, COUNT c), (a, b, c)) \
  X(C_SignRecoverInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c), (a, b, c)) \
  X(C_SignRecover, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_VerifyInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c), (a, b, c)) \
  X(C_Verify, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, CK_ULONG e), (a, b, c, d, e)) \
  X(C_VerifyUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_VerifyFinal, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_VerifyRecoverInit, SESSION, KEYED, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c), (a, b, c)) \
  X(C_VerifyRecover, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_DigestEncryptUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_DecryptDigestUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_SignEncryptUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_DecryptVerifyUpdate, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c, BYTES d, COUNT e), (a, b, c, d, e)) \
  X(C_GenerateKey, SESSION, OWN, (CK_ULONG a, CK_MECHANISM *b, TEMPLATE c, CK_ULONG d, COUNT e), (a, b, c, d, e)) \
  X(C_GenerateKeyPair, SESSION, OWN, \
    (CK_ULONG a, CK_MECHANISM *b, TEMPLATE c, CK_ULONG d, TEMPLATE e, CK_ULONG f, COUNT g, COUNT h), \
    (a, b, c, d, e, f, g, h)) \
  X(C_WrapKey, SESSION, OWN, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c, CK_ULONG d, BYTES e, COUNT f), \
    (a, b, c, d, e, f)) \
  X(C_UnwrapKey, SESSION, OWN, \
    (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c, BYTES d, CK_ULONG e, TEMPLATE f, CK_ULONG g, COUNT h), \
    (a, b, c, d, e, f, g, h)) \
  X(C_DeriveKey, SESSION, OWN, (CK_ULONG a, CK_MECHANISM *b, CK_ULONG c, TEMPLATE d, CK_ULONG e, COUNT f), \
    (a, b, c, d, e, f)) \
  X(C_SeedRandom, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_GenerateRandom, SESSION, PLAIN, (CK_ULONG a, BYTES b, CK_ULONG c), (a, b, c)) \
  X(C_GetFunctionStatus, SESSION, PLAIN, (CK_ULONG a), (a)) \
  X(C_CancelFunction, SESSION, PLAIN, (CK_ULONG a), (a)) \
  X(C_WaitForSlotEvent, LIBRARY, OWN, (CK_ULONG a, COUNT b, void *c), (a, b, c))

enum function {
#define X(name, about, forwarded, parameters, arguments) FN_##name,
  FUNCTIONS(X)
#undef X
  FN_COUNT
};

enum about { LIBRARY, SLOT, SESSION };

struct function_list {
  CK_VERSION version;
#define X(name, about, forwarded, parameters, arguments) CK_RV(*name) parameters;
  FUNCTIONS(X)
#undef X
};

/** Names and subjects, by enum function. */
extern const char *const function_names[FN_COUNT];
extern const CK_BYTE function_abouts[FN_COUNT];

#endif
