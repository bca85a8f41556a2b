import Synchronization

/// # Letters to a loop
///
/// Any thread sends, in order; the loop's thread gets each letter once, when it next looks at its door. Whoever runs on
/// the loop and cannot wait for that, since what it is about to do depends on what may have been sent, calls `deliver`
/// first: one atomic read where there is nothing.
// The handler is the loop's; the rest is behind a lock or atomic.
package final class Mailbox<Letter: Sendable>: @unchecked Sendable {
    private let letters = Mutex<[Letter]>([])
    private let hasMail = Atomic<Bool>(false)
    private let door: Door
    private var onLetter: ((Letter) -> Void)?

    /// `onLetter` is called on the loop's thread, until `close`.
    package init(on loop: Loop, onLetter: @escaping (Letter) -> Void) {
        loop.preconditionOnLoop()
        door = loop.door
        self.onLetter = onLetter
    }

    package func send(_ letter: Letter) {
        letters.withLock { $0.append(letter) }
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
        let all = letters.withLock { letters in
            let all = letters
            letters = []
            return all
        }
        for letter in all { onLetter?(letter) }
    }

    /// What was sent and not delivered is dropped. On the loop's thread.
    package func close() {
        onLetter = nil
        letters.withLock { $0 = [] }
    }
}
