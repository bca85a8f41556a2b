#ifndef ASTERISM_CLINUX_SUPERVISION_H
#define ASTERISM_CLINUX_SUPERVISION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// What a worker's supervisor needs and Swift cannot call: prctl(2) is variadic, signalfd(2) is not part of Swift's
// import of Glibc, and a counter that two threads share needs the compiler's atomics (Swift's own come with a library that is
// large for a program of four megabytes).

// PR_SET_CHILD_SUBREAPER: orphans among this process's descendants become its children instead of init's.
int asterism_become_subreaper(void);

// A signalfd(2) of these signals, close-on-exec and non-blocking; they are blocked in the calling thread.
int asterism_open_signals(const int *signals, size_t count);

typedef struct {
    int number;
    // SI_USER, SI_QUEUE, CLD_EXITED and so on.
    int code;
    // What sigqueue(3) carried.
    int value;
    pid_t pid;
} asterism_signal;

// Takes one signal: 1, or 0 if none is waiting.
int asterism_next_signal(int fd, asterism_signal *out);

// RLIMIT_NPROC, which glibc declares under _DEFAULT_SOURCE only.
extern const int asterism_processes_limit;

// Whether a file has a POSIX access list (acl(5)) beside its mode bits; getxattr(2) is not part of Swift's Glibc.
int asterism_has_access_list(const char *path);

void asterism_add(int64_t *counter, int64_t amount);
int64_t asterism_load(const int64_t *counter);

#endif
