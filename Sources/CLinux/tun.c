#define _GNU_SOURCE
#include "CLinuxTun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Linux 6.2; headers of Debian 12 are older.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#define GSO_IPV4_MAX_SIZE 63

static void fail(int fd) {
    int saved = errno;
    close(fd);
    errno = saved;
}

int asterism_tun_open(char *name, int shares) {
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -1;
    int flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (shares ? IFF_MULTI_QUEUE : 0) | (shares == 2 ? 0 : IFF_TUN_EXCL);
    struct ifreq request = {.ifr_flags = (short)flags};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        fail(fd);
        return -1;
    }
    memcpy(name, request.ifr_name, IFNAMSIZ);
    return fd;
}

int asterism_tun_set_offload(int fd, int offload) {
    unsigned long features = 0;
    if (offload & ASTERISM_OFFLOAD_CHECKSUM) features |= TUN_F_CSUM;
    if (offload & ASTERISM_OFFLOAD_TCP) features |= TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    if (offload & ASTERISM_OFFLOAD_UDP) features |= TUN_F_USO4 | TUN_F_USO6;
    return ioctl(fd, TUNSETOFFLOAD, features);
}

static int on_interface(const char *name, unsigned long what, struct ifreq *request) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    strncpy(request->ifr_name, name, IFNAMSIZ - 1);
    int result = ioctl(fd, what, request);
    fail(fd);
    return result;
}

int asterism_interface_set_mtu(const char *name, int mtu) {
    struct ifreq request = {.ifr_mtu = mtu};
    return on_interface(name, SIOCSIFMTU, &request);
}

int asterism_interface_set_queue(const char *name, int packets) {
    struct ifreq request = {.ifr_qlen = packets};
    return on_interface(name, SIOCSIFTXQLEN, &request);
}

int asterism_interface_set_up(const char *name) {
    struct ifreq request = {0};
    if (on_interface(name, SIOCGIFFLAGS, &request) < 0) return -1;
    request.ifr_flags |= IFF_UP;
    return on_interface(name, SIOCSIFFLAGS, &request);
}

int asterism_interface_add_ipv4(const char *name, const uint8_t address[4], int prefix) {
    struct ifreq request = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    in->sin_family = AF_INET;
    memcpy(&in->sin_addr, address, 4);
    if (on_interface(name, SIOCSIFADDR, &request) < 0) return -1;
    memset(&request, 0, sizeof request);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(prefix == 0 ? 0 : ~0u << (32 - prefix));
    return on_interface(name, SIOCSIFNETMASK, &request);
}

int asterism_interface_add_ipv6(const char *name, const uint8_t address[16], int prefix) {
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct in6_ifreq request = {.ifr6_prefixlen = (uint32_t)prefix, .ifr6_ifindex = (int)if_nametoindex(name)};
    memcpy(&request.ifr6_addr, address, 16);
    int result = request.ifr6_ifindex == 0 ? -1 : ioctl(fd, SIOCSIFADDR, &request);
    if (result < 0 && errno == EEXIST) result = 0;
    fail(fd);
    return result;
}

struct link_request {
    struct nlmsghdr header;
    struct ifinfomsg info;
    char attributes[64];
};

static void add(struct link_request *request, unsigned short type, uint32_t value) {
    struct rtattr *attribute = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(sizeof value);
    memcpy(RTA_DATA(attribute), &value, sizeof value);
    request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static int set_link(int index, unsigned short type, uint32_t value) {
    struct link_request request = {
        .header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                   .nlmsg_type = RTM_NEWLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .info = {.ifi_family = AF_UNSPEC, .ifi_index = index},
    };
    add(&request, type, value);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return -1;
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer = {0};
    int result = -1;
    if (send(fd, &request, request.header.nlmsg_len, 0) >= 0 && recv(fd, &answer, sizeof answer, 0) >= 0) {
        errno = -answer.error.error;
        result = answer.error.error == 0 ? 0 : -1;
    }
    fail(fd);
    return result;
}

int asterism_interface_set_gso_max(const char *name, uint32_t bytes) {
    int index = (int)if_nametoindex(name);
    if (index == 0) return -1;
    int result = set_link(index, IFLA_GSO_MAX_SIZE, bytes);
    // Since Linux 6.3 IPv4 has a limit of its own.
    set_link(index, GSO_IPV4_MAX_SIZE, bytes);
    return result;
}

int asterism_path_mtu(const void *address, uint32_t length) {
    int family = ((const struct sockaddr *)address)->sa_family;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int mtu = -1;
    socklen_t size = sizeof mtu;
    int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, option = family == AF_INET ? IP_MTU : IPV6_MTU;
    if (connect(fd, address, length) < 0 || getsockopt(fd, level, option, &mtu, &size) < 0) mtu = -1;
    fail(fd);
    return mtu;
}
