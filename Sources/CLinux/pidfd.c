#define _GNU_SOURCE
#include "CLinuxProcess.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// The numbers are those of the generic table, which every architecture shares since Linux 5.1.
_Static_assert(SYS_pidfd_open == 434, "pidfd_open is 434 everywhere but on alpha");
_Static_assert(SYS_pidfd_send_signal == 424, "pidfd_send_signal is 424 everywhere but on alpha");
_Static_assert(P_PIDFD == 3, "include/uapi/linux/wait.h");

int asterism_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int asterism_pidfd_open(int32_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int asterism_pidfd_reap(int pidfd, asterism_exit *out) {
    siginfo_t info;
    struct rusage usage;
    memset(&info, 0, sizeof info);
    memset(&usage, 0, sizeof usage);
    if (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOHANG, &usage) < 0) return -1;
    if (info.si_pid == 0) return 0;
    out->code = info.si_code;
    out->status = info.si_status;
    out->user_microseconds = (int64_t)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec;
    out->system_microseconds = (int64_t)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    // Linux counts ru_maxrss in KiB (getrusage(2)).
    out->maximum_resident_bytes = (int64_t)usage.ru_maxrss * 1024;
    return 1;
}

int asterism_pidfd_signal(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int asterism_pidfd_queue(int pidfd, int signal, int value) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = signal;
    // No process may imitate the kernel: the kernel accepts only negative codes from a process.
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = value;
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, &info, 0);
}
