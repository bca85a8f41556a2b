#define _GNU_SOURCE
#include "CLinuxProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

_Static_assert(SYS_clone3 == 435, "clone3 is 435 everywhere");
_Static_assert(CLONE_INTO_CGROUP == 0x200000000ULL, "include/uapi/linux/sched.h");
_Static_assert(sizeof(pid_t) == sizeof(int32_t), "process numbers in the header");
_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups in the header");
_Static_assert(sizeof(uid_t) == sizeof(uint32_t), "users in the header");
_Static_assert(sizeof(struct clone_args) == CLONE_ARGS_SIZE_VER2, "the layout that carries a cgroup");

// What the child writes into the pipe when it cannot go on. Less than PIPE_BUF, so it arrives whole.
typedef struct {
    asterism_spawn_step step;
    int error;
} failure;

// Never returns. Exit code 127 is what shells return for a program that could not be started.
static _Noreturn void give_up(int report, asterism_spawn_step step) {
    failure message = {.step = step, .error = errno};
    ssize_t written;
    do {
        written = write(report, &message, sizeof message);
    } while (written < 0 && errno == EINTR);
    _exit(127);
}

static int write_text(int directory, const char *path, const char *text, size_t length) {
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t written = write(fd, text, length);
    int error = errno;
    close(fd);
    errno = error;
    return written < 0 ? -1 : 0;
}

static int set_oom_score(int score) {
    // snprintf(3) may allocate; this cannot.
    char text[12];
    size_t start = sizeof text;
    unsigned int magnitude = score < 0 ? 0U - (unsigned int)score : (unsigned int)score;
    do {
        text[--start] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (score < 0) text[--start] = '-';
    return write_text(AT_FDCWD, "/proc/self/oom_score_adj", text + start, sizeof text - start);
}

// execve(2) resets handlers but leaves ignored signals ignored, and the agent ignores SIGPIPE. The wrapper in glibc
// refuses the two signals that it reserves for itself; a parent of ours may have ignored those as well.
static int reset_signals(void) {
    // SIG_DFL, no flags and an empty mask are all zero bits in the kernel's struct sigaction, which no header shows.
    static const uint64_t defaults[8];
    for (int number = 1; number < _NSIG; number++) {
        // EINVAL is for SIGKILL and SIGSTOP.
        if (syscall(SYS_rt_sigaction, number, defaults, NULL, sizeof(uint64_t)) < 0 && errno != EINVAL) return -1;
    }
    return 0;
}

// The wrappers of glibc make all threads of a process change their user; they ask a list of threads that this child
// inherited and that names threads which do not exist here. Hence the system calls themselves.
//
// An id of -1 means "do not change" to these calls (setresuid(2)), which then succeed and leave the child root. It is
// refused, and what the calls did is read back: a worker must never run as another user than the requested one.
static void change_user(const asterism_spawn_options *options, int report) {
    uint32_t real, effective, saved;
    if (syscall(SYS_setgroups, options->group_count, options->groups) < 0) give_up(report, ASTERISM_STEP_GROUPS);
    if (syscall(SYS_setresgid, options->gid, options->gid, options->gid) < 0) give_up(report, ASTERISM_STEP_GID);
    if (syscall(SYS_getresgid, &real, &effective, &saved) < 0) give_up(report, ASTERISM_STEP_GID);
    if (options->gid == UINT32_MAX || real != options->gid || effective != options->gid || saved != options->gid) {
        errno = EINVAL;
        give_up(report, ASTERISM_STEP_GID);
    }
    if (syscall(SYS_setresuid, options->uid, options->uid, options->uid) < 0) give_up(report, ASTERISM_STEP_UID);
    if (syscall(SYS_getresuid, &real, &effective, &saved) < 0) give_up(report, ASTERISM_STEP_UID);
    if (options->uid == UINT32_MAX || real != options->uid || effective != options->uid || saved != options->uid) {
        errno = EINVAL;
        give_up(report, ASTERISM_STEP_UID);
    }
}

static int close_on_exec_from(unsigned int first) {
    if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return 0;
    if (errno != ENOSYS && errno != EINVAL && errno != EPERM) return -1;
    // Before Linux 5.11. The limit bounds descriptor numbers; a million is systemd's largest default.
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -1;
    unsigned int end = limit.rlim_cur < 1048576 ? (unsigned int)limit.rlim_cur : 1048576;
    for (unsigned int fd = first; fd < end; fd++) {
        if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0 && errno != EBADF) return -1;
    }
    return 0;
}

// Puts descriptors[i] at i. Sources may themselves lie where others must go, so each is first copied above them all;
// the pipe for the report moves there too. The copies are close-on-exec, the final ones are not (dup2(2)).
static int place_descriptors(const asterism_spawn_options *options, int *report) {
    int count = (int)options->descriptor_count;
    int moved = fcntl(*report, F_DUPFD_CLOEXEC, count);
    if (moved < 0) return -1;
    *report = moved;
    int copies[64];
    for (int i = 0; i < count; i++) {
        int source = options->descriptors[i];
        if (source >= 0) {
            copies[i] = fcntl(source, F_DUPFD_CLOEXEC, count);
        } else if (i < 3) {
            int null = open("/dev/null", O_RDWR | O_CLOEXEC);
            copies[i] = null < 0 ? -1 : fcntl(null, F_DUPFD_CLOEXEC, count);
        } else {
            copies[i] = -2;
        }
        if (copies[i] == -1) return -1;
    }
    for (int i = 0; i < count; i++) {
        if (copies[i] == -2) {
            close(i);
        } else if (dup2(copies[i], i) < 0) {
            return -1;
        }
    }
    return close_on_exec_from((unsigned int)count);
}

