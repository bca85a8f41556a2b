/// # Keys of a session
///
/// Datagrams get lost and overtake each other. So unlike `CipherState`, a session sends its counter, and the receiver
/// reads it from the header (Noise revision 34, section 11.4). Sealing and opening happen in place in the caller's memory
/// and allocate nothing. A counter is used once: the sender gets it from `nextCounter`, and there are 2^60 of them.
/// Opening proves only that a datagram is authentic. A `ReplayWindow` then checks whether it came before. It must be asked
/// after opening: else a forger could move the window.
package struct TransportKeys: ~Copyable, Sendable {
    /// No more messages than this under one key (WireGuard's REKEY_AFTER_MESSAGES).
    package static let counterLimit: UInt64 = 1 << 60

    private var sendKey: CipherKey
    private var receiveKey: CipherKey
    /// Messages that have been given a counter.
    package private(set) var sent: UInt64 = 0

    package init(_ states: consuming CipherStates) {
        sendKey = states.send.takeKey()
        receiveKey = states.receive.takeKey()
    }

    package var cipher: Cipher { sendKey.cipher }

    /// Keeps only the raw keys while nothing is sealed or opened; see `CipherKey`.
    package mutating func rest() {
        sendKey.rest()
        receiveKey.rest()
    }
    package mutating func wake() {
        sendKey.wake()
        receiveKey.wake()
    }

    /// Whether the session should make a new handshake because of the number of messages.
    package var needsRekey: Bool { sent >= cipher.rekeyAfterMessages }

    /// The counter of the next message; `nil` if there are none left.
    package mutating func nextCounter() -> UInt64? { reserveCounters(1) }

    /// The first of `count` successive counters, for a train of datagrams; `nil` if not so many are left.
    package mutating func reserveCounters(_ count: UInt64) -> UInt64? {
        guard count <= TransportKeys.counterLimit - sent else { return nil }
        defer { sent += count }
        return sent
    }

    /// Seals the first `count` bytes of `buffer` in place and writes the tag into the 16 bytes after them. `counter`
    /// must have come from `nextCounter` or `reserveCounters` and never have been used before.
    package func seal(
        _ buffer: UnsafeMutableRawBufferPointer, count: Int, counter: UInt64, aad: UnsafeRawBufferPointer
    ) {
        precondition(counter < sent, "counter \(counter) was not taken, \(sent) were")
        sendKey.seal(buffer, count: count, nonce: Nonce(counter, for: cipher), aad: aad)
    }

    /// Opens `buffer`, ciphertext and tag, in place; the plaintext is all but its last 16 bytes. False if it is not
    /// authentic; the buffer's content is then lost.
    package func open(
        _ buffer: UnsafeMutableRawBufferPointer, counter: UInt64, aad: UnsafeRawBufferPointer
    ) -> Bool {
        guard counter < TransportKeys.counterLimit else { return false }
        return receiveKey.open(buffer, nonce: Nonce(counter, for: cipher), aad: aad)
    }

    /// The same from one place to another: `count` bytes, and room for 16 more at `to`, which does not overlap `from`.
    package func seal(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, counter: UInt64,
        aad: UnsafeRawBufferPointer
    ) {
        precondition(counter < sent, "counter \(counter) was not taken, \(sent) were")
        sendKey.seal(from: source, count: count, to: destination, nonce: Nonce(counter, for: cipher), aad: aad)
    }

    /// The same from one place to another: `count` bytes, after which their tag lies, into as many at `to`, which does
    /// not overlap `from`. False if they are not authentic; the destination then holds zeros.
    package func open(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, counter: UInt64,
        aad: UnsafeRawBufferPointer
    ) -> Bool {
        guard counter < TransportKeys.counterLimit else { return false }
        return receiveKey.open(
            from: source, count: count, to: destination, nonce: Nonce(counter, for: cipher), aad: aad)
    }

    /// REKEY of section 4.2, for messages that are sent from here on; counters continue. The other side must do
    /// `rekeyReceiving` at the same counter.
    package mutating func rekeySending() { sendKey = sendKey.rekeyed() }
    package mutating func rekeyReceiving() { receiveKey = receiveKey.rekeyed() }
}
