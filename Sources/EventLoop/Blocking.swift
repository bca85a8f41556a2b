import CLibuv

/// Runs what blocks (disks, name resolution) on libuv's threads and brings the result home.
///
/// Those threads are four in each process (UV_THREADPOOL_SIZE) and are shared, so nothing that may hang for ever
/// belongs here. Closing cancels what has not begun, lets the rest end, and drops every result.
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

    /// Jobs that have not come home.
    package var pending: Int { jobs.count }

    /// Runs `work` on another thread, then `then` on the loop with what it returned; neither after `close()`, save a
    /// `work` that had begun.
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
            // Nil where the job was cancelled, which also needed `finish` away.
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

/// One request of libuv. It keeps itself alive until the request has come home.
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

    /// A job that runs already refuses (EBUSY); its result then finds nobody.
    func cancel() {
        finish = nil
        uv_cancel(UnsafeMutableRawPointer(request).assumingMemoryBound(to: uv_req_t.self))
    }
}
