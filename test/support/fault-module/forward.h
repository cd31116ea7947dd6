#ifndef FORWARD_H
#define FORWARD_H

#include "function-list.h"

/* What this module answers to C_GetFunctionList. */
extern struct function_list forward_list;

#endif
