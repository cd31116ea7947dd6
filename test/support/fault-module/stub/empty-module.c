/* A real module that lacks nearly everything: what a null pointer in a vendor's function list must not do. */
#include "../function-list.h"

static CK_RV initialize(void *arguments) { return arguments == (void *)0 ? CKR_ARGUMENTS_BAD : CKR_OK; }

static struct function_list list = {.version = {2, 20}, .C_Initialize = initialize};

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(struct function_list **answer) {
  *answer = &list;
  return CKR_OK;
}
