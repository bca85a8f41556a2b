import Synchronization

/// # Messages to a loop
///
/// Any thread sends, in order. The loop's thread gets each message once, when it next serves its door. Code on the loop whose
/// next action depends on messages that may have been sent calls `deliver` first. That costs one atomic read where there is
/// no message.
// The handler is the loop's; the rest is behind a lock or atomic.
package final class Mailbox<Message: Sendable>: @unchecked Sendable {
    private let messages = Mutex<[Message]>([])
    private let hasMail = Atomic<Bool>(false)
    private let door: Door
    private var onMessage: ((Message) -> Void)?

    /// `onMessage` is called on the loop's thread, until `close`.
    package init(on loop: Loop, onMessage: @escaping (Message) -> Void) {
        loop.preconditionOnLoop()
        door = loop.door
        self.onMessage = onMessage
    }

    package func send(_ message: Message) {
        messages.withLock { $0.append(message) }
        let isAwaited = hasMail.exchange(true, ordering: .acquiringAndReleasing)
        if !isAwaited { door.post { [self] in deliver() } }
    }

    /// Everything that was sent before this call. On the loop's thread.
    @inline(__always)
    package func deliver() {
        if hasMail.load(ordering: .acquiring) { deliverAll() }
    }

    private func deliverAll() {
        hasMail.store(false, ordering: .sequentiallyConsistent)
        let all = messages.withLock { messages in
            let all = messages
            messages = []
            return all
        }
        for message in all { onMessage?(message) }
    }

    /// Messages that were sent and not delivered are dropped. On the loop's thread.
    package func close() {
        onMessage = nil
        messages.withLock { $0 = [] }
    }
}
