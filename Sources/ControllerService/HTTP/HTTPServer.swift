package import Base
import CMicrohttpd
package import EventLoop
import Glibc

/// # HTTP on the program's own loop
///
/// GNU libmicrohttpd parses and writes; it has no thread and no timer. It keeps one epoll descriptor for all its sockets,
/// which the loop polls; when that is readable, `MHD_run` does what is due. A request whose answer takes time is
/// *suspended*: libmicrohttpd leaves its connection alone until the answer is there.
///
/// ```
///  Poll(epoll) ──► MHD_run ──► target ─► headers ─► body … ─► complete ──► onRequest ──► answer(…) now or later
///                                                                              └── suspended ──┘
/// ```
///
/// An unauthenticated peer can hold at most `connections` sockets, each with `headerBytes` of headers and `bodyBytes` of body.
/// A whole request must arrive within `receive` of the connection's opening or of the last answer. An answer must be read
/// within `send`. These are total times, so a client that sends a byte now and then is not kept longer than one that sends
/// none. Further connections wait in the kernel's queue until one is free.
///
/// libmicrohttpd itself answers input that is not HTTP (400), headers that are too long (431) and similar errors. It
/// sends a short page in HTML and closes the connection.
package final class HTTPServer {
    package struct Limits: Hashable, Sendable {
        package var connections = 256
        package var headerBytes = 32 << 10
        package var bodyBytes = 1 << 20
        package var receive = Interval.seconds(30)
        package var answer = Interval.seconds(60)
        package var send = Interval.seconds(60)

        package init() {}
    }

    package struct Counters: Hashable, Sendable {
        package var connections = 0
        package var requests = 0
        /// Bodies beyond the limit.
        package var tooLarge = 0
        /// Connections closed because a request did not come, or an answer was not taken, in time.
        package var slow = 0
        /// Requests that were not answered in time.
        package var unanswered = 0
    }

    package typealias Answer = (HTTPResponse) -> Void

    package private(set) var counters = Counters()
    /// Where it listens, with the port that the kernel chose.
    package let localEndpoint: HTTPEndpoint
    package var openConnections: Int { connections.count }

    private let loop: Loop
    /// Of a unix socket.
    private let file: SocketFile?
    private let limits: Limits
    private let onRequest: (HTTPRequest, @escaping Answer) -> Void
    private let tooLarge: HTTPResponse
    private let unanswered: HTTPResponse
    private var daemon: OpaquePointer?
    private var poll: Poll?
    private var again: Timer?
    private var sweep: Timer?
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var isRunning = false
    private var isClosing = false
    /// Made once: no weak reference to an object can be made while it is deallocated.
    private var me: Weak<HTTPServer>?

    /// Listens there; port 0 lets the kernel choose. `onRequest` is called with every whole request, and calls
    /// its argument once, at once or later on the loop; only the first answer counts. `tooLarge` and `unanswered` are
    /// the answers that the server gives by itself.
    package init(
        on loop: Loop, at endpoint: HTTPEndpoint, limits: Limits = Limits(), tooLarge: HTTPResponse,
        unanswered: HTTPResponse, onRequest: @escaping (HTTPRequest, @escaping Answer) -> Void
    ) throws(Errno) {
        self.loop = loop
        self.limits = limits
        self.onRequest = onRequest
        self.tooLarge = tooLarge
        self.unanswered = unanswered
        let socket: FileDescriptor
        switch endpoint {
        case .unix(let path):
            let opened = try ListeningSocket.open(unix: path)
            socket = FileDescriptor(owning: opened.socket)
            file = opened.file
            localEndpoint = endpoint
        case .tcp(let address):
            socket = try ListeningSocket.open(address)
            file = nil
            localEndpoint = .tcp(try ListeningSocket.address(of: socket.raw))
        }
        daemon = asterism_http_start(
            socket.raw, UInt32(limits.connections), limits.headerBytes, Unmanaged.passUnretained(self).toOpaque(),
            httpReceived, httpTarget, httpCompleted,
            httpConnection)
        guard let daemon else { throw Errno(ENOMEM) }
        // From here on the socket is libmicrohttpd's, which closes it.
        _ = socket.release()
        let weak = Weak(self)
        me = weak
        poll = try Poll(on: loop, "HTTP", watching: asterism_http_epoll(daemon)) { _ in weak.object?.run() }
        again = Timer(on: loop, "HTTP, more to do") { weak.object?.run() }
        sweep = Timer(on: loop, "HTTP, slow clients") { weak.object?.closeSlow() }
        poll?.start(.readable)
        again?.arm(at: loop.now)
    }

    deinit { close() }

    /// Stops listening and closes all connections; requests that wait for an answer get none. Not from `onRequest`.
    package func close() {
        guard let daemon else { return }
        precondition(!isRunning, "HTTPServer.close() within a request")
        poll?.close()
        again?.close()
        sweep?.close()
        isRunning = true
        isClosing = true
        // libmicrohttpd must not be stopped while a connection is suspended.
        for connection in connections.values { connection.exchange?.finish(with: unanswered) }
        MHD_run(daemon)
        MHD_stop_daemon(daemon)
        self.daemon = nil
        file?.remove()
        isRunning = false
        connections = [:]
    }

    // MARK: Driving libmicrohttpd

    private func run() {
        guard let daemon, !isRunning else { return }
        isRunning = true
        let wasFull = asterism_http_connections(daemon) >= UInt32(limits.connections)
        MHD_run(daemon)
        isRunning = false
        var timeout: UInt64 = 0
        // A full server does not watch its listening socket, and looks at it again only when it runs.
        if wasFull, asterism_http_connections(daemon) < UInt32(limits.connections) {
            again?.arm(at: loop.now)
        } else if MHD_get_timeout(daemon, &timeout) == .YES {
            again?.arm(at: loop.now + .milliseconds(Int64(clamping: min(timeout, 60_000))))
        } else {
            again?.cancel()
        }
    }

    private func closeSlow() {
        let now = loop.now
        for connection in connections.values {
            guard let deadline = connection.deadline, deadline <= now else { continue }
            if let exchange = connection.exchange, exchange.isWaiting {
                counters.unanswered += 1
                exchange.finish(with: unanswered)
            } else {
                counters.slow += 1
                connection.deadline = nil
                // libmicrohttpd sees the end of the connection, and closes it.
                shutdown(connection.socket, Int32(SHUT_RDWR))
            }
        }
        run()
    }

    // MARK: Callbacks of libmicrohttpd

    fileprivate func opened(_ socket: Int32) -> Connection {
        counters.connections += 1
        let connection = Connection(socket: socket, deadline: loop.now + limits.receive)
        if connections.isEmpty { sweep?.arm(every: .milliseconds(500)) }
        connections[ObjectIdentifier(connection)] = connection
        return connection
    }

    fileprivate func closed(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = nil
        if connections.isEmpty { sweep?.cancel() }
    }

    /// The headers are here, then pieces of the body, then the end; and once more when a suspended request is resumed.
    fileprivate func received(
        _ exchange: Exchange, method: String, upload: UnsafeRawBufferPointer, from raw: OpaquePointer
    ) -> MHD_Result {
        switch exchange.stage {
        case .target:
            guard !isClosing else { return .NO }
            exchange.stage = .body
            exchange.method = method
            exchange.headers = headers(of: raw)
            let length = exchange.headers.first { $0.name.lowercased() == "content-length" }?.value
            if let length, Int(length) ?? .max > limits.bodyBytes { return send(tooLargeAnswer(), on: exchange, raw) }
            return .YES
        case .body:
            if !upload.isEmpty { return take(upload, exchange) }
            return complete(exchange, raw)
        case .waiting: return .YES
        case .answered(let response): return send(response, on: exchange, raw)
        case .done: return .NO
        }
    }

    private func take(_ upload: UnsafeRawBufferPointer, _ exchange: Exchange) -> MHD_Result {
        exchange.bodyCount += upload.count
        if exchange.bodyCount <= limits.bodyBytes {
            exchange.body += upload
        } else {
            exchange.body = []
        }
        // No answer may be given in the middle of a body of unknown length, so some more of it is read and forgotten.
        return exchange.bodyCount <= limits.bodyBytes * 4 ? .YES : .NO
    }

    private func complete(_ exchange: Exchange, _ raw: OpaquePointer) -> MHD_Result {
        guard !isClosing else { return .NO }
        if exchange.bodyCount > limits.bodyBytes { return send(tooLargeAnswer(), on: exchange, raw) }
        counters.requests += 1
        let request = HTTPRequest(
            method: exchange.method, target: exchange.target, headers: exchange.headers, body: exchange.body)
        exchange.body = []
        exchange.stage = .waiting
        exchange.connection?.deadline = loop.now + limits.answer
        onRequest(request) { [weak exchange, me] response in
            guard let exchange, exchange.isWaiting else { return }
            exchange.finish(with: response)
            me?.object?.resumeLater()
        }
        if case .answered(let response) = exchange.stage { return send(response, on: exchange, raw) }
        exchange.suspended = raw
        MHD_suspend_connection(raw)
        return .YES
    }

    private func resumeLater() {
        loop.preconditionOnLoop()
        if !isRunning { again?.arm(at: loop.now) }
    }

    private func tooLargeAnswer() -> HTTPResponse {
        counters.tooLarge += 1
        return tooLarge
    }

    private func send(_ response: HTTPResponse, on exchange: Exchange, _ raw: OpaquePointer) -> MHD_Result {
        exchange.stage = .done
        exchange.connection?.deadline = loop.now + limits.send
        let message = response.body.withUnsafeBytes {
            MHD_create_response_from_buffer(
                $0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
        }
        guard let message else { return .NO }
        defer { MHD_destroy_response(message) }
        for header in response.headers { MHD_add_response_header(message, header.name, header.value) }
        return MHD_queue_response(raw, UInt32(response.status), message)
    }

    fileprivate func completed(_ exchange: Exchange) {
        exchange.stage = .done
        exchange.connection?.exchange = nil
        exchange.connection?.deadline = loop.now + limits.receive
    }

    private func headers(of raw: OpaquePointer) -> [HTTPHeader] {
        let list = HeaderList()
        MHD_get_connection_values(
            raw, .HEADER_KIND,
            { list, _, name, value in
                let list = Unmanaged<HeaderList>.fromOpaque(list!).takeUnretainedValue()
                list.all.append(HTTPHeader(text(name), text(value)))
                return .YES
            }, Unmanaged.passUnretained(list).toOpaque())
        return list.all
    }
}

private final class HeaderList {
    var all: [HTTPHeader] = []
}

/// One socket.
final class Connection {
    let socket: Int32
    /// When what the connection is doing must have ended.
    var deadline: Instant?
    var exchange: Exchange?

    init(socket: Int32, deadline: Instant) {
        self.socket = socket
        self.deadline = deadline
    }
}

/// One request and its answer.
final class Exchange {
    enum Stage {
        case target
        case body
        case waiting
        case answered(HTTPResponse)
        case done
    }
    let target: String
    private(set) weak var connection: Connection?
    var stage = Stage.target
    var method = ""
    var headers: [HTTPHeader] = []
    var body: [UInt8] = []
    var bodyCount = 0
    /// libmicrohttpd's connection, while it is suspended.
    var suspended: OpaquePointer?

    init(target: String, connection: Connection) {
        self.target = target
        self.connection = connection
    }

    var isWaiting: Bool { if case .waiting = stage { true } else { false } }

    func finish(with response: HTTPResponse) {
        guard isWaiting else { return }
        stage = .answered(response)
        if let suspended { MHD_resume_connection(suspended) }
        suspended = nil
    }
}

private func server(_ context: UnsafeMutableRawPointer?) -> HTTPServer {
    Unmanaged<HTTPServer>.fromOpaque(context!).takeUnretainedValue()
}

private func text(_ raw: UnsafePointer<CChar>?) -> String { raw.map { String(cString: $0) } ?? "" }

private func httpConnection(
    _ context: UnsafeMutableRawPointer?, _ raw: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_ConnectionNotificationCode
) {
    if code == .CONNECTION_NOTIFY_STARTED {
        let connection = server(context).opened(asterism_http_socket(raw))
        slot!.pointee = Unmanaged.passRetained(connection).toOpaque()
    } else if let pointer = slot!.pointee {
        slot!.pointee = nil
        server(context).closed(Unmanaged<Connection>.fromOpaque(pointer).takeRetainedValue())
    }
}

private func httpTarget(
    _ context: UnsafeMutableRawPointer?, _ target: UnsafePointer<CChar>?, _ raw: OpaquePointer?
) -> UnsafeMutableRawPointer? {
    let connection = Unmanaged<Connection>.fromOpaque(asterism_http_socket_context(raw)!).takeUnretainedValue()
    let exchange = Exchange(target: text(target), connection: connection)
    connection.exchange = exchange
    return Unmanaged.passRetained(exchange).toOpaque()
}

private func httpReceived(
    _ context: UnsafeMutableRawPointer?, _ raw: OpaquePointer?, _ url: UnsafePointer<CChar>?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ upload: UnsafePointer<CChar>?,
    _ uploadCount: UnsafeMutablePointer<Int>?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    let exchange = Unmanaged<Exchange>.fromOpaque(slot!.pointee!).takeUnretainedValue()
    let bytes = UnsafeRawBufferPointer(start: upload, count: uploadCount!.pointee)
    uploadCount!.pointee = 0
    return server(context).received(exchange, method: text(method), upload: bytes, from: raw!)
}

private func httpCompleted(
    _ context: UnsafeMutableRawPointer?, _ raw: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_RequestTerminationCode
) {
    guard let pointer = slot!.pointee else { return }
    slot!.pointee = nil
    server(context).completed(Unmanaged<Exchange>.fromOpaque(pointer).takeRetainedValue())
}
