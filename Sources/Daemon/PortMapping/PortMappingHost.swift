package import Base
package import Control
package import EventLoop
package import Logging
import Mesh
import Noise
import Platform

/// # A port mapping at the gateway
///
/// Runs a `PortMapper` for the mesh's port. On each call of `look` it determines the node's network. It carries the mapper's
/// datagrams and HTTP exchanges, and reports the external addresses that lead to the node. It requests nothing where a
/// mapping cannot help: without a default gateway, where the node's own address is public, and where the node listens only on
/// another interface.
package final class PortMappingHost {
    package enum Mode: String, Hashable, Sendable, CaseIterable {
        /// Where the node's own address is private.
        case auto
        case off
    }

    private let loop: Loop
    private let listening: SocketAddress
    private let root: String
    private let log: Logger
    private let onChange: ([SocketAddress]) -> Void
    private var mapper: PortMapper
    private var out = PortMapperOutbox()
    private var place: PortMapper.Place?
    /// Why no mapping is requested.
    private var obstacle: String?
    private var socket: DatagramSocket?
    private var announcements: DatagramSocket?
    private var fetches: [UInt64: GatewayFetch] = [:]
    private var timer: Timer!
    private var stopTimer: Timer?
    private var onStopped: (() -> Void)?
    private var reported: SocketAddress?
    private var reportedProblem: String?
    private var hasLooked = false

    private static let stopPatience = Interval.seconds(1)

    /// `listening` is where the mesh's socket is bound; `root` is a prefix of /proc, for tests. `onChange` is called on each
    /// change of the external addresses.
    package init(
        on loop: Loop, listening: SocketAddress, nonce: [UInt8], root: String = "", log: Logger,
        onChange: @escaping ([SocketAddress]) -> Void
    ) {
        self.loop = loop
        self.listening = listening
        self.root = root
        self.log = log
        self.onChange = onChange
        mapper = PortMapper(port: listening.port, nonce: nonce, random: Random(Entropy.seed()))
        let me = Weak(self)
        timer = Timer(on: loop, "port mapping") { me.object?.drive { $0.tick(now: $1, into: &$2) } }
    }

    /// The nonce by which a gateway identifies a node's mapping. No other node can predict it, and it is the same after a
    /// crash. So the gateway renews the former mapping instead of refusing it as another node's until it expires.
    package static func nonce(identity: [UInt8]) -> [UInt8] {
        let key = SecretBytes(identity)
        return Array(HashFunction.blake2b.hmac(key: key, Array("asterism port mapping".utf8)).bytes().prefix(12))
    }

    /// Called at the start, and whenever addresses or routes may have changed.
    package func look() {
        guard onStopped == nil else { return }
        let found = present()
        guard found != place || !hasLooked else { return }
        hasLooked = true
        place = found
        openSockets()
        drive { $0.moved(to: found, now: $1, into: &$2) }
    }

    /// Deletes the mapping, waits for that at most a second, and calls back.
    package func stop(_ done: @escaping () -> Void) {
        onStopped = done
        let me = Weak(self)
        let timer = Timer(on: loop, "port mapping: stop") { me.object?.stopped() }
        timer.arm(after: PortMappingHost.stopPatience)
        stopTimer = timer
        drive { $0.stop(now: $1, into: &$2) }
    }

    package func close() {
        onStopped = nil
        for fetch in fetches.values { fetch.close() }
        fetches = [:]
        socket?.close()
        announcements?.close()
        stopTimer?.close()
        timer.close()
    }

    package var view: PortMappingView {
        if let obstacle { return PortMappingView(off: listening.port, obstacle) }
        return PortMappingView(mapper.status(now: loop.now))
    }

    // MARK: - Where the node is

    private func present() -> PortMapper.Place? {
        obstacle = nil
        guard let gateway = DefaultGateway.read(root: root) else { return report("there is no default gateway") }
        guard let own = gateway.ownAddress else { return report("\(gateway.interface) has no IPv4 address") }
        guard own.isOfPrivateNetwork4, !own.isLoopback else {
            return report("\(own) is a public address, so there is no NAT")
        }
        guard listening.ip.isUnspecified || listening.ip == own else {
            return report("the node listens on \(listening.ip) only")
        }
        return PortMapper.Place(gateway: gateway.gateway, own: own)
    }

    private func report(_ why: String) -> PortMapper.Place? {
        obstacle = why
        return nil
    }

    private func openSockets() {
        socket?.close()
        announcements?.close()
        (socket, announcements) = (nil, nil)
        guard let place else { return }
        do throws(Errno) {
            // Sent from the address to be mapped: a PCP gateway compares them, and UPnP's search leaves by its interface.
            socket = try open(SocketAddress(place.own, 0))
        } catch { log.notice("no port mapping", metadata: ["reason": "\(place.own): \(error.message)"]) }
        // Every interface is in the group of all hosts. Where another program has the port, a gateway's restart is detected
        // later.
        announcements = try? open(SocketAddress(.any4, PCP.announcementPort))
    }

    private func open(_ address: SocketAddress) throws(Errno) -> DatagramSocket {
        var options = DatagramSocket.Options()
        options.maximumDatagram = 4096
        options.roundsPerWake = 1
        let me = Weak(self)
        return try DatagramSocket(on: loop, "port mapping", bind: address, options: options) { batch in
            for index in batch.entries.indices {
                let bytes = batch.bytes(at: index), remote = batch.entries[index].remote
                me.object?.drive { $0.received(bytes, from: remote, now: $1, into: &$2) }
            }
        }
    }

    // MARK: - The pump

    private func drive(_ body: (inout PortMapper, Instant, inout PortMapperOutbox) -> Void) {
        body(&mapper, loop.now, &out)
        // A fetch that cannot begin is answered at once, and may be followed by another.
        repeat { flush() } while !out.requests.isEmpty || !out.datagrams.isEmpty
        if let deadline = mapper.deadline { timer.arm(at: deadline.at) } else { timer.cancel() }
        publish()
        if mapper.isEnded { stopped() }
    }

    private func flush() {
        if !out.datagrams.isEmpty {
            var batch = DatagramBatch(capacity: 4096)
            for datagram in out.datagrams { batch.append(datagram.bytes, remote: datagram.remote) }
            out.datagrams.removeAll(keepingCapacity: true)
            socket?.send(&batch)
        }
        let requests = out.requests
        out.requests.removeAll()
        for request in requests {
            let me = Weak(self)
            do throws(Errno) {
                fetches[request.id] = try GatewayFetch(on: loop, request) { answer in
                    me.object?.fetches[request.id] = nil
                    me.object?.drive { $0.answered(request.id, answer, now: $1, into: &$2) }
                }
            } catch {
                mapper.answered(request.id, .failed(error.message), now: loop.now, into: &out)
            }
        }
    }

    private func publish() {
        let status = mapper.status(now: loop.now)
        if mapper.external != reported {
            reported = mapper.external
            if let reported, let how = status.protocol {
                log.info(
                    "the gateway maps a port",
                    metadata: [
                        "address": "\(reported)", "protocol": "\(how.rawValue)",
                        "gateway": "\(status.gateway ?? .any4)",
                        "problem": "\(status.problem ?? "none")",
                    ])
            } else {
                log.info("the port mapping has ended")
            }
            onChange(reported.map { [$0] } ?? [])
        } else if reported == nil, mapper.isResting, status.problem != reportedProblem {
            reportedProblem = status.problem
            log.info("no port mapping", metadata: ["reason": "\(status.problem ?? "none")"])
        }
    }

    private func stopped() {
        let done = onStopped
        onStopped = nil
        stopTimer?.close()
        stopTimer = nil
        done?()
    }
}
