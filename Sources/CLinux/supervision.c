#define _GNU_SOURCE
#include "CLinuxSupervision.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/xattr.h>
#include <unistd.h>

int asterism_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int asterism_open_signals(const int *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    int error = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int asterism_next_signal(int fd, asterism_signal *out) {
    struct signalfd_siginfo info;
    ssize_t count = read(fd, &info, sizeof info);
    if (count < 0) return errno == EAGAIN ? 0 : -1;
    if (count != (ssize_t)sizeof info) return 0;
    out->number = (int)info.ssi_signo;
    out->code = info.ssi_code;
    out->value = info.ssi_int;
    out->pid = (pid_t)info.ssi_pid;
    return 1;
}

const int asterism_processes_limit = RLIMIT_NPROC;

int asterism_has_access_list(const char *path) {
    return getxattr(path, "system.posix_acl_access", NULL, 0) > 0 ? 1 : 0;
}

void asterism_add(int64_t *counter, int64_t amount) { __atomic_fetch_add(counter, amount, __ATOMIC_RELEASE); }

int64_t asterism_load(const int64_t *counter) { return __atomic_load_n(counter, __ATOMIC_ACQUIRE); }
