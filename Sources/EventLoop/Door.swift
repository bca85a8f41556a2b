import CLibuv
import Synchronization

/// The one way from other threads onto a loop.
///
/// `post` hands over a closure together with all it captures (`sending`), so the compiler knows that the caller keeps
/// nothing of it. Order is kept for each caller. The loop does not wait for posts: a loop without active sources ends
/// once it has run what is there, even while other threads could still post; an owner that needs the loop alive holds a
/// source.
package final class Door: Sendable {
    // Everything in here is touched under the lock alone. A closure has been sent, so its caller cannot touch what it
    // captures, and the loop alone runs it.
    private struct State: @unchecked Sendable {
        var work: [() -> Void] = []
        // The memory of the async handle; nil once the door is shut. uv_async_send is the one function of libuv that
        // any thread may call, and it is called under the lock, so never on a closed handle.
        var handle: UnsafeMutablePointer<uv_async_t>?
    }
    private let state: Mutex<State>

    init(on loop: UnsafeMutablePointer<uv_loop_t>) {
        let handle = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
        state = Mutex(State(handle: handle))
        let status = uv_async_init(loop, handle) { handle in
            _ = Unmanaged<Door>.fromOpaque(handle!.pointee.data).takeUnretainedValue().serve()
        }
        precondition(status == 0, "uv_async_init: \(Errno(uv: status))")
        handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        uv_unref(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self))
    }

    /// Has the loop run `work` soon. False, and `work` is dropped, once the loop is gone.
    @discardableResult
    package func post(_ work: sending @escaping () -> Void) -> Bool {
        let sent = State(work: [work])
        return state.withLock { state in
            guard let handle = state.handle else { return false }
            state.work += sent.work
            return uv_async_send(handle) == 0
        }
    }

    /// Runs what was posted; whether there was anything. On the loop's thread.
    func serve() -> Bool {
        // Work that posts again is served next time, since what is there is taken first.
        let taken = state.withLock { state in
            let taken = State(work: state.work)
            state.work = []
            return taken
        }
        for each in taken.work { each() }
        return !taken.work.isEmpty
    }

    /// Shuts the door permanently and drops what was posted and not run. On the loop's thread.
    func close() {
        // The dropped closures end outside of the lock: what they capture may post in its deinit.
        let last = state.withLock { state in
            let last = state
            state = State()
            return last
        }
        guard let handle = last.handle else { return }
        uv_close(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self)) { handle in
            UnsafeMutableRawPointer(handle!).deallocate()
        }
    }
}
