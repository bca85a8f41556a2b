import Base
import CLinux
package import Glibc

/// One queue of a `TunDevice`, on a loop that reads it or that only writes to it.
///
/// It is read until it is empty, but no more than `bytesPerWake` in a turn of the loop: packets of the other direction must
/// not wait long behind these.
package final class TunQueue {
    /// The receiver of packets. `packet` gets the virtio header and the packet after it. It may write to both, and returns
    /// whether it accepts more. `drained` is called at the end of each turn, with how many packets and bytes the turn has
    /// read, and whether it left some. `lost` is called when the interface was removed; nothing is read any more.
    package struct Reader {
        package var packet: (UnsafeMutableRawPointer, Int) -> Bool
        package var drained: (_ packets: Int, _ bytes: Int, _ isFull: Bool) -> Void
        package var lost: () -> Void

        package init(
            packet: @escaping (UnsafeMutableRawPointer, Int) -> Bool, drained: @escaping (Int, Int, Bool) -> Void,
            lost: @escaping () -> Void
        ) {
            self.packet = packet
            self.drained = drained
            self.lost = lost
        }
    }

    /// Bytes of the virtio header.
    package static let headerSize = 10
    /// The limits of one turn's reads, in bytes and in packets.
    private static let bytesPerWake = 256 << 10
    private static let packetsPerWake = 256
    private static let bufferSize = headerSize + 65_536

    private var poll: Poll!
    private let number: Int32
    private let buffer: UnsafeMutableRawPointer
    private var reader: Reader?
    private var isPaused = false
    /// Packets that the kernel did not accept, by reason.
    package private(set) var writeErrors: [Errno: UInt64] = [:]

    package init(on loop: Loop, owning descriptor: consuming FileDescriptor, reader: Reader?) throws(Errno) {
        number = descriptor.raw
        buffer = .allocate(byteCount: TunQueue.bufferSize, alignment: 64)
        self.reader = reader
        let me = Handle()
        poll = try Poll(on: loop, "overlay device", owning: descriptor) { _ in me.queue?.drain() }
        me.queue = self
        if reader != nil { poll.start(.readable) }
    }

    private final class Handle {
        weak var queue: TunQueue?
    }

    deinit { buffer.deallocate() }

    package func close() {
        poll.close()
        reader = nil
    }

    /// Pauses and resumes reading; meanwhile packets fill the interface's queue.
    package func pause() {
        guard !isPaused, poll.isOpen else { return }
        isPaused = true
        poll.stop()
    }
    package func resume() {
        guard isPaused, poll.isOpen, reader != nil else { return }
        isPaused = false
        poll.start(.readable)
    }

    private func drain() {
        // Read once: each read of the property counts references.
        guard let reader else { return }
        var bytes = 0, packets = 0, isFull = true
        while !isPaused, poll.isOpen, bytes < TunQueue.bytesPerWake, packets < TunQueue.packetsPerWake {
            let count = Glibc.read(number, buffer, TunQueue.bufferSize)
            if count < 0, errno == EBADFD {
                poll.close()
                reader.lost()
                return
            }
            // EAGAIN: it is empty. Anything else will be reported again at the next turn.
            if count <= 0 {
                isFull = false
                break
            }
            bytes += count
            packets += 1
            if !reader.packet(buffer, count) { break }
        }
        reader.drained(packets, bytes, isFull)
    }

    /// Hands one packet, in pieces, its virtio header first, to the kernel.
    package func write(_ pieces: UnsafePointer<iovec>, count: Int) {
        guard poll.isOpen else { return }
        while Glibc.writev(number, pieces, Int32(count)) < 0 {
            let reason = errno
            if reason == EINTR { continue }
            writeErrors[Errno(reason), default: 0] += 1
            return
        }
    }
}
