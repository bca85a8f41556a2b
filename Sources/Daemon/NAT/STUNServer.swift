package import Base
import EventLoop

/// A STUN server as a person names it: `192.0.2.1:3478`, `[2001:db8::1]:3478` or `stun.example.org:3478`.
package struct STUNServer: Hashable, Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16
    /// `nil` for a name.
    package let address: SocketAddress?

    /// `nil` for a text that is neither; port 0 is not allowed.
    package init?(_ text: String) {
        if let address = SocketAddress(text) {
            guard address.port != 0, !address.ip.isUnspecified else { return nil }
            (host, port, self.address) = ("\(address.ip)", address.port, address)
            return
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port != 0
        else {
            return nil
        }
        let host = String(text[..<colon])
        // RFC 1123, section 2.1; a name of digits alone is an address that is written wrongly.
        let isName = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            case _: false
            }
        }
        guard isName, (1...253).contains(host.utf8.count), host.last?.isLetter ?? false || host.hasSuffix(".") else {
            return nil
        }
        (self.host, self.port, address) = (host, port, nil)
    }

    package var description: String {
        address.map { "\($0)" } ?? "\(host):\(port)"
    }

    /// Asks the system's resolver, which may take many seconds: one address of each family at most.
    package func resolve() -> Result<[SocketAddress], ResolveError> {
        if let address { return .success([address]) }
        return resolveHost(host).map { addresses in
            var found: [IPAddress] = []
            for address in addresses where !found.contains(where: { $0.isIPv4 == address.isIPv4 }) {
                found.append(address)
            }
            return found.sorted().map { SocketAddress($0, port) }
        }
    }
}
