package import Base
import CLibuv
import Glibc

/// # One loop, one thread
///
/// A `Loop` is libuv's event loop, and every source on it (`Timer`, `Signal`, `Poll`, `DatagramSocket`, `ByteStream`,
/// `Listener`, `ChildProcess`, `Blocking`) is a final class that is not `Sendable`: it is made, used and dropped on the
/// loop's thread. Only two places use a lock: `Door.post`, by which other threads ask the loop to run something, and
/// `Mailbox`, by which they send messages to it. A `LoopThread` is a thread with a loop of its own.
///
/// ## Who owns what
///
/// A source owns its libuv handle and holds its loop; a loop holds no source. Dropping the last reference to a source
/// closes it. libuv needs a handle's memory to live until its close callback, so the memory is a cell of its own that
/// outlives the source; its `data` points back to the source while that is open and is nil from `close()` on. A callback that
/// finds nil does nothing. Therefore no callback of the owner runs after `close()`, wherever `close()` was called.
///
/// Callbacks are closures of the owner and are dropped by `close()`, which also breaks any cycle through them.
package final class Loop {
    let raw: UnsafeMutablePointer<uv_loop_t>
    /// The way in for other threads.
    package let door: Door
    private var thread = pthread_self()
    private var isRunning = false
    private var isStopping = false
    /// Set while timers fire: a timer that is armed for now must wait for the next turn, or input would starve.
    var isFiringTimers = false
    /// Where bytes land before they become an array of their own. Read callbacks never nest, so one buffer is enough.
    private(set) lazy var readBuffer = ReadBuffer()
    private var datagrams: ReceiveSlots?

    package init() {
        Loop.ignoreBrokenPipes
        raw = .allocate(capacity: 1)
        let status = uv_loop_init(raw)
        precondition(status == 0, "uv_loop_init: \(Errno(uv: status))")
        door = Door(on: raw)
    }

    deinit {
        door.close()
        // Only handles in their close callbacks and work in its threads can be left, since every source holds its loop.
        _ = uv_run(raw, UV_RUN_DEFAULT)
        let status = uv_loop_close(raw)
        precondition(status == 0, "uv_loop_close: \(Errno(uv: status))")
        raw.deallocate()
    }

    /// The monotonic clock, read at this moment: nanoseconds of CLOCK_MONOTONIC.
    package var now: Instant { Instant(nanoseconds: uv_hrtime()) }

    /// Runs until `stop()`, or until no source is active and nothing posted is left. The calling thread becomes the
    /// loop's.
    package func run() { turn(UV_RUN_DEFAULT) }

    /// One turn: waits for the first event unless `nonblocking`, and serves what is due. The calling thread becomes the
    /// loop's.
    package func runOnce(nonblocking: Bool = false) { turn(nonblocking ? UV_RUN_NOWAIT : UV_RUN_ONCE) }

    /// Makes `run()` return after this turn. If the loop is not running, its next run returns at once.
    package func stop() {
        preconditionOnLoop()
        isStopping = true
        uv_stop(raw)
    }

    /// As `door.post`, for callers on the loop that need `work` done after this turn's events.
    @discardableResult
    package func post(_ work: sending @escaping () -> Void) -> Bool { door.post(work) }

    /// Traps off the loop's thread: the one that ran it last or, before that, made it.
    package func preconditionOnLoop(_ caller: StaticString = #function) {
        precondition(pthread_equal(thread, pthread_self()) != 0, "\(caller) off the loop's thread")
    }

    /// The descriptions of all open sources, in the order of their creation.
    package var sources: [String] {
        preconditionOnLoop()
        let names = Names()
        uv_walk(
            raw,
            { handle, context in
                // The one async handle is the door's.
                guard let data = handle!.pointee.data, handle!.pointee.type != UV_ASYNC else { return }
                let source = Unmanaged<Source>.fromOpaque(data).takeUnretainedValue()
                Unmanaged<Names>.fromOpaque(context!).takeUnretainedValue().all.append(source.description)
            }, Unmanaged.passUnretained(names).toOpaque())
        return names.all
    }

    /// The slots that all datagram sockets of this loop receive into; at least `size` bytes each.
    func receiveSlots(of size: Int) -> ReceiveSlots {
        if let datagrams, datagrams.size >= size { return datagrams }
        let slots = ReceiveSlots(size: size)
        datagrams = slots
        return slots
    }

    private func turn(_ mode: uv_run_mode) {
        precondition(!isRunning, "the loop runs already")
        thread = pthread_self()
        isRunning = true
        withExtendedLifetime(self) {
            // libuv does not look at the door when it has no sources, so posts are served here as well.
            if !isStopping { _ = door.serve() }
            repeat { _ = uv_run(raw, mode) } while mode == UV_RUN_DEFAULT && !isStopping && door.serve()
        }
        isStopping = false
        isRunning = false
    }

    // libuv writes without MSG_NOSIGNAL; a peer that hangs up must be an EPIPE and not the end of the program.
    private static let ignoreBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()
}

final class ReadBuffer {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
    deinit { memory.deallocate() }
}

private final class Names {
    var all: [String] = []
}
