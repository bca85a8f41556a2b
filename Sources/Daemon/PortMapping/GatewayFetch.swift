import Base
import EventLoop
import Mesh

/// One HTTP exchange with a gateway, bounded in time and size: bytes are collected until the answer is complete by its own
/// length, the connection ends, or five seconds have passed.
final class GatewayFetch {
    private var stream: ByteStream?
    private var timer: Timer?
    private var bytes: [UInt8] = []
    private var onEnd: ((PortMapperAnswer) -> Void)?
    private static let patience = Interval.seconds(5)

    /// `onEnd` is called once, and not before this returns; not after `close`.
    init(
        on loop: Loop, _ request: PortMapperRequest, onEnd: @escaping (PortMapperAnswer) -> Void
    ) throws(Errno) {
        self.onEnd = onEnd
        let me = Weak(self)
        let stream = try ByteStream(on: loop, "gateway: HTTP", to: .tcp(request.remote)) { problem in
            guard let fetch = me.object else { return }
            if let problem { return fetch.finish(.failed("\(request.remote): \(problem.message)")) }
            fetch.stream?.start(onRead: { me.object?.read($0) }, onEnd: { me.object?.ended($0) })
        }
        self.stream = stream
        stream.write(request.bytes)
        let timer = Timer(on: loop, "gateway: HTTP deadline") {
            me.object?.finish(.failed("\(request.remote): no answer within \(GatewayFetch.patience)"))
        }
        timer.arm(after: GatewayFetch.patience)
        self.timer = timer
    }

    func close() {
        onEnd = nil
        stream?.close()
        timer?.close()
        (stream, timer) = (nil, nil)
    }

    private func read(_ more: [UInt8]) {
        bytes += more
        if bytes.count > HTTPAnswer.bytesLimit {
            finish(.failed("an answer of more than \(HTTPAnswer.bytesLimit) bytes"))
        } else if HTTPAnswer.isComplete(bytes) {
            finish(.bytes(bytes))
        }
    }

    private func ended(_ end: ByteStream.End) {
        switch end {
        // Some gateways reset the connection right after their answer.
        case .endOfStream: finish(.bytes(bytes))
        case .failed(let problem): finish(bytes.isEmpty ? .failed(problem.message) : .bytes(bytes))
        }
    }

    private func finish(_ answer: PortMapperAnswer) {
        let onEnd = self.onEnd
        close()
        onEnd?(answer)
    }
}
