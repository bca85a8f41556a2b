/// Datagrams of one turn of the loop, in one block of memory: what a socket gave, or what is to be sent. The driver owns
/// a batch and reuses it. The core works on it in place, and memory moves only when a batch grows.
package struct DatagramBatch: ~Copyable {
    /// One datagram: where it lies, and the far end.
    package struct Entry: Sendable {
        package fileprivate(set) var offset: Int
        package fileprivate(set) var count: Int
        package var remote: SocketAddress
        /// Which of the node's sockets it came by, or goes by; 0 is the one that it listens on.
        package var socket: UInt16
    }

    private var memory: UnsafeMutableRawBufferPointer
    private var used = 0
    package private(set) var entries: [Entry] = []

    package init(capacity: Int = 64 * 1024) {
        memory = .allocate(byteCount: max(capacity, 2048), alignment: 16)
    }

    deinit { memory.deallocate() }

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }
    package var byteCount: Int { used }

    package mutating func removeAll() {
        used = 0
        entries.removeAll(keepingCapacity: true)
    }

    package mutating func append(_ bytes: some Collection<UInt8>, remote: SocketAddress, socket: UInt16 = 0) {
        append(reserving: bytes.count, remote: remote, socket: socket) { buffer in
            _ = UnsafeMutableBufferPointer(rebasing: buffer.bindMemory(to: UInt8.self)[..<bytes.count])
                .initialize(from: bytes)
            return bytes.count
        }
    }

    /// Lets `fill` write a datagram of at most `limit` bytes in place, and keeps as many as it returns; 0 keeps
    /// nothing.
    package mutating func append(
        reserving limit: Int, remote: SocketAddress, socket: UInt16 = 0, fill: (UnsafeMutableRawBufferPointer) -> Int
    ) {
        // Sixteen-byte alignment, so that a header's fields are aligned wherever the datagram lies.
        let start = (used + 15) & ~15
        if start + limit > memory.count { grow(toHold: start + limit) }
        let count = fill(UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + limit]))
        precondition(count <= limit, "a datagram of \(count) bytes in \(limit)")
        guard count > 0 else { return }
        entries.append(Entry(offset: start, count: count, remote: remote, socket: socket))
        used = start + count
    }

    /// Records the socket by which a datagram came.
    package mutating func setSocket(_ socket: UInt16, at index: Int) { entries[index].socket = socket }

    /// The bytes of one datagram, to be read or changed in place.
    package mutating func withBytes<Result, Failure: Error>(
        at index: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let entry = entries[index]
        return try body(UnsafeMutableRawBufferPointer(rebasing: memory[entry.offset..<entry.offset + entry.count]))
    }

    /// A copy of one datagram's bytes.
    package func bytes(at index: Int) -> [UInt8] {
        let entry = entries[index]
        return [UInt8](memory[entry.offset..<entry.offset + entry.count])
    }

    private mutating func grow(toHold needed: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: max(needed, memory.count * 2), alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<used]))
        memory.deallocate()
        memory = larger
    }
}
