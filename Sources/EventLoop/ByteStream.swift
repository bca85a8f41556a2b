package import Base
import CLibuv
import CLinux
import Glibc

/// # Bytes in order
///
/// A connection over TCP or a unix socket. Each direction ends on its own: the far end's half-close arrives as
/// `.endOfStream` and leaves our direction open; `shutdown()` ends ours after what was written. An error ends both, is
/// reported once through `onEnd`, and closes the stream. `close()` ends both at once and drops all queued bytes.
///
/// Both directions are bounded. For input, `pauseReading()` leaves the bytes in the kernel, which holds back the sender. For
/// output, `write` refuses bytes that would take `pendingBytes` beyond `pendingLimit`; `onDrained` is called when the kernel
/// has accepted all of them.
package final class ByteStream: Source {
    package enum End: Hashable, Sendable {
        /// The far end has sent all it will.
        case endOfStream
        case failed(Errno)
    }
    package enum Target: Hashable, Sendable {
        case tcp(SocketAddress)
        /// A path in the file system, at most 107 bytes.
        case unix(String)
    }
    /// The process at the other end of a unix socket, at the time when it connected.
    package struct Credentials: Hashable, Sendable {
        package var pid: Int32
        package var uid: UInt32
        package var gid: UInt32

        package init(pid: Int32, uid: UInt32, gid: UInt32) {
            self.pid = pid
            self.uid = uid
            self.gid = gid
        }
    }

    /// Bytes that may wait for the kernel; a refusal beyond it changes nothing.
    package var pendingLimit = 16 << 20
    /// The kernel has accepted all written bytes; called once each time that some had to wait.
    package var onDrained: (() -> Void)?
    /// How it ended, once it has; nil also after `close()` without an end before.
    package private(set) var end: End?

    private var onConnect: ((Errno?) -> Void)?
    private var onRead: (([UInt8]) -> Void)?
    private var onEnd: ((End) -> Void)?
    private var isReading = false
    /// Connecting is under way.
    package private(set) var isConnecting = false
    private var isShutDown = false
    private var isReadRequested = false
    /// Frees the place that a listener counts for this stream.
    private var place: Listener.Place?

    init(on loop: Loop, _ description: String, isUnix: Bool, place: Listener.Place? = nil) throws(Errno) {
        self.place = place
        if isUnix {
            try super.init(on: loop, description, as: uv_pipe_t.self) { uv_pipe_init($0, $1, 0) }
        } else {
            try super.init(on: loop, description, as: uv_tcp_t.self) { uv_tcp_init($0, $1) }
        }
    }

    /// Connects. `onConnect` is called with nil or with the reason of the failure, and then the stream is closed. Bytes that
    /// are written meanwhile are queued.
    package convenience init(
        on loop: Loop, _ description: String, to target: Target, onConnect: @escaping (Errno?) -> Void
    ) throws(Errno) {
        switch target {
        case .tcp(let address):
            try self.init(on: loop, description, isUnix: false)
            let request = ConnectRequest.make()
            var (storage, _) = address.storage
            let status = withUnsafeBytes(of: &storage) {
                uv_tcp_connect(
                    request, raw(uv_tcp_t.self), $0.baseAddress!.assumingMemoryBound(to: sockaddr.self),
                    ConnectRequest.callback)
            }
            if status < 0 {
                request.deallocate()
                throw Errno(uv: status)
            }
            uv_tcp_nodelay(raw(uv_tcp_t.self), 1)
        case .unix(let path):
            // libuv would cut a longer name silently, and the kernel's structure holds no more.
            guard path.utf8.count < UnixAddress.pathLimit else { throw Errno(ENAMETOOLONG) }
            try self.init(on: loop, description, isUnix: true)
            uv_pipe_connect(ConnectRequest.make(), raw(uv_pipe_t.self), path, ConnectRequest.callback)
        }
        isConnecting = true
        self.onConnect = onConnect
    }

    /// Takes over one end of a connected stream socket or pipe: a unix socket, a socketpair(2), a pipe(2).
    package convenience init(
        on loop: Loop, _ description: String, adopting socket: consuming FileDescriptor
    ) throws(Errno) {
        try self.init(on: loop, description, isUnix: true)
        try uv(uv_pipe_open(raw(uv_pipe_t.self), socket.raw))
        _ = socket.release()
    }

    /// Begins to read. `onEnd` is called at most once.
    package func start(onRead: @escaping ([UInt8]) -> Void, onEnd: @escaping (End) -> Void) {
        loop.preconditionOnLoop()
        guard isOpen else { return }
        self.onRead = onRead
        self.onEnd = onEnd
        isReadRequested = true
        updateReading()
    }

    package func pauseReading() {
        isReadRequested = false
        updateReading()
    }
    package func resumeReading() {
        isReadRequested = onRead != nil
        updateReading()
    }

    /// Bytes that were written and that the kernel has not accepted yet.
    package var pendingBytes: Int { stream.map { uv_stream_get_write_queue_size($0) } ?? 0 }

    /// Sends `bytes` after all that was written before. False, and nothing is taken, if the stream is closed or shut
    /// down or the limit would be exceeded.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        loop.preconditionOnLoop()
        guard let stream, !isShutDown, pendingBytes + bytes.count <= pendingLimit else { return false }
        guard !bytes.isEmpty else { return true }
        var rest = bytes[...]
        if !isConnecting, pendingBytes == 0 {
            let sent = bytes.withUnsafeBytes { memory in
                var buffer = ByteStream.buffer(memory)
                return uv_try_write(stream, &buffer, 1)
            }
            // An error other than EAGAIN occurs again in the queue and is reported there, outside of this call.
            rest = rest.dropFirst(max(0, Int(sent)))
        }
        return rest.isEmpty || WriteRequest.queue(rest, on: stream)
    }

    /// Ends our direction once everything is written.
    package func shutdown() {
        loop.preconditionOnLoop()
        guard let stream, !isShutDown else { return }
        isShutDown = true
        if !isConnecting { endWriting(stream) }
    }

    private func endWriting(_ stream: UnsafeMutablePointer<uv_stream_t>) {
        let request = UnsafeMutablePointer<uv_shutdown_t>.allocate(capacity: 1)
        // ENOTCONN means that the far end is gone; reading reports that with a better reason.
        if uv_shutdown(request, stream, { request, _ in request!.deallocate() }) < 0 { request.deallocate() }
    }

    /// On TCP: the kernel takes no more while it holds so many bytes that it has not sent (TCP_NOTSENT_LOWAT of tcp(7)), so
    /// that waiting bytes are queued here. Without effect on other sockets.
    package func limitUnsent(_ bytes: Int32) {
        guard let number else { return }
        var value = bytes
        _ = setsockopt(number, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Our own address, and the far end's, of a TCP connection.
    package var localAddress: SocketAddress? {
        guard let number else { return nil }
        return try? address("getsockname") { getsockname(number, $0, $1) }
    }
    package var remoteAddress: SocketAddress? {
        guard let number else { return nil }
        return try? address("getpeername") { getpeername(number, $0, $1) }
    }

    /// SO_PEERCRED; nil on TCP. Meaningful only on sockets that were connected or accepted.
    package var peerCredentials: Credentials? {
        var raw = asterism_credentials()
        // A socket without a peer process has pid 0 and the overflow user.
        guard let number, asterism_peer_credentials(number, &raw) == 0, raw.pid != 0 else { return nil }
        return Credentials(pid: raw.pid, uid: raw.uid, gid: raw.gid)
    }

    override func didClose() {
        onConnect = nil
        onRead = nil
        onEnd = nil
        onDrained = nil
        place = nil
    }

    private var stream: UnsafeMutablePointer<uv_stream_t>? { raw(uv_stream_t.self) }

    private var number: Int32? {
        guard let handle else { return nil }
        var number: uv_os_fd_t = -1
        return uv_fileno(handle, &number) == 0 ? number : nil
    }

    fileprivate static func buffer(_ memory: UnsafeRawBufferPointer) -> uv_buf_t {
        // libuv only reads what it writes out.
        uv_buf_init(
            UnsafeMutableRawPointer(mutating: memory.baseAddress!).assumingMemoryBound(to: CChar.self),
            UInt32(memory.count))
    }

    private func updateReading() {
        loop.preconditionOnLoop()
        let shouldRead = isReadRequested && !isConnecting && end == nil
        guard let stream, shouldRead != isReading else { return }
        isReading = shouldRead
        if !shouldRead {
            uv_read_stop(stream)
            return
        }
        let status = uv_read_start(
            stream,
            { handle, _, buffer in
                guard let stream = ByteStream.of(handle) else { return }
                let memory = stream.loop.readBuffer.memory
                buffer!.pointee = uv_buf_init(
                    memory.baseAddress!.assumingMemoryBound(to: CChar.self), UInt32(memory.count))
            },
            { handle, count, _ in ByteStream.of(handle)?.read(count) })
        if status < 0 { fail(Errno(uv: status)) }
    }

    private func read(_ count: Int) {
        if count > 0 {
            onRead?([UInt8](loop.readBuffer.memory[..<count]))
        } else if count == Int(UV_EOF.rawValue) {
            end = .endOfStream
            updateReading()
            onEnd?(.endOfStream)
        } else if count < 0 {
            fail(Errno(uv: Int32(count)))
        }
    }

    /// Both directions are over.
    private func fail(_ reason: Errno) {
        end = .failed(reason)
        let onEnd = self.onEnd
        close()
        onEnd?(.failed(reason))
    }

    fileprivate func connected(_ status: Int32) {
        isConnecting = false
        let onConnect = self.onConnect
        self.onConnect = nil
        if status < 0 {
            end = .failed(Errno(uv: status))
            close()
            onConnect?(Errno(uv: status))
        } else {
            onConnect?(nil)
            if isShutDown, let stream { endWriting(stream) }
            updateReading()
        }
    }

    fileprivate func wrote(_ status: Int32) {
        // Writes that are lost with a failed connection are not reported; `connected` reports the failure.
        guard !isConnecting else { return }
        if status < 0 { fail(Errno(uv: status)) } else if pendingBytes == 0 { onDrained?() }
    }
}

/// A request of libuv to connect. It does not hold the stream: closing the stream ends it.
private enum ConnectRequest {
    static func make() -> UnsafeMutablePointer<uv_connect_t> { .allocate(capacity: 1) }

    static let callback: uv_connect_cb = { request, status in
        let stream = ByteStream.of(request!.pointee.handle)
        request!.deallocate()
        stream?.connected(status)
    }
}

/// One write: libuv's request and, behind it in the same block, the bytes, which must stay until they are written.
private enum WriteRequest {
    /// False where there is nothing to write to: a connection that failed, which `onConnect` reports soon.
    static func queue(_ bytes: ArraySlice<UInt8>, on stream: UnsafeMutablePointer<uv_stream_t>) -> Bool {
        let header = (MemoryLayout<uv_write_t>.stride + 15) & ~15
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: header + bytes.count, alignment: 16)
        let copy = UnsafeMutableRawBufferPointer(rebasing: block[header...])
        copy.copyBytes(from: bytes)
        let request = block.baseAddress!.bindMemory(to: uv_write_t.self, capacity: 1)
        var buffer = ByteStream.buffer(UnsafeRawBufferPointer(copy))
        let status = uv_write(request, stream, &buffer, 1) { request, status in
            let stream = ByteStream.of(request!.pointee.handle)
            UnsafeMutableRawPointer(request!).deallocate()
            stream?.wrote(status)
        }
        if status < 0 { block.deallocate() }
        return status == 0
    }
}
