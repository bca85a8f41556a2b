#ifndef ASTERISM_CLINUX_PROCESS_H
#define ASTERISM_CLINUX_PROCESS_H

#include <stddef.h>
#include <stdint.h>

// Starting a process.
//
// Some explanation is required here. Between the creation of a process and its execve(2) runs a copy of one thread of
// the agent; the other threads are gone, with all locks that they held. Neither malloc nor the Swift runtime may be entered
// there, so this code is C and makes system calls only. posix_spawn(3) would do the same, but it knows neither pidfds nor
// cgroups, users, limits or oom_score_adj.
//
// CLONE_PIDFD gives a descriptor of exactly this process, however soon it ends and its number is used again.
// CLONE_INTO_CGROUP makes it start inside its cgroup: nothing it does is accounted elsewhere, and it cannot fork away
// before it is moved. Where the kernel or a seccomp filter refuses clone3 (ENOSYS, EPERM, EINVAL, E2BIG), fork(2) with
// pidfd_open(2) takes its place, and the child moves itself by writing to cgroup.procs before it runs anything.
typedef enum {
    ASTERISM_STEP_NONE = 0,
    ASTERISM_STEP_PIPE,
    ASTERISM_STEP_CLONE,
    ASTERISM_STEP_PIDFD,
    ASTERISM_STEP_CGROUP,
    ASTERISM_STEP_SIGNALS,
    ASTERISM_STEP_SESSION,
    ASTERISM_STEP_OOM_SCORE,
    ASTERISM_STEP_LIMITS,
    ASTERISM_STEP_NICE,
    ASTERISM_STEP_GROUPS,
    ASTERISM_STEP_GID,
    ASTERISM_STEP_UID,
    ASTERISM_STEP_PRIVILEGES,
    ASTERISM_STEP_PARENT,
    ASTERISM_STEP_DIRECTORY,
    ASTERISM_STEP_DESCRIPTORS,
    ASTERISM_STEP_EXEC,
} asterism_spawn_step;

// One resource limit for setrlimit(2).
typedef struct {
    int resource;
    uint64_t soft;
    uint64_t hard;
} asterism_limit;

typedef struct {
    // Not searched for in PATH. argv and envp end with NULL.
    const char *path;
    char *const *argv;
    char *const *envp;
    // NULL keeps the parent's.
    const char *directory;
    // The child's descriptor i is a copy of descriptors[i]; -1 is /dev/null for 0, 1 and 2 and closed for the rest.
    // Every descriptor at or above descriptor_count is closed in the child. At least 3.
    const int *descriptors;
    size_t descriptor_count;
    // A directory of cgroup v2, or -1.
    int cgroup;
    // Whether uid, gid and groups are set; if so, groups replaces all supplementary groups, even when it is empty.
    int set_user;
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups;
    size_t group_count;
    const asterism_limit *limits;
    size_t limit_count;
    int new_session;
    int no_new_privileges;
    // Sent when the thread that starts the child ends (PR_SET_PDEATHSIG is about threads); 0 is none.
    int parent_death_signal;
    int set_nice;
    int nice;
    int set_oom_score;
    int oom_score;
    // Uses the method for old kernels, so that it can be tested on new ones.
    int avoid_clone3;
} asterism_spawn_options;

typedef struct {
    int32_t pid;
    // Close-on-exec.
    int pidfd;
    // Whether clone3 did it, rather than fork.
    int cloned;
    // On failure, where and why.
    asterism_spawn_step step;
    int error;
} asterism_spawn_result;

// Starts a process and waits until it runs its program or failed to. 0, or -1 with step and error filled in; then no
// process, zombie or descriptor is left. Signals are blocked meanwhile in the calling thread; the child starts with an
// empty mask and default dispositions.
int asterism_clone3(const asterism_spawn_options *options, asterism_spawn_result *result);

// pipe2(2) with O_CLOEXEC, which needs _GNU_SOURCE; pipe(2) would let a child of another thread inherit the
// ends.
int asterism_pipe(int ends[2]);

// How a process ended.
typedef struct {
    // CLD_EXITED, CLD_KILLED or CLD_DUMPED.
    int code;
    // The exit code or the signal.
    int status;
    int64_t user_microseconds;
    int64_t system_microseconds;
    int64_t maximum_resident_bytes;
} asterism_exit;

// pidfd_open(2), glibc 2.36; called by number so that the binary also starts with an older C library.
int asterism_pidfd_open(int32_t pid);
// Reaps the child behind pidfd by waitid(P_PIDFD): 1 if it ended, 0 if it still lives. The system call's own fifth
// argument, which glibc's wrapper hides, gives the resources it used.
int asterism_pidfd_reap(int pidfd, asterism_exit *out);
int asterism_pidfd_signal(int pidfd, int signal);
// As sigqueue(3), which has no pidfd of its own: the receiver sees si_code SI_QUEUE and si_value.sival_int.
int asterism_pidfd_queue(int pidfd, int signal, int value);

#endif
