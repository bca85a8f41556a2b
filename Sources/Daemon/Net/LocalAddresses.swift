package import Base
import Glibc

/// Where others may reach this machine.
package enum LocalAddresses {
    /// The address itself, or all addresses of this machine with its port where it is unspecified. Link-local ones are
    /// left out, since they mean nothing elsewhere; loopback stays where there is no other.
    /// `overlay` is an interface whose addresses lead through the mesh, and so cannot be used to reach it from outside.
    package static func of(_ listening: SocketAddress, without overlay: String? = nil) -> [SocketAddress] {
        guard listening.ip.isUnspecified else { return [listening] }
        let all = interfaces(without: overlay).filter { listening.ip.isIPv4 ? $0.isIPv4 : true }
        let outward = all.filter { !$0.isLoopback && !isLinkLocal($0) }
        return (outward.isEmpty ? all : outward).prefix(8).map { SocketAddress($0, listening.port) }
    }

    /// Where a node that is not a member yet can reach a program that listens at all addresses of this machine: not at
    /// loopback, and not at what an agent's interface (point to point, as tun(4) is) has of the overlay's networks.
    /// Where a program listens at one address, exactly that one.
    package static func reachable(_ listening: SocketAddress, overlay: [IPPrefix]) -> [SocketAddress] {
        guard listening.ip.isUnspecified else { return [listening] }
        let all = named().filter { place in
            guard !place.address.isLoopback, !isLinkLocal(place.address) else { return false }
            guard place.address.isIPv4 || !listening.ip.isIPv4 else { return false }
            return !(place.isPointToPoint && overlay.contains { $0.contains(place.address) })
        }
        return all.map(\.address).sorted().prefix(8).map { SocketAddress($0, listening.port) }
    }

    private static func isLinkLocal(_ ip: IPAddress) -> Bool {
        switch ip {
        case .v4(let value): value >> 16 == 0xa9fe
        case .v6(let high, _): high >> 54 == 0x3fa
        }
    }

    /// An address of this machine in that network, on another interface than the overlay's.
    package static func first(in network: IPPrefix, without overlay: String) -> IPAddress? {
        interfaces(without: overlay).first { network.contains($0) }
    }

    /// The addresses of all interfaces that are up, IPv4 first.
    private static func interfaces(without overlay: String?) -> [IPAddress] {
        named().filter { $0.interface != overlay }.map(\.address).sorted()
    }

    /// The same with the interfaces' names, in the kernel's order.
    static func named() -> [(interface: String, isPointToPoint: Bool, address: IPAddress)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [(interface: String, isPointToPoint: Bool, address: IPAddress)] = [], next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let address = entry.pointee.ifa_addr, entry.pointee.ifa_flags & UInt32(IFF_UP) != 0 else {
                continue
            }
            let name = entry.pointee.ifa_name.map { String(cString: $0) } ?? ""
            let raw = UnsafeRawPointer(address)
            let isPointToPoint = entry.pointee.ifa_flags & UInt32(IFF_POINTOPOINT) != 0
            switch Int32(address.pointee.sa_family) {
            case AF_INET:
                found.append(
                    (name, isPointToPoint, IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 4, count: 4))!))
            case AF_INET6:
                found.append(
                    (name, isPointToPoint, IPAddress(bytes: UnsafeRawBufferPointer(start: raw + 8, count: 16))!))
            default: break
            }
        }
        return found
    }
}
