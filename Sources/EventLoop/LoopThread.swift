import Glibc

/// A thread with a loop of its own. It ends when the last source of the loop is closed.
///
/// No signal is handled there: the main thread handles all signals.
package final class LoopThread {
    private var thread = pthread_t()
    /// There is nothing to wait for, before it runs and afterwards.
    private var isJoined = true

    /// Starts it. `begin` makes the loop's sources on the new thread, and the call waits for that. An error of `begin` ends
    /// the thread and is thrown here. `name`, of at most 15 bytes, is what tools show (proc_pid_comm(5)).
    package init(_ name: String, _ begin: sending @escaping (Loop) throws(Errno) -> Void) throws(Errno) {
        let start = Start(name, begin)
        var every = sigset_t(), before = sigset_t()
        sigfillset(&every)
        pthread_sigmask(SIG_SETMASK, &every, &before)
        let code = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<Start>.fromOpaque(pointer!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(start).toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard code == 0 else {
            Unmanaged.passUnretained(start).release()
            throw Errno(code)
        }
        isJoined = false
        if let error = start.result() {
            join()
            throw error
        }
    }

    deinit { join() }

    /// Waits until it has ended.
    package func join() {
        guard !isJoined else { return }
        isJoined = true
        pthread_join(thread, nil)
    }
}

/// What the new thread does. Only the new thread uses it, except for `result`, which the semaphore orders.
private final class Start: @unchecked Sendable {
    private let name: String
    private var begin: ((Loop) throws(Errno) -> Void)?
    private var error: Errno?
    private let hasBegun = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init(_ name: String, _ begin: sending @escaping (Loop) throws(Errno) -> Void) {
        self.name = name
        self.begin = begin
        let status = sem_init(hasBegun, 0, 0)
        precondition(status == 0, "sem_init: \(Errno.current)")
    }

    deinit {
        sem_destroy(hasBegun)
        hasBegun.deallocate()
    }

    func result() -> Errno? {
        while sem_wait(hasBegun) != 0 {}
        return error
    }

    func run() {
        if let comm = try? FileDescriptor.open("/proc/thread-self/comm", O_WRONLY) { try? comm.writeAll(name.utf8) }
        let loop = Loop()
        do throws(Errno) { try begin?(loop) } catch { self.error = error }
        begin = nil
        let isFailed = error != nil
        sem_post(hasBegun)
        // All sources that `begin` had made before it failed were dropped with it.
        if !isFailed { loop.run() }
    }
}
