#define _GNU_SOURCE
#include "CLinuxErrno.h"

#include <string.h>

const char *asterism_errno_name(int code) { return strerrorname_np(code); }
const char *asterism_errno_text(int code) { return strerrordesc_np(code); }
