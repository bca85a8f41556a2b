import CSodium

/// Initialises libsodium once: it examines the processor and chooses its implementations. Every type that calls
/// libsodium uses this first.
let sodiumIsReady: Void = {
    let result = sodium_init()
    precondition(result >= 0, "sodium_init: \(result)")
}()

/// Secret bytes: they have one owner, are never copied implicitly, and are wiped when they are freed.
package struct SecretBytes: ~Copyable, @unchecked Sendable {
    package let count: Int
    /// Aligned to 64 bytes where it is large, as libsodium's expanded keys need. It is written only while its owner is
    /// being made, so the type may be shared between threads.
    let pointer: UnsafeMutablePointer<UInt8>

    /// Zeros.
    package init(count: Int) {
        _ = sodiumIsReady
        self.count = count
        let raw = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: count < 256 ? 16 : 64)
        pointer = raw.bindMemory(to: UInt8.self, capacity: max(count, 1))
        pointer.initialize(repeating: 0, count: max(count, 1))
    }

    package init(_ bytes: some Collection<UInt8>) {
        self.init(count: bytes.count)
        _ = UnsafeMutableBufferPointer(start: pointer, count: count).update(fromContentsOf: bytes)
    }

    init(copying source: UnsafePointer<UInt8>, count: Int) {
        self.init(count: count)
        pointer.update(from: source, count: count)
    }

    deinit {
        sodium_memzero(pointer, count)
        UnsafeMutableRawPointer(pointer).deallocate()
    }

    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: pointer, count: count) }

    func slice(_ range: Range<Int>) -> SecretBytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count) secret bytes")
        return SecretBytes(copying: pointer + range.lowerBound, count: range.count)
    }

    package func copy() -> SecretBytes { slice(0..<count) }

    /// A copy that is not wiped: for a file of keys, and for tests.
    package func bytes() -> [UInt8] { [UInt8](buffer) }

    /// Takes the same time for every place of a difference.
    package func matches(_ other: borrowing SecretBytes) -> Bool {
        count == other.count && sodium_memcmp(pointer, other.pointer, count) == 0
    }
}
