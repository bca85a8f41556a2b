import Base
import Control
import Foundation
import Wire

/// Views as the programs give them, with every field of some importance set.
enum Sample {
    static let id = NodeID((0..<32).map { UInt8($0) })!
    static let now = UnixTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))

    static func node(_ name: String, _ state: NodeState = .online, host: HostStatus? = nil) -> NodeView {
        return NodeView(
            id: id, name: name, site: "berlin", labels: [Label("team", "rl")], roles: ["agent"], state: state,
            address: SocketAddress("192.0.2.7:7950"), overlay4: IPAddress("100.64.0.7"),
            overlay6: IPAddress("fd11:2233:4455:6677:8899:aabb:ccdd:eeff"), enrolledAt: now + .seconds(-7200),
            certificateExpiresAt: now + .seconds(86_400), lastHeartbeatAt: now + .seconds(-3), agentVersion: "0.1.0",
            verdict: .healthy, processorLoadPercent: 12, memoryLoadPercent: 48, acceleratorLoadPercent: 97,
            workersRunning: 2, workersTotal: 3, accelerators: 8, host: host)
    }

    static func host() -> HostStatus {
        var host = HostStatus()
        host.hostname = "gpu-7"
        host.kernel = "6.1.0-30"
        host.architecture = "x86_64"
        host.processors = 64
        host.memoryTotalBytes = 512 << 30
        host.memoryAvailableBytes = 300 << 30
        host.load1Centi = 125
        host.disks = [DiskStatus(mountPoint: "/", device: "/dev/sda1", fileSystem: "ext4")]
        return host
    }

    static func worker(
        _ name: String, _ state: WorkerState?, pid: Int32? = 4242, generation: UInt64 = 3,
        desired: WorkerView.DesiredState = .run, reason: String? = nil, lastExit: WorkerExit? = nil
    ) -> WorkerView {
        let worker = WorkerRef(name, generation: generation)
        let status = state.map { state in
            var status = WorkerStatus(worker, state)
            status.pid = state == .running ? pid : nil
            status.startedAt = now + .seconds(-120)
            status.reason = reason
            status.lastExit = lastExit
            status.logBytes = 1536
            return status
        }
        return WorkerView(
            worker, desired: desired, command: ["sleep", "60"], node: id, nodeName: "gpu-7", status: status)
    }

    static func status(_ program: StatusView.Program) -> StatusView {
        let states: [NodeState] = [.online, .online, .offline]
        return StatusView(
            program: program, version: "0.1.0", node: id, name: program == .agent ? "gpu-7" : "controller",
            fleet: String(repeating: "ab", count: 16), phase: .member, incarnation: 18_446_744_073_709_551_615,
            startedAt: now + .seconds(-60), nodes: program == .controller ? .init(counting: states) : nil,
            counters: [CounterView(name: "bad mac", count: 3)])
    }

    static func event(_ number: UInt64, _ kind: EventView.Kind, _ message: String) -> EventView {
        decode(
            EventView.self,
            """
            {"id":\(number),"at":1763844000000,"kind":"\(kind.rawValue)","nodeName":"gpu-7","message":"\(message)"}
            """)
    }

    static func token(_ text: String?) -> TokenView {
        decode(
            TokenView.self,
            """
            {"id":"00112233445566ff","name":"rack 4","createdAt":\(now.milliseconds - 1000),"expiresAt":\
            \(now.milliseconds + 3_600_500),"uses":2,"used":1,"isRevoked":false,"isForBeacons":false\
            \(text.map { ",\"token\":\"\($0)\"" } ?? "")}
            """)
    }

    static func peer(_ name: String, packets: Int = 0) -> PeerView {
        decode(
            PeerView.self,
            """
            {"node":"\(id.hex)","name":"\(name)","isConnected":true,"address":"192.0.2.7:7950",\
            "overlay4":"100.64.0.7","overlay6":"fd11:2233:4455:6677:8899:aabb:ccdd:eeff",\
            "roundTripMicroseconds":840,"cipher":"AESGCM","keyAgeSeconds":61,"sinceReceivedMilliseconds":900,\
            "isRelayed":false,"bytesReceived":2048,"bytesSent":1572864,"openStreams":1,"packetsReceived":\(packets),"packetsSent":1204,\
            "packetBytesReceived":\(packets * 1000),"packetBytesSent":1572864,"hasRoute":true,"datagramBytes":1472}
            """)
    }

    /// By a direct path, by a relay's, and by another relay's.
    static let answers = [
        #"{"number":1,"roundTripMicroseconds":840,"address":"192.0.2.7:7950","isRelayed":false,"isTCP":false}"#,
        #"{"number":1,"roundTripMicroseconds":910,"address":"203.0.113.1:7950","isRelayed":true,"relay":"beacon","isTCP":false}"#,
        #"{"number":1,"roundTripMicroseconds":1250,"address":"203.0.113.2:7950","isRelayed":true,"isTCP":true}"#,
    ]

    /// One ping, and its answer if there was one.
    static func ping(_ answers: [String]) -> PingView {
        var view = decode(
            PingView.self,
            #"{"node":"\#(id.hex)","name":"gpu-7","sent":1,"roundTripsMicroseconds":[],"answers":[\#(answers.joined(separator: ","))]}"#
        )
        view.roundTripsMicroseconds = view.answers.map(\.roundTripMicroseconds)
        return view
    }

    static func paths(_ reason: String?) -> PathsView {
        decode(
            PathsView.self,
            """
            {"node":"\(id.hex)","name":"gpu-7","path":"\(reason == nil ? "direct" : "relayed")",\
            \(reason.map { "\"reason\":\"\($0)\"," } ?? "")"ownMapping":"endpointIndependent","peerMapping":"endpointDependent",\
            "datagramBytes":1460,"pathMTU":1500,"paths":[\
            {"address":"203.0.113.1:7950","isRelayed":true,"relay":"beacon","isTCP":false,"isPrimary":\(reason != nil),"isAlive":true,\
            "roundTripMicroseconds":910,"sinceAnsweredMilliseconds":1200,"sinceReceivedMilliseconds":900,"missed":0,\
            "isPunching":false,"sinceProbedMilliseconds":1201,"probe":"answered"},\
            {"address":"192.0.2.7:7950","isRelayed":false,"isTCP":false,"isPrimary":\(reason == nil),"isAlive":false,"missed":6,\
            "barredMilliseconds":21000,"isPunching":false,"sinceProbedMilliseconds":300,"probe":"unanswered"}],\
            "transitions":[{"agoMilliseconds":9000,"from":"192.0.2.7:7950","fromIsRelayed":false,"fromIsTCP":false,"toIsTCP":false,\
            "to":"203.0.113.1:7950","toIsRelayed":true,"toRelay":"beacon","cause":"silent","doubtMilliseconds":240}]}
            """)
    }

    static func accelerator() -> AcceleratorView {
        var device = AcceleratorStatus(vendor: "nvidia", index: 3)
        device.model = "NVIDIA H100 80GB HBM3"
        device.memoryTotalBytes = 80 << 30
        device.memoryUsedBytes = 20 << 30
        device.utilizationPercent = 87
        device.temperatureMilliCelsius = 61_000
        device.powerMilliwatts = 512_000
        device.verdict = .degraded
        device.evidence = ["row remap pending"]
        return decode(
            AcceleratorView.self,
            "{\"node\":\"\(id.hex)\",\"nodeName\":\"gpu-7\",\"accelerator\":\(encode(device))}")
    }

    static func log(_ text: String, from offset: Int64, isFinal: Bool) -> LogView {
        let bytes = Array(text.utf8)
        return decode(
            LogView.self,
            """
            {"worker":"w","offset":\(offset),"nextOffset":\(offset + Int64(bytes.count)),"isFinal":\(isFinal),\
            "data":"\(Base64.encode(bytes))"}
            """)
    }

    static func decode<View: Decodable>(_ type: View.Type, _ json: String) -> View {
        try! JSONDecoder().decode(type, from: Data(json.utf8))
    }
    private static func encode(_ value: some Encodable) -> String {
        String(decoding: try! JSONEncoder().encode(value), as: UTF8.self)
    }
}
