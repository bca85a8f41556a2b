#ifndef ASTERISM_CLINUX_TUN_H
#define ASTERISM_CLINUX_TUN_H

#include <stdint.h>

// A TUN device is made by an ioctl(2) with struct ifreq, and given addresses by others; ioctl is variadic, and the
// structures are unions that Swift does not import.

// Opens /dev/net/tun and makes a device without link layer (IFF_TUN | IFF_NO_PI), with a virtio header before each packet
// (IFF_VNET_HDR). `name`, of 16 bytes, is a name or a pattern such as "asterism%d", and holds the name afterwards; it must
// be free (IFF_TUN_EXCL). Where `shares` is not 0, the device may have more queues (IFF_MULTI_QUEUE): where it is 2, the
// call adds one to the device of that name. The descriptor is close-on-exec and does not block.
int asterism_tun_open(char *name, int shares);

// What the kernel may leave undone in packets that it hands over (TUNSETOFFLOAD).
enum {
    ASTERISM_OFFLOAD_CHECKSUM = 1,
    ASTERISM_OFFLOAD_TCP = 2,
    ASTERISM_OFFLOAD_UDP = 4,
};
int asterism_tun_set_offload(int fd, int offload);

// What follows is about an interface by its name, and needs CAP_NET_ADMIN.
int asterism_interface_set_mtu(const char *name, int mtu);
int asterism_interface_set_queue(const char *name, int packets);
int asterism_interface_set_up(const char *name);
// Addresses in network order.
int asterism_interface_add_ipv4(const char *name, const uint8_t address[4], int prefix);
int asterism_interface_add_ipv6(const char *name, const uint8_t address[16], int prefix);
// IFLA_GSO_MAX_SIZE and, where the kernel has it, IFLA_GSO_IPV4_MAX_SIZE, by rtnetlink(7).
int asterism_interface_set_gso_max(const char *name, uint32_t bytes);

// Which MTU the kernel believes the path to an address to have: IP_MTU of a socket connected to it (ip(7)).
int asterism_path_mtu(const void *address, uint32_t length);

#endif
