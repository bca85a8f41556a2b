package import Base
import CSodium

/// # Cookies: work only for reachable senders
///
/// A handshake message costs its sender nothing and the responder three multiplications on the curve. Two MACs at the
/// end of the message guard the responder, after the WireGuard paper (J. Donenfeld, NDSS 2017, sections 5.3 and 5.4.7):
///
///     message = body ‖ mac1 (16) ‖ mac2 (16)
///
///     mac1   = MAC(BLAKE2b-256("asterism mac1" ‖ responder's public key), body)
///              the sender knows the responder's key: a scanner gets no answer
///     mac2   = MAC(cookie, body ‖ mac1), or zeros without a cookie
///              the sender can be reached at its source address
///     cookie = MAC(secret, source address)                  the secret is new every 120 s, so nothing is stored
///     reply  = nonce (24) ‖ XChaCha20-Poly1305(BLAKE2b-256("asterism cookie" ‖ responder's public key), nonce,
///              cookie, aad: mac1)                           only who sent that message can use the reply
///
/// MAC is keyed BLAKE2b with 16 bytes of output. A responder that is not under load checks mac1 only. Under load it
/// answers a message without a valid mac2 with a reply. The reply is shorter than any handshake message, so it
/// amplifies nothing. The initiator tries again with mac2.
package enum Cookie {
    package static let macCount = 16
    /// Both MACs, at the end of a handshake message.
    package static let trailerCount = 2 * macCount
    package static let replyCount = nonceCount + macCount + Cipher.tagCount
    /// How long a secret is used, and how long an initiator uses a cookie.
    package static let lifetime = Interval.seconds(120)

    fileprivate static let nonceCount = 24

    /// A key that anyone can derive who knows the responder's public key.
    fileprivate static func key(_ label: String, _ responder: NodeID) -> SecretBytes {
        SecretBytes(Hash.blake2b(Array(label.utf8) + responder.bytes, length: 32))
    }

    static func mac(_ input: RawSpan, key: borrowing SecretBytes) -> SecretBytes {
        let mac = SecretBytes(count: macCount)
        let result = input.withUnsafeBytes { input in
            crypto_generichash(
                mac.pointer, macCount, input.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(input.count),
                key.pointer, key.count)
        }
        precondition(result == 0, "crypto_generichash: \(result)")
        return mac
    }

    /// Whether the 16 bytes at `offset` are the MAC of all bytes before them.
    static func isValid(_ message: RawSpan, macAt offset: Int, key: borrowing SecretBytes) -> Bool {
        let expected = mac(message.extracting(first: offset), key: key)
        return message.withUnsafeBytes { bytes in
            sodium_memcmp(expected.pointer, bytes.baseAddress! + offset, macCount) == 0
        }
    }
}

