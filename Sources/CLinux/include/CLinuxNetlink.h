#ifndef ASTERISM_CLINUX_NETLINK_H
#define ASTERISM_CLINUX_NETLINK_H

// A socket of rtnetlink(7), close-on-exec and non-blocking, which receives each change of the network namespace in which it
// is opened: of links, of addresses and of IPv4 routes. Its address and messages are structures of <linux/rtnetlink.h>, which
// Swift's Glibc does not have.
int asterism_route_changes_open(void);

// Reads one message and ignores its content: 1 if it was the kernel's, 0 if a process has sent it (nl_pid is not 0).
// Fails with EAGAIN where none waits, and with ENOBUFS where the kernel has dropped some.
int asterism_route_changes_read(int descriptor);

#endif
