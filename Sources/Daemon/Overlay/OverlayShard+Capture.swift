import Base
import Control
import Glibc
import Mesh
import Wire

// The shard's two directions during a capture: the same steps, with a copy of what passes.

extension OverlayShard {
    /// A packet of the device, before it is segmented and sealed; its path is known afterwards.
    func submit(_ bytes: UnsafeMutableRawPointer, _ count: Int, copyTo tap: CaptureTap) {
        guard tap.records(.inner), count > VirtioHeader.size else {
            return plane.submitted(frame: bytes, count: count, now: now, into: &out)
        }
        let packet = [UInt8](
            UnsafeRawBufferPointer(start: bytes + VirtioHeader.size, count: count - VirtioHeader.size))
        let begin = out.trains.byteCount
        plane.submitted(frame: bytes, count: count, now: now, into: &out)
        tap.inner(packet, isOutward: true, path: path(ofTrainAt: begin))
    }

    /// The path of the datagram that begins there; `nil` where none was added.
    private func path(ofTrainAt offset: Int) -> PathAddress? {
        guard let train = out.trains.all.last(where: { $0.offset <= offset && offset < $0.offset + $0.count }) else {
            return nil
        }
        let datagram = UnsafeRawBufferPointer(
            start: out.trains.memory + offset, count: min(train.segment, train.offset + train.count - offset))
        return CapturedPacket.path(of: datagram, train.remote, socket: train.socket, isOutward: true)
    }

    /// A message of the socket, before it is opened in place, and what came out of it.
    func receive(
        _ bytes: UnsafeMutableRawBufferPointer, _ segment: Int, _ congestion: UInt8, _ remote: SocketAddress,
        _ socket: UInt16, copyTo tap: CaptureTap
    ) {
        var paths: [PathAddress] = []
        for begin in stride(from: 0, to: bytes.count, by: max(segment, 1)) {
            let datagram = UnsafeRawBufferPointer(rebasing: bytes[begin..<min(begin + segment, bytes.count)])
            tap.outer(datagram, isOutward: false, remote, socket: socket)
            paths.append(CapturedPacket.path(of: datagram, remote, socket: socket, isOutward: false))
        }
        let first = out.packets.count
        plane.received(
            bytes, segment: segment, congestion: congestion, from: remote, by: socket, now: now, into: &out)
        guard tap.records(.inner), let base = bytes.baseAddress else { return }
        for index in first..<out.packets.count {
            var packet: [UInt8] = []
            let pieces = out.packets[index]
            for piece in pieces {
                packet += UnsafeRawBufferPointer(
                    start: out.packets.pieces[piece].base, count: out.packets.pieces[piece].count)
            }
            // It lies in the datagram that it came in, its virtio header first.
            let place = (out.packets.pieces[pieces.lowerBound].base - base) / max(segment, 1)
            tap.inner(
                Array(packet.dropFirst(VirtioHeader.size)), isOutward: false,
                path: paths.indices.contains(place) ? paths[place] : nil)
        }
    }
}
