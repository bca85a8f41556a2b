import Base
import Control
import Wire

/// Views with all of their members, and with as few as there can be.
enum Examples {
    static let id = NodeID([UInt8](repeating: 7, count: 32))!
    static let time = UnixTime(seconds: 1_700_000_000)

    static var spec: WorkerSpec {
        var spec = WorkerSpec(command: ["a"])
        spec.environment = [EnvironmentVariable("A", "b")]
        spec.workingDirectory = "/"
        spec.user = "a"
        spec.group = "b"
        spec.limits.memoryBytes = 1
        spec.limits.cpuMillicores = 1
        spec.limits.processes = 1
        spec.limits.openFiles = 1
        spec.labels = [Label("a", "b")]
        return spec
    }

    static func node(isFull: Bool) -> NodeView {
        guard isFull else {
            return NodeView(
                id: id, name: "a", site: "b", labels: [], roles: [], state: .online, enrolledAt: time,
                certificateExpiresAt: time)
        }
        return NodeView(
            id: id, name: "a", site: "b", labels: [Label("a", "b")], roles: ["agent"], state: .online,
            address: SocketAddress(.loopback4, 1), overlay4: IPAddress("100.64.0.2"), overlay6: IPAddress("fd00::1"),
            enrolledAt: time, certificateExpiresAt: time, lastHeartbeatAt: time, clockOffsetMilliseconds: -90_000,
            agentVersion: "1", containment: .cgroup, processorLoadPercent: 1, memoryLoadPercent: 1,
            acceleratorLoadPercent: 1, freeSlots: 1, host: host)
    }

    private static var host: HostStatus {
        var host = HostStatus()
        host.hostname = "a"
        host.kernel = "a"
        host.bootID = "a"
        host.architecture = "a"
        host.processors = 1
        host.processorModel = "a"
        host.processorUsePermille = 1
        host.load1Centi = 1
        host.load5Centi = 1
        host.load15Centi = 1
        host.memoryTotalBytes = 1
        host.memoryAvailableBytes = 1
        host.swapTotalBytes = 1
        host.swapFreeBytes = 1
        host.uptimeSeconds = 1
        var pressure = PressureStatus(.cpu)
        pressure.some10Basis = 1
        pressure.some60Basis = 1
        pressure.full10Basis = 1
        pressure.full60Basis = 1
        pressure.someTotalMicroseconds = 1
        pressure.fullTotalMicroseconds = 1
        host.pressure = [pressure]
        var disk = DiskStatus(mountPoint: "/", device: "a", fileSystem: "b")
        disk.sizeBytes = 1
        disk.availableBytes = 1
        host.disks = [disk]
        return host
    }

    static func worker(isFull: Bool) -> WorkerView {
        guard isFull else { return WorkerView(WorkerRef("a", generation: 1), desired: .run, command: []) }
        var status = WorkerStatus(WorkerRef("a", generation: 1), .running)
        status.pid = 1
        status.startedAt = time
        status.lastExit = WorkerExit(status: 1, signal: 2, at: time)
        status.reason = "a"
        status.containment = .cgroup
        return WorkerView(
            status.worker, desired: .run, command: ["a"], node: id, nodeName: "a", operation: "a", status: status)
    }

    static func accelerator(isFull: Bool) -> AcceleratorExample {
        var status = AcceleratorStatus(vendor: "a", index: 1)
        guard isFull else { return AcceleratorExample(node: id, nodeName: "a", accelerator: status) }
        status.uuid = "a"
        status.model = "a"
        status.serial = "a"
        status.pciAddress = "a"
        status.driverVersion = "a"
        status.memoryTotalBytes = 1
        status.memoryUsedBytes = 1
        status.utilizationPercent = 1
        status.memoryUtilizationPercent = 1
        status.temperatureMilliCelsius = 1
        status.memoryTemperatureMilliCelsius = 1
        status.powerMilliwatts = 1
        status.powerLimitMilliwatts = 1
        status.uncorrectableErrors = 1
        status.correctableErrors = 1
        status.rowRemapPending = true
        status.rowRemapFailed = true
        status.retiredPagesPending = true
        status.throttleReasons = ["a"]
        status.migMode = true
        var process = AcceleratorProcess(pid: 1)
        process.name = "a"
        process.memoryBytes = 1
        status.processes = [process]
        status.evidence = ["a"]
        return AcceleratorExample(node: id, nodeName: "a", accelerator: status)
    }

    /// As `AcceleratorView`.
    struct AcceleratorExample: Codable {
        var node: NodeID
        var nodeName: String
        var accelerator: AcceleratorStatus
    }

