#define _GNU_SOURCE
#include "CLinuxNetlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

int asterism_route_changes_open(void) {
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (descriptor < 0) return -1;
    struct sockaddr_nl own = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE,
    };
    if (bind(descriptor, (struct sockaddr *)&own, sizeof own) < 0) {
        int code = errno;
        close(descriptor);
        errno = code;
        return -1;
    }
    return descriptor;
}

int asterism_route_changes_read(int descriptor) {
    struct sockaddr_nl sender = {.nl_pid = 1};
    // A longer message is truncated; its content is not used.
    char unread[16];
    struct iovec part = {.iov_base = unread, .iov_len = sizeof unread};
    struct msghdr message = {
        .msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &part, .msg_iovlen = 1};
    if (recvmsg(descriptor, &message, 0) < 0) return -1;
    return sender.nl_pid == 0;
}
