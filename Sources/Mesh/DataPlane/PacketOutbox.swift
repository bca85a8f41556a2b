import Base
import Wire

/// Packets for the device: pieces of memory to be written by one writev(2) each.
package struct PacketOutbox: ~Copyable {
    package struct Piece {
        package let base: UnsafeMutableRawPointer
        package private(set) var count: Int
    }
    /// As many as datagrams that one call of recvmmsg(2) can bring, with GRO.
    package static let capacity = 32 * 128

    package let pieces: UnsafeMutablePointer<Piece>
    /// Where each packet's pieces end.
    private let ends: UnsafeMutablePointer<Int32>
    package private(set) var count = 0
    private var pieceCount = 0

    package init() {
        pieces = .allocate(capacity: PacketOutbox.capacity)
        ends = .allocate(capacity: PacketOutbox.capacity)
    }

    deinit {
        pieces.deallocate()
        ends.deallocate()
    }

    /// Whether a whole received message of datagrams would fit.
    package var hasRoom: Bool { pieceCount + 2048 <= PacketOutbox.capacity }

    package subscript(index: Int) -> Range<Int> {
        (index == 0 ? 0 : Int(ends[index - 1]))..<Int(ends[index])
    }

    package mutating func removeAll() {
        count = 0
        pieceCount = 0
    }

    @inline(__always)
    mutating func add(_ base: UnsafeMutableRawPointer, _ count: Int) {
        pieces[pieceCount] = Piece(base: base, count: count)
        pieceCount += 1
    }

    /// The pieces added since the last call are one packet.
    @inline(__always)
    mutating func close() {
        ends[count] = Int32(pieceCount)
        count += 1
    }
}
