#define _GNU_SOURCE
#include "CLinuxDatagrams.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(asterism_mmsghdr) == sizeof(struct mmsghdr), "an array of one is an array of the other");
_Static_assert(offsetof(asterism_mmsghdr, msg_hdr) == offsetof(struct mmsghdr, msg_hdr), "same layout");
_Static_assert(offsetof(asterism_mmsghdr, msg_len) == offsetof(struct mmsghdr, msg_len), "same layout");
_Static_assert(sizeof(((asterism_mmsghdr *)0)->msg_len) == sizeof(((struct mmsghdr *)0)->msg_len), "same width");
_Static_assert(sizeof(asterism_credentials) == sizeof(struct ucred), "the kernel fills one as the other");
_Static_assert(offsetof(asterism_credentials, uid) == offsetof(struct ucred, uid), "same layout");
_Static_assert(offsetof(asterism_credentials, gid) == offsetof(struct ucred, gid), "same layout");

int asterism_recvmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags) {
    return recvmmsg(fd, (struct mmsghdr *)messages, count, flags, NULL);
}

int asterism_sendmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags) {
    return sendmmsg(fd, (struct mmsghdr *)messages, count, flags);
}

int asterism_next_socket_error(int fd, asterism_socket_error *out) {
    memset(out, 0, sizeof *out);
    // Room for sock_extended_err and the offender's address after it; a second kind of control message may ride along.
    _Alignas(struct cmsghdr) char control[512];
    struct msghdr message = {
        .msg_name = &out->destination,
        .msg_namelen = sizeof out->destination,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    }
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each != NULL; each = CMSG_NXTHDR(&message, each)) {
        int v4 = each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_RECVERR;
        int v6 = each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_RECVERR;
        if ((!v4 && !v6) || each->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err))) continue;
        struct sock_extended_err error;
        memcpy(&error, CMSG_DATA(each), sizeof error);
        out->error = (int)error.ee_errno;
        out->remote = error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6;
        out->mtu = error.ee_errno == EMSGSIZE ? error.ee_info : 0;
    }
    return 1;
}

int asterism_peer_credentials(int fd, asterism_credentials *out) {
    socklen_t length = sizeof *out;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &length);
}
