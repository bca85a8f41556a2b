package import Base

/// An HTTP request, whole, for one connection; answer it with `PortMapper.answered`.
package struct PortMapperRequest: Hashable, Sendable {
    package let id: UInt64
    package let remote: SocketAddress
    package let bytes: [UInt8]
}
