import CLibuv

/// Runs blocking work (disks, name resolution) on libuv's threads and delivers the result on the loop.
///
/// A process has four of these threads (UV_THREADPOOL_SIZE), and all users share them. So work that may hang forever does not
/// belong here. Closing cancels jobs that have not begun, lets the others end, and drops every result.
package final class Blocking {
    package let loop: Loop
    package let description: String
    private var jobs: [ObjectIdentifier: Job] = [:]
    private var isOpen = true

    package init(on loop: Loop, _ description: String) {
        self.loop = loop
        self.description = description
    }

    deinit { close() }

    /// Jobs whose result has not been delivered.
    package var pending: Int { jobs.count }

    /// Runs `work` on another thread, then `then` on the loop with what it returned; neither after `close()`, except a `work`
    /// that had begun.
    package func run<Result>(
        _ work: sending @escaping () -> sending Result, then: @escaping (sending Result) -> Void
    ) {
        loop.preconditionOnLoop()
        precondition(isOpen, "\(description) is closed")
        let job = Job()
        // One thread at a time touches these: libuv's queue puts the worker's writes before the loop's reads.
        nonisolated(unsafe) let result = Box<Result>()
        nonisolated(unsafe) let work = work
        job.work = { result.value = work() }
        job.finish = { [unowned self, unowned job] in
            jobs[ObjectIdentifier(job)] = nil
            // Nil where the job was cancelled, which also removed `finish`.
            guard let value = result.value.take() else { return }
            nonisolated(unsafe) let home = value
            then(home)
        }
        jobs[ObjectIdentifier(job)] = job
        job.queue(on: loop)
    }

    /// Idempotent.
    package func close() {
        isOpen = false
        for job in jobs.values { job.cancel() }
        jobs = [:]
    }
}

private final class Box<Value> {
    var value: Value?
}

extension Optional {
    fileprivate mutating func take() -> Wrapped? {
        defer { self = nil }
        return self
    }
}

/// One request of libuv. It keeps itself alive until libuv has completed the request.
private final class Job {
    var work: (() -> Void)?
    var finish: (() -> Void)?
    private let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)

    deinit { request.deallocate() }

    func queue(on loop: Loop) {
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let status = uv_queue_work(
            loop.raw, request,
            { request in
                let job = Unmanaged<Job>.fromOpaque(request!.pointee.data).takeUnretainedValue()
                job.work?()
                job.work = nil
            },
            { request, _ in
                let job = Unmanaged<Job>.fromOpaque(request!.pointee.data).takeRetainedValue()
                job.work = nil
                job.finish?()
                job.finish = nil
            })
        precondition(status == 0, "uv_queue_work: \(Errno(uv: status))")
    }

    /// A job that already runs cannot be cancelled (EBUSY); its result is dropped.
    func cancel() {
        finish = nil
        uv_cancel(UnsafeMutableRawPointer(request).assumingMemoryBound(to: uv_req_t.self))
    }
}