// The child's whole life before its program. What needs privileges comes before they are given up; what must be judged
// by the new user's rights, such as the directory, comes after.
static _Noreturn void run_child(const asterism_spawn_options *options, pid_t parent, int joined, int report) {
    if (reset_signals() < 0) give_up(report, ASTERISM_STEP_SIGNALS);
    if (options->cgroup >= 0 && !joined && write_text(options->cgroup, "cgroup.procs", "0", 1) < 0)
        give_up(report, ASTERISM_STEP_CGROUP);
    // Before the limits, since a small RLIMIT_NOFILE would leave no numbers to copy to.
    if (place_descriptors(options, &report) < 0) give_up(report, ASTERISM_STEP_DESCRIPTORS);
    if (options->new_session && setsid() < 0) give_up(report, ASTERISM_STEP_SESSION);
    if (options->set_oom_score && set_oom_score(options->oom_score) < 0) give_up(report, ASTERISM_STEP_OOM_SCORE);
    for (size_t i = 0; i < options->limit_count; i++) {
        const asterism_limit *limit = &options->limits[i];
        struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
        if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0) give_up(report, ASTERISM_STEP_LIMITS);
    }
    if (options->set_nice && setpriority(PRIO_PROCESS, 0, options->nice) < 0) give_up(report, ASTERISM_STEP_NICE);
    if (options->set_user) change_user(options, report);
    if (options->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        give_up(report, ASTERISM_STEP_PRIVILEGES);
    if (options->parent_death_signal != 0) {
        // After the change of user, which clears it (prctl(2)).
        if (prctl(PR_SET_PDEATHSIG, options->parent_death_signal) < 0) give_up(report, ASTERISM_STEP_PARENT);
        // The parent may have died before the line above; then no signal will come.
        if (getppid() != parent) {
            errno = ESRCH;
            give_up(report, ASTERISM_STEP_PARENT);
        }
    }
    if (options->directory != NULL && chdir(options->directory) < 0) give_up(report, ASTERISM_STEP_DIRECTORY);
    sigset_t none;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) give_up(report, ASTERISM_STEP_SIGNALS);
    execve(options->path, options->argv, options->envp);
    give_up(report, ASTERISM_STEP_EXEC);
}

// As fork(2), with a pidfd in the parent. Signals are blocked by the caller.
static pid_t start(const asterism_spawn_options *options, asterism_spawn_result *result, int *joined) {
    *joined = 0;
    if (!options->avoid_clone3) {
        struct clone_args arguments = {
            .flags = CLONE_PIDFD | (options->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
            .pidfd = (uint64_t)(uintptr_t)&result->pidfd,
            .exit_signal = SIGCHLD,
            .cgroup = options->cgroup >= 0 ? (uint64_t)options->cgroup : 0,
        };
        *joined = options->cgroup >= 0;
        result->cloned = 1;
        pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
        if (pid >= 0) return pid;
        *joined = 0;
        result->cloned = 0;
        result->pidfd = -1;
        if (errno != ENOSYS && errno != EPERM && errno != EINVAL && errno != E2BIG) {
            // EBUSY, EACCES, EOPNOTSUPP and ENODEV are about the cgroup (clone(2)); the rest about processes as such.
            int grouped = errno == EBUSY || errno == EACCES || errno == EOPNOTSUPP || errno == ENODEV;
            result->step = options->cgroup >= 0 && grouped ? ASTERISM_STEP_CGROUP : ASTERISM_STEP_CLONE;
            return -1;
        }
    }
    pid_t pid = fork();
    if (pid < 0) result->step = ASTERISM_STEP_CLONE;
    if (pid <= 0) return pid;
    // No other code waits for this child, so its number cannot be used again before this line.
    result->pidfd = asterism_pidfd_open(pid);
    if (result->pidfd < 0) {
        result->step = ASTERISM_STEP_PIDFD;
        int error = errno;
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        errno = error;
        return -1;
    }
    return pid;
}

static int fail(asterism_spawn_result *result, asterism_spawn_step step, int error) {
    result->step = step;
    result->error = error;
    errno = error;
    return -1;
}

int asterism_clone3(const asterism_spawn_options *options, asterism_spawn_result *result) {
    *result = (asterism_spawn_result){.pid = -1, .pidfd = -1};
    if (options->descriptor_count < 3 || options->descriptor_count > 64)
        return fail(result, ASTERISM_STEP_DESCRIPTORS, EINVAL);
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) return fail(result, ASTERISM_STEP_PIPE, errno);
    pid_t parent = getpid();

    // A handler of the agent that ran in the child would act on the agent's descriptors, libuv's among them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int joined;
    pid_t pid = start(options, result, &joined);
    if (pid == 0) run_child(options, parent, joined, report[1]);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return fail(result, result->step, error);
    }

    failure message;
    ssize_t count;
    do {
        count = read(report[0], &message, sizeof message);
    } while (count < 0 && errno == EINTR);
    close(report[0]);
    result->pid = pid;
    if (count == 0) return 0;
    // The child ends by itself; waiting leaves no zombie.
    while (syscall(SYS_waitid, P_PIDFD, result->pidfd, NULL, WEXITED, NULL) < 0 && errno == EINTR) continue;
    close(result->pidfd);
    result->pid = -1;
    result->pidfd = -1;
    if (count != (ssize_t)sizeof message) return fail(result, ASTERISM_STEP_PIPE, EPROTO);
    return fail(result, message.step, message.error);
}
