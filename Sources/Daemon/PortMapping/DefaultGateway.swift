package import Base
import Glibc

/// The router to which this machine sends all IPv4 packets for destinations outside its networks.
package struct DefaultGateway: Hashable, Sendable {
    package private(set) var gateway: IPAddress
    package private(set) var interface: String

    package init(_ gateway: IPAddress, interface: String) {
        self.gateway = gateway
        self.interface = interface
    }

    /// RTF_UP and RTF_GATEWAY of <net/route.h>.
    private static let isUsable: UInt32 = 0x3

    /// The best default route of /proc/net/route (proc_net(5)): a table of hexadecimal numbers, whose addresses are in
    /// network byte order, read as the machine's own. Lines that cannot be read are skipped; `nil` where there is none.
    package init?(routes text: String) {
        var best: (metric: UInt32, gateway: DefaultGateway)?
        for line in text.split(separator: "\n").dropFirst() {
            let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
            guard fields.count >= 8, UInt32(fields[1], radix: 16) == 0, UInt32(fields[7], radix: 16) == 0,
                let gateway = UInt32(fields[2], radix: 16), let flags = UInt32(fields[3], radix: 16),
                let metric = UInt32(fields[6]), flags & DefaultGateway.isUsable == DefaultGateway.isUsable,
                gateway != 0, best.map({ metric < $0.metric }) ?? true
            else { continue }
            let address = IPAddress.v4(UInt32(bigEndian: gateway))
            best = (metric, DefaultGateway(address, interface: String(fields[0])))
        }
        guard let best else { return nil }
        self = best.gateway
    }

    /// The current one; `root` is a prefix of /proc, for tests.
    package static func read(root: String = "") -> DefaultGateway? {
        guard let bytes = try? Files.read("\(root)/proc/net/route", limit: 1 << 20) else { return nil }
        return DefaultGateway(routes: String(decoding: bytes, as: UTF8.self))
    }

    /// This machine's address on the gateway's interface: one in its network, or the first.
    package var ownAddress: IPAddress? {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return nil }
        defer { freeifaddrs(list) }
        var first: IPAddress?, next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let name = entry.pointee.ifa_name, String(cString: name) == interface,
                let own = DefaultGateway.address(entry.pointee.ifa_addr)
            else { continue }
            if let mask = DefaultGateway.address(entry.pointee.ifa_netmask), own.masked(mask) == gateway.masked(mask) {
                return own
            }
            first = first ?? own
        }
        return first
    }

    private static func address(_ address: UnsafeMutablePointer<sockaddr>?) -> IPAddress? {
        guard let address, Int32(address.pointee.sa_family) == AF_INET else { return nil }
        return IPAddress(bytes: UnsafeRawBufferPointer(start: UnsafeRawPointer(address) + 4, count: 4))
    }
}

extension IPAddress {
    fileprivate func masked(_ mask: IPAddress) -> UInt32? {
        guard case .v4(let value) = self, case .v4(let bits) = mask else { return nil }
        return value & bits
    }
}
