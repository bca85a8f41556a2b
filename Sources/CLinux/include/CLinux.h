// Functions of the Linux kernel that Swift cannot call.
//
// Swift imports Glibc without _GNU_SOURCE, so a number of structures and functions do not exist for it; it cannot call
// variadic functions such as syscall(2); and it must not run at all between fork(2) and execve(2), where only
// async-signal-safe calls are allowed and the runtime's locks may be held by threads that were not copied. Only these three
// reasons put a function into this target. Nothing here decides anything.
//
// Every function returns -1 with errno set on failure unless stated otherwise, and none of them loops on EINTR:
// EventLoop/Errno.swift is the one place that does.

#ifndef ASTERISM_CLINUX_H
#define ASTERISM_CLINUX_H

#include "CLinuxDatagrams.h"
#include "CLinuxErrno.h"
#include "CLinuxMemory.h"
#include "CLinuxNetlink.h"
#include "CLinuxProcess.h"
#include "CLinuxSupervision.h"
#include "CLinuxTun.h"

#endif
