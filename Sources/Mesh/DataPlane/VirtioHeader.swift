/// The header before each packet of a TUN device with IFF_VNET_HDR: `struct virtio_net_hdr` of linux/virtio_net.h, ten
/// bytes in the machine's own order. With it the kernel hands over up to 64 KiB of one flow as a single *super-packet*, to be
/// segmented (or not at all), and leaves transport checksums to the program that segments.
package struct VirtioHeader: Hashable, Sendable {
    package static let size = 10

    /// The transport checksum covers the pseudo header only; the rest is to be added (VIRTIO_NET_HDR_F_NEEDS_CSUM).
    package static let needsChecksum: UInt8 = 1

    package enum Segmentation: UInt8, Hashable, Sendable {
        case none = 0
        case tcp4 = 1
        case tcp6 = 4
        /// UDP segmentation offload (VIRTIO_NET_HDR_GSO_UDP_L4, Linux 6.2).
        case udp = 5
    }
    /// Or-ed to the segmentation: the first segment has CWR.
    package static let ecn: UInt8 = 0x80

    package var flags: UInt8 = 0
    package var segmentation = Segmentation.none
    package var hasECN = false
    /// Bytes of all headers of a super-packet; a hint.
    package var headerLength: UInt16 = 0
    /// Bytes of transport payload in a segment.
    package var segmentSize: UInt16 = 0
    /// Where the sum begins, from the start of the packet, and where it is written, from there.
    package var checksumStart: UInt16 = 0
    package var checksumOffset: UInt16 = 0

    package init() {}

    /// `nil` for a segmentation that was not negotiated with the kernel.
    package init?(_ bytes: UnsafeRawPointer) {
        flags = bytes.load(as: UInt8.self)
        let kind = bytes.load(fromByteOffset: 1, as: UInt8.self)
        guard let segmentation = Segmentation(rawValue: kind & ~VirtioHeader.ecn) else { return nil }
        self.segmentation = segmentation
        hasECN = kind & VirtioHeader.ecn != 0
        headerLength = bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)
        segmentSize = bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
        checksumStart = bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self)
        checksumOffset = bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
    }

    package func write(to bytes: UnsafeMutableRawPointer) {
        bytes.storeBytes(of: flags, as: UInt8.self)
        bytes.storeBytes(
            of: segmentation.rawValue | (hasECN ? VirtioHeader.ecn : 0), toByteOffset: 1, as: UInt8.self)
        bytes.storeBytes(of: headerLength, toByteOffset: 2, as: UInt16.self)
        bytes.storeBytes(of: segmentSize, toByteOffset: 4, as: UInt16.self)
        bytes.storeBytes(of: checksumStart, toByteOffset: 6, as: UInt16.self)
        bytes.storeBytes(of: checksumOffset, toByteOffset: 8, as: UInt16.self)
    }
}
