#define _GNU_SOURCE
#include "CLinuxDatagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
// After time.h, whose timespec it uses.
#include <linux/errqueue.h>

#define SAME(ours, our_field, theirs, their_field)                                                                   \
    _Static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field), "same place");                          \
    _Static_assert(sizeof(((ours *)0)->our_field) == sizeof(((theirs *)0)->their_field), "same width")

_Static_assert(sizeof(asterism_mmsghdr) == sizeof(struct mmsghdr), "an array of one is an array of the other");
SAME(asterism_mmsghdr, name, struct mmsghdr, msg_hdr.msg_name);
SAME(asterism_mmsghdr, name_count, struct mmsghdr, msg_hdr.msg_namelen);
SAME(asterism_mmsghdr, vectors, struct mmsghdr, msg_hdr.msg_iov);
SAME(asterism_mmsghdr, vector_count, struct mmsghdr, msg_hdr.msg_iovlen);
SAME(asterism_mmsghdr, control, struct mmsghdr, msg_hdr.msg_control);
SAME(asterism_mmsghdr, control_count, struct mmsghdr, msg_hdr.msg_controllen);
SAME(asterism_mmsghdr, flags, struct mmsghdr, msg_hdr.msg_flags);
SAME(asterism_mmsghdr, count, struct mmsghdr, msg_len);
_Static_assert(sizeof(asterism_iovec) == sizeof(struct iovec), "as above");
SAME(asterism_iovec, base, struct iovec, iov_base);
SAME(asterism_iovec, count, struct iovec, iov_len);
_Static_assert(sizeof(asterism_credentials) == sizeof(struct ucred), "the kernel fills one as the other");
SAME(asterism_credentials, pid, struct ucred, pid);
SAME(asterism_credentials, uid, struct ucred, uid);
SAME(asterism_credentials, gid, struct ucred, gid);

int asterism_recvmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags) {
    return recvmmsg(fd, (struct mmsghdr *)messages, count, flags, NULL);
}

int asterism_sendmmsg(int fd, asterism_mmsghdr *messages, unsigned int count, int flags) {
    return sendmmsg(fd, (struct mmsghdr *)messages, count, flags);
}

int asterism_next_socket_error(int fd, asterism_socket_error *out, void *destination) {
    memset(out, 0, sizeof *out);
    // Room for sock_extended_err and the offender's address after it; a second kind of control message may ride along.
    _Alignas(struct cmsghdr) char control[512];
    struct msghdr message = {
        .msg_name = destination,
        .msg_namelen = sizeof(struct sockaddr_storage),
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
