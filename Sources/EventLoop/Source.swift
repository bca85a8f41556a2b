import CLibuv

/// What all sources of events have in common: a loop, a description, and a libuv handle that is closed once.
package class Source {
    package let loop: Loop
    /// What this source is for, such as "control socket"; for logs and for `Loop.sources`.
    package final let description: String
    private final var cell: UnsafeMutableRawPointer?
    /// A descriptor of the source's own. It is closed after the handle: a copy of it in a child would otherwise keep it
    /// in the kernel's poll set, under a number that means something else by then.
    final var descriptor: FileDescriptor?

    /// Makes the memory of a handle and has libuv initialise it. On an error nothing is left.
    init<Raw>(
        on loop: Loop, _ description: String, as type: Raw.Type,
        initialize: (UnsafeMutablePointer<uv_loop_t>, UnsafeMutablePointer<Raw>) -> Int32
    ) throws(Errno) {
        loop.preconditionOnLoop()
        self.loop = loop
        self.description = description
        descriptor = nil
        let memory = UnsafeMutablePointer<Raw>.allocate(capacity: 1)
        let status = initialize(loop.raw, memory)
        if status < 0 {
            memory.deallocate()
            throw Errno(uv: status)
        }
        cell = UnsafeMutableRawPointer(memory)
        handle!.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { closeHandle() }

    package final var isOpen: Bool { cell != nil }

    /// Ends the source; idempotent, and allowed in its own callbacks. No callback fires afterwards.
    package final func close() {
        guard isOpen else { return }
        closeHandle()
        descriptor = nil
        didClose()
    }

    /// Drops callbacks and everything else that the source holds. `close()` calls it once; `deinit` does not, since a
    /// subclass's properties are gone by then.
    func didClose() {}

    private final func closeHandle() {
        guard let handle else { return }
        loop.preconditionOnLoop()
        cell = nil
        handle.pointee.data = nil
        uv_close(handle) { UnsafeMutableRawPointer($0!).deallocate() }
    }

    /// Whether an open source keeps `Loop.run()` from returning; true at first.
    package final var keepsLoopRunning: Bool {
        get { handle.map { uv_has_ref($0) != 0 } ?? false }
        set {
            guard let handle else { return }
            if newValue { uv_ref(handle) } else { uv_unref(handle) }
        }
    }

    final var handle: UnsafeMutablePointer<uv_handle_t>? { cell?.assumingMemoryBound(to: uv_handle_t.self) }

    /// The handle as the type that it was made with; nil when closed. The caller knows the type.
    final func raw<Raw>(_ type: Raw.Type) -> UnsafeMutablePointer<Raw>? { cell?.assumingMemoryBound(to: Raw.self) }

    /// The source behind a handle in a callback of libuv, kept alive for the callback; nil when it is closed.
    static func of<Raw>(_ handle: UnsafeMutablePointer<Raw>?) -> Self? {
        let data = UnsafeMutableRawPointer(handle!).assumingMemoryBound(to: uv_handle_t.self).pointee.data
        return data.map { unsafeDowncast(Unmanaged<Source>.fromOpaque($0).takeUnretainedValue(), to: self) }
    }
}
