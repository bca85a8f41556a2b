import Base
import EventLoop
import Glibc
import Synchronization
import Testing

extension EventLoopTests {
    /// Loops on threads of their own, and messages to them.
    @Suite struct LoopThreadTests {
        private enum Message: Sendable {
            case number(Int)
            case close
        }

        /// A thread that adds up the numbers that it gets, until it gets the order to close.
        private final class Adder: Sendable {
            let sum = Atomic<Int>(0)
            let count = Atomic<Int>(0)
        }

        private static func begin(
            _ adder: Adder, into slot: Slot
        ) throws -> LoopThread {
            try LoopThread("adder") { loop in
                let timer = Timer(on: loop, "keeps the loop") {}
                timer.arm(after: .seconds(60))
                slot.mail = Mailbox<Message>(on: loop) { message in
                    switch message {
                    case .number(let number):
                        // Order is kept.
                        if adder.count.add(1, ordering: .relaxed).oldValue == number {
                            adder.sum.add(number, ordering: .relaxed)
                        }
                    case .close: timer.close()
                    }
                }
            }
        }

        private final class Slot: @unchecked Sendable {
            var mail: Mailbox<Message>?
        }

        @Test func `messages arrive in order, each once, and the thread ends with its last source`() throws {
            let adder = Adder(), slot = Slot()
            let thread = try Self.begin(adder, into: slot)
            let mail = try #require(slot.mail)
            for number in 0..<10_000 { mail.send(.number(number)) }
            mail.send(.close)
            thread.join()
            #expect(adder.count.load(ordering: .relaxed) == 10_000)
            #expect(adder.sum.load(ordering: .relaxed) == 10_000 * 9999 / 2)
            // The messages are no longer read; sending is still no error.
            mail.send(.number(0))
        }

        @Test func `sent messages can be delivered before the loop's next turn`() throws {
            let loop = Loop()
            var got: [Int] = []
            let mail = Mailbox<Int>(on: loop) { got.append($0) }
            mail.send(1)
            mail.send(2)
            #expect(got.isEmpty)
            mail.deliver()
            #expect(got == [1, 2])
            mail.send(3)
            loop.run()
            #expect(got == [1, 2, 3])
            mail.close()
            mail.send(4)
            mail.deliver()
            #expect(got == [1, 2, 3])
        }

        @Test func `what begin throws is thrown where the thread was started`() throws {
            let before = descriptorCount()
            for _ in 0..<20 {
                let error = #expect(throws: Errno.self) {
                    try LoopThread("fails") { loop throws(Errno) in
                        let timer = Timer(on: loop, "made before it failed") {}
                        timer.arm(after: .seconds(60))
                        throw Errno(EMFILE)
                    }
                }
                #expect(error?.code == EMFILE)
            }
            #expect(descriptorCount() == before)
        }
    }
}
