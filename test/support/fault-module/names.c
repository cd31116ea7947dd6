/* Names: of functions, as the standard's list has them, and of return values, for people who write control files. */
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const function_names[FN_COUNT] = {
#define X(name, about, forwarded, parameters, arguments) #name,
    FUNCTIONS(X)
#undef X
};

const CK_BYTE function_abouts[FN_COUNT] = {
#define X(name, about, forwarded, parameters, arguments) about,
    FUNCTIONS(X)
#undef X
};

static const struct {
  const char *name;
  CK_RV code;
} codes[] = {
    {"CKR_HOST_MEMORY", 0x002},
    {"CKR_SLOT_ID_INVALID", 0x003},
    {"CKR_GENERAL_ERROR", 0x005},
    {"CKR_FUNCTION_FAILED", 0x006},
    {"CKR_ARGUMENTS_BAD", 0x007},
    {"CKR_DATA_INVALID", 0x020},
    {"CKR_DATA_LEN_RANGE", 0x021},
    {"CKR_DEVICE_ERROR", 0x030},
    {"CKR_DEVICE_MEMORY", 0x031},
    {"CKR_DEVICE_REMOVED", 0x032},
    {"CKR_FUNCTION_CANCELED", 0x050},
    {"CKR_FUNCTION_NOT_SUPPORTED", 0x054},
    {"CKR_KEY_HANDLE_INVALID", 0x060},
    {"CKR_KEY_NOT_WRAPPABLE", 0x069},
    {"CKR_MECHANISM_INVALID", 0x070},
    {"CKR_OBJECT_HANDLE_INVALID", 0x082},
    {"CKR_OPERATION_ACTIVE", 0x090},
    {"CKR_OPERATION_NOT_INITIALIZED", 0x091},
    {"CKR_PIN_INCORRECT", 0x0a0},
    {"CKR_PIN_EXPIRED", 0x0a3},
    {"CKR_PIN_LOCKED", 0x0a4},
    {"CKR_SESSION_CLOSED", 0x0b0},
    {"CKR_SESSION_COUNT", 0x0b1},
    {"CKR_SESSION_HANDLE_INVALID", 0x0b3},
    {"CKR_TOKEN_NOT_PRESENT", 0x0e0},
    {"CKR_TOKEN_NOT_RECOGNIZED", 0x0e1},
    {"CKR_UNWRAPPING_KEY_HANDLE_INVALID", 0x0f0},
    {"CKR_USER_ALREADY_LOGGED_IN", 0x100},
    {"CKR_USER_NOT_LOGGED_IN", 0x101},
    {"CKR_WRAPPED_KEY_INVALID", 0x110},
    {"CKR_WRAPPING_KEY_HANDLE_INVALID", 0x113},
    {"CKR_BUFFER_TOO_SMALL", 0x150},
    {"CKR_CRYPTOKI_NOT_INITIALIZED", 0x190},
    {"CKR_FUNCTION_REJECTED", 0x200},
    {"CKR_TOKEN_RESOURCE_EXCEEDED", 0x201},
};

int function_named(const char *name) {
  for (int function = 0; function < FN_COUNT; function += 1)
    if (strcmp(function_names[function], name) == 0) return function;
  return -1;
}

int code_named(const char *text, CK_RV *code) {
  for (size_t index = 0; index < sizeof codes / sizeof *codes; index += 1) {
    if (strcmp(codes[index].name, text) != 0) continue;
    *code = codes[index].code;
    return 1;
  }
  char *end;
  errno = 0;
  unsigned long number = strtoul(text, &end, 0);
  /* 0 is CKR_OK, and no error. */
  if (errno != 0 || *end != '\0' || text[0] == '-' || number == 0 || number > 0xffffffffUL) return 0;
  *code = number;
  return 1;
}
