import CLibuv
import Synchronization

/// The one way from other threads onto a loop.
///
/// `post` hands over a closure together with all it captures (`sending`), so the compiler knows that the caller keeps
/// nothing of it. Order is kept for each caller. The loop does not wait for posts: a loop without active sources ends once
/// it has run what is there, even while other threads could still post; whoever needs it alive holds a source.
package final class Door: Sendable {
    // A closure in the box has been sent: its caller cannot touch what it captures, and the loop alone runs it.
    private struct Work: @unchecked Sendable {
        let run: () -> Void
    }
    private struct Box {
        var work: [Work] = []
        // The memory of the async handle; nil once the door is shut. uv_async_send is the one function of libuv that
        // any thread may call, and it is called under the lock, so never on a closed handle.
        var handle: UnsafeMutablePointer<uv_async_t>?
    }
    private struct Handle: @unchecked Sendable {
        let pointer: UnsafeMutablePointer<uv_async_t>
    }
    private let box: Mutex<BoxState>
    private struct BoxState: @unchecked Sendable {
        var value: Box
    }

    init(on loop: UnsafeMutablePointer<uv_loop_t>) {
        let handle = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
        box = Mutex(BoxState(value: Box(handle: handle)))
        let status = uv_async_init(loop, handle) { handle in
            Unmanaged<Door>.fromOpaque(handle!.pointee.data).takeUnretainedValue().serve()
        }
        precondition(status == 0, "uv_async_init: \(Errno(uv: status))")
        handle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        uv_unref(UnsafeMutableRawPointer(handle).assumingMemoryBound(to: uv_handle_t.self))
    }

    /// Has the loop run `work` soon. False, and `work` is dropped, once the loop is gone.
    @discardableResult
    package func post(_ work: sending @escaping () -> Void) -> Bool {
        let work = Work(run: work)
        return box.withLock { box in
            guard let handle = box.value.handle else { return false }
            box.value.work.append(work)
            return uv_async_send(handle) == 0
        }
    }

    /// Runs what was posted; whether there was anything. On the loop's thread.
    @discardableResult
    func serve() -> Bool {
        // Work that posts again is served next turn, since the array is taken first.
        let work = box.withLock { box in
            let taken = box.value.work
            box.value.work = []
            return taken
        }
        for each in work { each.run() }
        return !work.isEmpty
    }

    /// Shuts the door for ever and drops what was posted and not run. On the loop's thread.
    func close() {
        // The dropped closures end outside of the lock: what they capture may post as it goes.
        let (handle, dropped) = box.withLock { box in
            let state = box.value
            box.value = Box()
            return (state.handle.map(Handle.init(pointer:)), state.work)
        }
        withExtendedLifetime(dropped) {}
        guard let handle else { return }
        uv_close(UnsafeMutableRawPointer(handle.pointer).assumingMemoryBound(to: uv_handle_t.self)) { handle in
            UnsafeMutableRawPointer(handle!).deallocate()
        }
    }
}
