package import Base
package import Glibc

extension SocketAddress {
    /// From what the kernel filled in; nil for families other than IPv4 and IPv6. An IPv4-mapped address becomes IPv4.
    /// A scope id is not kept: link-local IPv6 addresses mean nothing beyond their link.
    package init?(_ storage: sockaddr_storage) {
        var storage = storage
        switch Int32(storage.ss_family) {
        case AF_INET:
            self = withUnsafeBytes(of: &storage) { bytes in
                let raw = bytes.loadUnaligned(as: sockaddr_in.self)
                return SocketAddress(.v4(UInt32(bigEndian: raw.sin_addr.s_addr)), UInt16(bigEndian: raw.sin_port))
            }
        case AF_INET6:
            let address: SocketAddress? = withUnsafeBytes(of: &storage) { bytes in
                let port = UInt16(bigEndian: bytes.loadUnaligned(as: sockaddr_in6.self).sin6_port)
                let offset = MemoryLayout<sockaddr_in6>.offset(of: \.sin6_addr)!
                return IPAddress(bytes: bytes[offset..<offset + 16]).map { SocketAddress($0, port) }
            }
            guard let address else { return nil }
            self = address
        default: return nil
        }
    }

    /// The address in the kernel's form, and how many bytes of it count.
    package var storage: (value: sockaddr_storage, count: socklen_t) {
        var storage = sockaddr_storage()
        let count = withUnsafeMutableBytes(of: &storage) { write(to: $0) }
        return (storage, count)
    }

    /// AF_INET or AF_INET6.
    package var family: Int32 { ip.isIPv4 ? AF_INET : AF_INET6 }

    /// As `storage`, into zeroed memory of at least that size; returns how many bytes count.
    func write(to memory: UnsafeMutableRawBufferPointer) -> socklen_t {
        switch ip {
        case .v4(let value):
            var raw = sockaddr_in()
            raw.sin_family = sa_family_t(AF_INET)
            raw.sin_port = port.bigEndian
            raw.sin_addr.s_addr = value.bigEndian
            memory.storeBytes(of: raw, as: sockaddr_in.self)
            return socklen_t(MemoryLayout<sockaddr_in>.size)
        case .v6(let high, let low):
            var raw = sockaddr_in6()
            raw.sin6_family = sa_family_t(AF_INET6)
            raw.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &raw.sin6_addr) { bytes in
                bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
                bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            memory.storeBytes(of: raw, as: sockaddr_in6.self)
            return socklen_t(MemoryLayout<sockaddr_in6>.size)
        }
    }
}
