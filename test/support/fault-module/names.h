#ifndef NAMES_H
#define NAMES_H

#include "function-list.h"

/* The function of this name, or -1. */
int function_named(const char *name);

/* Reads a return value other than CKR_OK, by its name or as a number (0x30, 48). Answers 0 when it is neither. */
int code_named(const char *text, CK_RV *code);

#endif