/// A responder's side: one for each node, for all initiators.
package struct CookieChecker: ~Copyable, Sendable {
    private let mac1Key: SecretBytes
    private let replyKey: SecretBytes
    /// The secret of cookies, and since when it is used; replaced when it is too old.
    private var secret: SecretBytes
    private var secretBorn: Instant

    package init(responder: NodeID, using generator: inout KeyGenerator, now: Instant) {
        mac1Key = Cookie.key("asterism mac1", responder)
        replyKey = Cookie.key("asterism cookie", responder)
        secret = generator.secretBytes(32)
        secretBorn = now
    }

    /// `message` is the whole message, both MACs included. False if it is too short for them.
    package func mac1IsValid(_ message: RawSpan) -> Bool {
        guard message.byteCount >= Cookie.trailerCount else { return false }
        return Cookie.isValid(message, macAt: message.byteCount - Cookie.trailerCount, key: mac1Key)
    }

    /// Whether the sender has a cookie of its own address under the present secret.
    package func mac2IsValid(_ message: RawSpan, from source: SocketAddress, now: Instant) -> Bool {
        guard message.byteCount >= Cookie.trailerCount, !secretIsOld(now) else { return false }
        return Cookie.isValid(message, macAt: message.byteCount - Cookie.macCount, key: cookie(for: source))
    }

    /// What to answer a message whose mac1 is valid and whose mac2 is not: `Cookie.replyCount` bytes.
    package mutating func reply(
        to message: RawSpan, from source: SocketAddress, using generator: inout KeyGenerator, now: Instant
    ) -> [UInt8] {
        precondition(message.byteCount >= Cookie.trailerCount, "no mac1 in \(message.byteCount) bytes")
        if secretIsOld(now) {
            secret = generator.secretBytes(32)
            secretBorn = now
        }
        let cookie = cookie(for: source)
        var reply = generator.bytes(Cookie.nonceCount)
        var sealed = [UInt8](repeating: 0, count: Cookie.macCount + Cipher.tagCount)
        let result = message.withUnsafeBytes { bytes in
            let mac1 = (bytes.baseAddress! + bytes.count - Cookie.trailerCount).assumingMemoryBound(to: UInt8.self)
            return crypto_aead_xchacha20poly1305_ietf_encrypt(
                &sealed, nil, cookie.pointer, UInt64(cookie.count), mac1, UInt64(Cookie.macCount), nil, reply,
                replyKey.pointer)
        }
        precondition(result == 0, "crypto_aead_xchacha20poly1305_ietf_encrypt: \(result)")
        reply += sealed
        return reply
    }

    private func secretIsOld(_ now: Instant) -> Bool { now - secretBorn >= Cookie.lifetime }

    private func cookie(for source: SocketAddress) -> SecretBytes {
        let address = source.unmistakable
        return Cookie.mac(address.span.bytes, key: secret)
    }
}

extension SocketAddress {
    /// 6 or 18 bytes: an IPv4 address never equals an IPv6 one.
    var unmistakable: [UInt8] { ip.bytes + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)] }
}

/// An initiator's side: one for each responder.
package struct CookieJar: ~Copyable, Sendable {
    private let mac1Key: SecretBytes
    private let replyKey: SecretBytes
    /// The mac1 of the last message, until a reply to it has come.
    private var lastMAC1: [UInt8] = []
    /// 16 bytes, or none.
    private var cookie = SecretBytes(count: 0)
    private var cookieBorn = Instant.origin

    package init(responder: NodeID) {
        mac1Key = Cookie.key("asterism mac1", responder)
        replyKey = Cookie.key("asterism cookie", responder)
    }

    package func hasCookie(now: Instant) -> Bool { cookie.count > 0 && now - cookieBorn < Cookie.lifetime }

    /// Appends mac1 and mac2 to a message's body.
    package mutating func stamp(_ message: inout [UInt8], now: Instant) {
        lastMAC1 = Cookie.mac(message.span.bytes, key: mac1Key).bytes()
        message += lastMAC1
        if hasCookie(now: now) {
            message += Cookie.mac(message.span.bytes, key: cookie).bytes()
        } else {
            message += [UInt8](repeating: 0, count: Cookie.macCount)
        }
    }

    /// Takes a cookie out of a reply to the message stamped last; the next one then carries it. False if the reply is
    /// not one, or is a second one.
    package mutating func received(reply: RawSpan, now: Instant) -> Bool {
        guard reply.byteCount == Cookie.replyCount, !lastMAC1.isEmpty else { return false }
        let opened = SecretBytes(count: Cookie.macCount)
        let result = reply.withUnsafeBytes { bytes in
            let nonce = bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
            return crypto_aead_xchacha20poly1305_ietf_decrypt(
                opened.pointer, nil, nil, nonce + Cookie.nonceCount, UInt64(bytes.count - Cookie.nonceCount), lastMAC1,
                UInt64(lastMAC1.count), nonce, replyKey.pointer)
        }
        guard result == 0 else { return false }
        cookie = opened
        cookieBorn = now
        lastMAC1 = []
        return true
    }
}