    /// Views that only the controller makes, as JSON: all of their members, then those that cannot be left out.
    static let texts: [(String, any (Codable & Sendable).Type, String, String)] = [
        (
            "Token", TokenView.self,
            """
            {"id":"0011223344556677","name":"a","createdAt":1,"expiresAt":2,"uses":1,"used":0,"isRevoked":false,"isForBeacons":true,
            "token":"ast1"}
            """,
            #"{"id":"0011223344556677","createdAt":1,"expiresAt":2,"uses":1,"used":0,"isRevoked":false,"isForBeacons":true}"#
        ),
        (
            "Event", EventView.self,
            """
            {"id":1,"at":1,"kind":"nodeOnline","node":"\(id.hex)","nodeName":"a","worker":"b","message":"c"}
            """,
            #"{"id":1,"at":1,"kind":"nodeOnline","message":"c"}"#
        ),
        (
            "Peer", PeerView.self,
            """
            {"node":"\(id.hex)","name":"a","isConnected":true,"address":"127.0.0.1:1","overlay4":"100.64.0.2",
            "overlay6":"fd00::1","roundTripMicroseconds":1,"cipher":"a","keyAgeSeconds":1,"sinceReceivedMilliseconds":1,
            "bytesReceived":1,"bytesSent":1,"openStreams":1,
            "isRelayed":true,"relay":"b","packetsReceived":2,"packetsSent":3,"packetBytesReceived":4,"packetBytesSent":5,"hasRoute":true,
            "datagramBytes":1472}
            """,
            """
            {"node":"\(id.hex)","isConnected":true,"bytesReceived":1,"bytesSent":1,"openStreams":1,
            "isRelayed":false,"packetsReceived":0,"packetsSent":0,"packetBytesReceived":0,"packetBytesSent":0,"hasRoute":false}
            """
        ),
        (
            "Log", LogView.self, #"{"worker":"a","offset":0,"nextOffset":1,"isFinal":false,"data":"YQ=="}"#,
            #"{"worker":"a","offset":0,"nextOffset":1,"isFinal":false,"data":""}"#
        ),
        (
            "NodeAccelerator", AcceleratorView.self,
            """
            {"node":"\(id.hex)","nodeName":"a","accelerator":{"vendor":"a","index":1,"throttleReasons":["a"],
            "processes":[{"pid":1,"name":"a","memoryBytes":1}],"verdict":"failed","evidence":["a"],"uuid":"a",
            "model":"a","serial":"a","pciAddress":"a","driverVersion":"a","memoryTotalBytes":1,"memoryUsedBytes":1,
            "utilizationPercent":1,"memoryUtilizationPercent":1,"temperatureMilliCelsius":1,
            "memoryTemperatureMilliCelsius":1,"powerMilliwatts":1,"powerLimitMilliwatts":1,"uncorrectableErrors":1,
            "correctableErrors":1,"rowRemapPending":true,"rowRemapFailed":true,"retiredPagesPending":true,
            "migMode":true}}
            """,
            """
            {"node":"\(id.hex)","nodeName":"a","accelerator":{"vendor":"a","index":1,"throttleReasons":[],
            "processes":[],"verdict":"failed","evidence":[]}}
            """
        ),
        (
            "Status", StatusView.self,
            """
            {"program":"controller","version":"1","node":"\(id.hex)","name":"a","fleet":"b","phase":"serving",
            "incarnation":1,"startedAt":1,"certificateExpiresAt":1,"overlay4":"100.64.0.1","overlay6":"fd00::1","cryptography":"VAES",
            "portMapping":{"protocol":"PCP","externalAddress":"203.0.113.9:7950","internalPort":7950,"lifetimeSeconds":7200,
            "gateway":"192.168.1.1","problem":"a"},
            "controllers":[{"node":"\(id.hex)","addresses":["127.0.0.1:1"],
              "names":["controller.example.org:7950"],"isConnected":true}],
            "joinProblem":"expired","controllerLostAt":1,"descriptionProblem":"nameTaken",
            "clock":{"own":1,"controller":2,"differs":false},
            "nodeClocks":[{"node":"\(id.hex)","name":"alpha","offsetMilliseconds":-90000}],"revision":1,
            "workersActive":1,"workersTotal":1,"containment":"cgroup","verdict":"healthy",
            "nodes":{"online":1,"suspect":1,"offline":1,"left":1,"unknown":1},"counters":[{"name":"a","count":1}]}
            """,
            """
            {"program":"controller","version":"1","node":"\(id.hex)","phase":"serving","incarnation":1,"startedAt":1,
            "counters":[]}
            """
        ),
    ]
}
