#ifndef ASTERISM_CLINUX_DATAGRAMS_H
#define ASTERISM_CLINUX_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>

// Some explanation is required here.
//
// recvmmsg(2) and sendmmsg(2) move many datagrams by one system call. glibc declares them, and struct mmsghdr, only
// under _GNU_SOURCE, which Swift's import of Glibc does not define; the structure therefore does not exist for Swift.
// These have the same layout, which datagrams.c asserts field by field, so arrays of them may be handed to the kernel
// as they are.
//
// They are written out, with no header of the C library, on purpose: a structure of glibc that this module's headers
// mention belongs, for Swift, to this module, and a file that imports only Glibc can no longer make one.
typedef struct {
    void *base;
    size_t count;
} asterism_iovec;

typedef struct {
    // A sockaddr_storage, or NULL on a connected socket.
    void *name;
    uint32_t name_count;
    asterism_iovec *vectors;
    size_t vector_count;
    void *control;
    size_t control_count;
    int flags;
    // struct mmsghdr begins with a whole struct msghdr, its last gap included.
    int unused;
    // Bytes received or sent.
    unsigned int count;
} asterism_mmsghdr;

// As recvmmsg(2) without a timeout: its timeout argument is checked only after a datagram came, which the manual page lists
// as a bug.
int asterism_recvmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags);
int asterism_sendmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags);

// One entry of a socket's error queue (ip(7), IP_RECVERR): what ICMP reported about a datagram that this socket sent.
//
// The queue is read with recvmsg(MSG_ERRQUEUE), whose result is in a control message; CMSG_FIRSTHDR, CMSG_NXTHDR and
// CMSG_DATA are macros that Swift does not import.
typedef struct {
    // An errno value, such as ECONNREFUSED.
    int error;
    // Nonzero where a router or the far end reported it by ICMP, zero where this kernel refused to send.
    int remote;
    // The next hop's MTU if error is EMSGSIZE, else 0.
    uint32_t mtu;
} asterism_socket_error;

// Takes one entry: 1 if there was one, 0 if the queue was empty. `destination`, a sockaddr_storage, gets the address
// that the datagram went to.
int asterism_next_socket_error(int fd, asterism_socket_error *out, void *destination);

// SO_PEERCRED of a unix socket: who connected. struct ucred, too, needs _GNU_SOURCE.
typedef struct {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
} asterism_credentials;
int asterism_peer_credentials(int fd, asterism_credentials *out);

#endif
