/*
 * A PKCS#11 module for tests and rehearsals: forwards every call to a real module and makes the faults happen that the
 * control file asks for. docs/fault-module.md describes it.
 *
 * The environment is read at the first C_GetFunctionList and not when the library is loaded: programs set a slot's
 * environment first. What is wrong is said on standard error, since the standard has no words for it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "call.h"
#include "control.h"
#include "forward.h"
#include "statistics.h"

typedef CK_RV get_function_list(struct function_list **list);

__attribute__((visibility("default"))) get_function_list C_GetFunctionList;

static int refuse(const char *what, const char *why) {
  fprintf(stderr, "fault-pkcs11: %s: %s\n", what, why);
  return 0;
}

/* Threads may hang in here when their program lets go of the module. */
static void stay_loaded(void) {
  Dl_info self;
  if (dladdr((void *)(size_t)&C_GetFunctionList, &self) != 0) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

static int load_real(const char *path) {
  if (path == NULL || *path == '\0')
    return refuse("no real module", "set HSM_FAULT_MODULE_REAL, or write module=/path into the control file");
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return refuse("the real module cannot be loaded", dlerror());
  get_function_list *function = (get_function_list *)(size_t)dlsym(library, "C_GetFunctionList");
  if (function == NULL) return refuse(path, "is no PKCS#11 module (it has no C_GetFunctionList)");
  if (function == C_GetFunctionList) return refuse(path, "is this module itself; name the real one");
  struct function_list *list = NULL;
  if (function(&list) != CKR_OK || list == NULL) return refuse(path, "gave no function list");
  forward_list.version = list->version;
  real = list;
  return 1;
}

static int prepare(void) {
  const char *tag = getenv("HSM_FAULT_TAG");
  const char *file = getenv("HSM_FAULT_CONTROL");
  if (tag == NULL) tag = "";
  control_open(file, tag);
  const char *path = getenv("HSM_FAULT_MODULE_REAL");
  if (path == NULL || *path == '\0') path = control_module();
  if (!load_real(path)) return 0;
  statistics_open(getenv("HSM_FAULT_STATS"), tag);
  stay_loaded();
  return 1;
}

CK_RV C_GetFunctionList(struct function_list **list) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static int ready;
  if (list == NULL) return CKR_ARGUMENTS_BAD;
  pthread_mutex_lock(&lock);
  if (!ready) ready = prepare();
  if (ready) *list = &forward_list;
  pthread_mutex_unlock(&lock);
  return ready ? CKR_OK : CKR_GENERAL_ERROR;
}
