#ifndef ASTERISM_CLINUX_DATAGRAMS_H
#define ASTERISM_CLINUX_DATAGRAMS_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

// Some explanation is required here.
//
// recvmmsg(2) and sendmmsg(2) move many datagrams by one system call. glibc declares them, and struct mmsghdr, only
// under _GNU_SOURCE, which Swift's import of Glibc does not define; the structure therefore does not exist for Swift.
// This one has the same layout, which datagrams.c asserts, so arrays of it may be handed to the kernel as they are.
typedef struct {
    struct msghdr msg_hdr;
    unsigned int msg_len;
} asterism_mmsghdr;

// As recvmmsg(2) without a timeout: its timeout argument is checked only after a datagram came, which the manual page
// itself lists as a bug.
int asterism_recvmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags);
int asterism_sendmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags);

// One entry of a socket's error queue (ip(7), IP_RECVERR): what ICMP said about a datagram that this socket sent.
//
// The queue is read with recvmsg(MSG_ERRQUEUE), whose answer lies in a control message; CMSG_FIRSTHDR, CMSG_NXTHDR and
// CMSG_DATA are macros that Swift does not import.
typedef struct {
    // Where the datagram went.
    struct sockaddr_storage destination;
    // An errno value, such as ECONNREFUSED.
    int error;
    // Nonzero where a router or the far end said so by ICMP, zero where this kernel refused to send.
    int remote;
    // The next hop's MTU if error is EMSGSIZE, else 0.
    uint32_t mtu;
} asterism_socket_error;

// Takes one entry: 1 if there was one, 0 if the queue was empty.
int asterism_next_socket_error(int fd, asterism_socket_error *out);

// SO_PEERCRED of a unix socket: who connected. struct ucred, too, wants _GNU_SOURCE.
typedef struct {
    pid_t pid;
    uid_t uid;
    gid_t gid;
} asterism_credentials;
int asterism_peer_credentials(int fd, asterism_credentials *out);

#endif
