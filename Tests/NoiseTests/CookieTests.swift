import Base
import Noise
import Testing

private let here = SocketAddress("192.0.2.1:4100")!
private let elsewhere = [
    SocketAddress("192.0.2.1:4101")!, SocketAddress("192.0.2.2:4100")!, SocketAddress("[2001:db8::1]:4100")!,
]
private let start = Instant.origin + .seconds(1000)

@Suite struct CookieTests {
    /// A responder, an initiator's jar for it, and the generator behind both.
    private struct Scene: ~Copyable {
        var generator = KeyGenerator(Seed(21))
        var checker: CookieChecker
        var jar: CookieJar
        let responder: NodeID

        init() {
            responder = generator.secretKey().publicKey
            checker = CookieChecker(responder: responder, using: &generator, now: start)
            jar = CookieJar(responder: responder)
        }

        mutating func message(_ body: [UInt8] = [9, 8, 7], now: Instant = start) -> [UInt8] {
            var message = body
            jar.stamp(&message, now: now)
            return message
        }
        /// One message, refused because it lacks a cookie, and the reply to it.
        mutating func reply(to message: [UInt8], now: Instant = start) -> [UInt8] {
            checker.reply(to: message.span.bytes, from: here, using: &generator, now: now)
        }
        func mac2IsValid(_ message: [UInt8], from source: SocketAddress = here, now: Instant = start) -> Bool {
            checker.mac2IsValid(message.span.bytes, from: source, now: now)
        }
    }

    @Test func `mac1 shows that the sender knows the receiver's key`() {
        var scene = Scene()
        let message = scene.message()
        check(message.count == 3 + Cookie.trailerCount)
        check(scene.checker.mac1IsValid(message.span.bytes))
        for bit in 0..<(message.count - Cookie.macCount) * 8 {
            var forged = message
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            check(!scene.checker.mac1IsValid(forged.span.bytes))
        }
        for count in 0..<message.count {
            let short = Array(message.prefix(count))
            check(!scene.checker.mac1IsValid(short.span.bytes))
            check(!scene.mac2IsValid(short))
        }
        var unknownPeer = CookieJar(responder: scene.generator.secretKey().publicKey)
        var other: [UInt8] = [9, 8, 7]
        unknownPeer.stamp(&other, now: start)
        check(!scene.checker.mac1IsValid(other.span.bytes))
    }

    @Test func `a message carries mac2 after a cookie came, and only from its own address`() {
        var scene = Scene()
        let first = scene.message()
        check(first.suffix(16).allSatisfy { $0 == 0 } && !scene.mac2IsValid(first))
        let reply = scene.reply(to: first)
        check(reply.count == Cookie.replyCount)
        check(scene.jar.received(reply: reply.span.bytes, now: start))
        let second = scene.message([1, 2, 3, 4])
        check(scene.checker.mac1IsValid(second.span.bytes) && scene.mac2IsValid(second))
        for source in elsewhere { check(!scene.mac2IsValid(second, from: source)) }
        for bit in 0..<second.count * 8 {
            var forged = second
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            check(!scene.mac2IsValid(forged))
        }
    }

    @Test func `a cookie ends with the secret it was made of`() {
        var scene = Scene()
        let late = start + .seconds(119)
        let reply = scene.reply(to: scene.message(now: late), now: late)
        check(scene.jar.received(reply: reply.span.bytes, now: late))
        let message = scene.message(now: late)
        check(scene.mac2IsValid(message, now: late))
        check(!scene.mac2IsValid(message, now: start + .seconds(120)))
        // A new secret: the old cookie stays worthless, a new one works.
        let after = start + .seconds(121)
        let next = scene.reply(to: scene.message(now: after), now: after)
        let stale = scene.message([1, 1], now: after)
        check(!scene.mac2IsValid(stale, now: after))
        // That message replaced the one which the reply answers.
        check(!scene.jar.received(reply: next.span.bytes, now: after))
        let again = scene.reply(to: stale, now: after)
        check(scene.jar.received(reply: again.span.bytes, now: after))
        check(scene.mac2IsValid(scene.message(now: after), now: after))
    }

    @Test func `an initiator forgets a cookie after 120 s`() {
        var scene = Scene()
        let reply = scene.reply(to: scene.message())
        check(scene.jar.received(reply: reply.span.bytes, now: start))
        check(scene.jar.hasCookie(now: start + .milliseconds(119_999)))
        check(!scene.jar.hasCookie(now: start + .seconds(120)))
        let message = scene.message(now: start + .seconds(120))
        check(message.suffix(16).allSatisfy { $0 == 0 })
    }

    @Test func `a reply that is forged, foreign, unasked or repeated gives no cookie`() {
        var scene = Scene()
        let unasked = Array(repeating: 1 as UInt8, count: Cookie.replyCount)
        check(!scene.jar.received(reply: unasked.span.bytes, now: start))
        let reply = scene.reply(to: scene.message())
        for bit in 0..<reply.count * 8 {
            var forged = reply
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            check(!scene.jar.received(reply: forged.span.bytes, now: start))
        }
        for count in 0..<reply.count {
            let short = Array(reply.prefix(count))
            check(!scene.jar.received(reply: short.span.bytes, now: start))
        }
        let long = reply + [0]
        check(!scene.jar.received(reply: long.span.bytes, now: start))
        // Another responder's reply to the very same message.
        let message = scene.message()
        var other = CookieChecker(
            responder: scene.generator.secretKey().publicKey, using: &scene.generator, now: start)
        let foreign = other.reply(to: message.span.bytes, from: here, using: &scene.generator, now: start)
        check(!scene.jar.received(reply: foreign.span.bytes, now: start) && !scene.jar.hasCookie(now: start))
        let good = scene.reply(to: message)
        check(scene.jar.received(reply: good.span.bytes, now: start))
        check(!scene.jar.received(reply: good.span.bytes, now: start))
        check(scene.jar.hasCookie(now: start))
    }
}
