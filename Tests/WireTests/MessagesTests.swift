import Base
import Testing
import Wire

/// One of each message, with every field set.
enum MessageSamples {
    static let node = NodeID(Array(repeating: UInt8(0x11), count: 32))!
    static let addresses = [SocketAddress("192.0.2.1:4100")!, SocketAddress("[2001:db8::1]:4100")!]
    static let place = RelayedAddress(relay: node, address: addresses[0], allocation: 0xdead_beef)
    static let authority = [UInt8](repeating: 0x22, count: 32)
    static let overlay6 = IPAddress("fd11:2233:4455:6677:8899:aabb:ccdd:eeff")!

    static var spec: WorkerSpec {
        var spec = WorkerSpec(command: ["/bin/sleep", "60"])
        spec.environment = [EnvironmentVariable("A", "1")]
        spec.workingDirectory = "/srv"
        spec.user = "nobody"
        spec.group = "nogroup"
        spec.limits.memoryBytes = 1 << 30
        spec.limits.cpuMillicores = 1500
        spec.limits.processes = 64
        spec.limits.openFiles = 1024
        spec.restart.mode = .onFailure
        spec.stop.signal = "INT"
        spec.stop.graceSeconds = 3
        spec.log.maxFiles = 2
        spec.priority = .low
        spec.labels = [Label("app", "demo")]
        return spec
    }

    static var status: WorkerStatus {
        var status = WorkerStatus(WorkerRef("web", generation: 3), .running)
        status.pid = 4242
        status.startedAt = UnixTime(milliseconds: 1_700_000_000_123)
        status.restarts = 2
        var exit = WorkerExit(status: nil, signal: 9, at: UnixTime(milliseconds: 1_700_000_000_000))
        exit.outOfMemory = true
        status.lastExit = exit
        status.reason = "because"
        status.containment = .cgroup
        status.logBytes = 77
        return status
    }

    static var host: HostStatus {
        var host = HostStatus()
        host.hostname = "alpha"
        host.processors = 0
        host.processorUsePermille = 125
        host.memoryTotalBytes = 1 << 33
        var pressure = PressureStatus(.memory)
        pressure.some10Basis = 0
        pressure.fullTotalMicroseconds = 9
        host.pressure = [pressure]
        var disk = DiskStatus(mountPoint: "/", device: "/dev/vda1", fileSystem: "ext4")
        disk.sizeBytes = 1 << 40
        disk.isReadOnly = true
        host.disks = [disk]
        return host
    }

    static var accelerator: AcceleratorStatus {
        var card = AcceleratorStatus(vendor: "nvidia", index: 1)
        card.uuid = "GPU-1"
        card.temperatureMilliCelsius = -1000
        card.rowRemapFailed = false
        card.throttleReasons = ["sw_power_cap"]
        var process = AcceleratorProcess(pid: 7)
        process.memoryBytes = 0
        card.processes = [process]
        card.verdict = .degraded
        card.evidence = ["row remap pending"]
        return card
    }

    static var report: Report {
        var report = Report(sequence: 9, agentVersion: "0.1.0")
        report.health = HealthReport(digest: 0x0102_0304_0506_0708, host: host, accelerators: [accelerator])
        report.workers = WorkersReport(digest: 0x1112_1314_1516_1718, [status])
        report.containment = .subreaper
        return report
    }

    static let all: [(name: String, message: ControlMessage)] = [
        (
            "enrol",
            .enrol(
                Enrol(
                    tokenID: [1, 2, 3, 4, 5, 6, 7, 8], proof: [UInt8](repeating: 0x33, count: 32), name: "alpha",
                    labels: [Label("rack", "r1")], site: "here", addresses: addresses))
        ),
        ("register", .register(Register(addresses: addresses))),
        ("register-tcp", .register(Register(addresses: addresses, tcpPorts: [443, 7950]))),
        ("register-relays", .register(Register(addresses: addresses, relays: [place]))),
        ("look-up", .lookUp(.node(node))),
        ("look-up-address", .lookUp(.address(IPAddress("100.64.0.7")!))),
        ("look-up-address-6", .lookUp(.address(overlay6))),
        ("look-up-name", .lookUp(.name("beta"))),
        ("report", .report(report)),
        (
            "check-reply",
            .checkReply(CheckReply(operation: 4, problems: [SpecProblem("command", "there is no /bin/nothing")]))
        ),
        (
            "log-chunk",
            .logChunk(
                LogChunk(
                    operation: 6, worker: "web", offset: 10, bytes: [0, 255, 10], nextOffset: 13, isFinal: true,
                    problem: "none"))
        ),
        ("goodbye", .goodbye(reason: "drained")),
        ("renew-certificate", .renewCertificate(nil)),
        (
            "renew-certificate-described",
            .renewCertificate(NodeDescription(name: "beta", site: "there", labels: [Label("rack", "r2")]))
        ),
        ("clock", .clock(ClockReading(UnixTime(milliseconds: 1_800_000_000_123), expectsReply: true))),
        ("certificate-refused", .certificateRefused(.badLabel, text: "labels: at most 16")),
        (
            "relays-names",
            .relays([ControllerAddress(node: node, addresses: [], names: [HostPort("controller.example.org:7950")!])])
        ),
        (
            "enrol-reply-admitted",
            .enrolReply(
                .admitted(
                    Admission(
                        certificate: [9, 9, 9], authorities: [authority],
                        controllers: [ControllerAddress(node: node, addresses: addresses)])))
        ),
        (
            "enrol-reply-admitted-overlay",
            .enrolReply(
                .admitted(
                    Admission(
                        certificate: [9, 9, 9], authorities: [authority], controllers: [],
                        overlayNetwork: IPPrefix("100.64.0.0/10"))))
        ),
        ("enrol-reply-refused", .enrolReply(.refused(.usedUp, text: "the token was used 1 of 1 times"))),
        (
            "desired",
            .desired(
                Desired(
                    revision: 8, baseRevision: 7,
                    upserts: [
                        DesiredWorker(WorkerRef("web", generation: 3), spec: spec, run: true, operation: "op-1")
                    ], removals: ["old"]))
        ),
        ("check", .check(Check(operation: 4, worker: WorkerRef("web", generation: 3), spec: spec))),
        ("read-log", .readLog(ReadLog(operation: 6, worker: "web", offset: -100, limit: 65_536))),
        (
            "look-up-reply",
            .lookUpReply(LookUpReply(.node(node), node: node, addresses: addresses, certificate: [9, 9, 9]))
        ),
        (
            "look-up-reply-address",
            .lookUpReply(
                LookUpReply(.address(overlay6), node: node, addresses: addresses, certificate: [9, 9, 9]))
        ),
        (
            "look-up-reply-relays",
            .lookUpReply(LookUpReply(.node(node), node: node, relays: [place], certificate: [9, 9, 9]))
        ),
        ("relays-tcp", .relays([ControllerAddress(node: node, addresses: addresses, tcpPorts: [443])])),
        ("relays", .relays([ControllerAddress(node: node, addresses: addresses)])),
        ("look-up-reply-name", .lookUpReply(LookUpReply(.name("beta"), node: node, addresses: addresses))),
        ("look-up-reply-nobody", .lookUpReply(LookUpReply(.address(IPAddress("100.64.0.7")!), node: nil))),
        (
            "certificate-renewed",
            .certificateRenewed(CertificateRenewed(certificate: [9, 9, 9], authorities: [authority, authority]))
        ),
        (
            "certificate-renewed-overlay",
            .certificateRenewed(
                CertificateRenewed(
                    certificate: [9, 9, 9], authorities: [authority], overlayNetwork: IPPrefix("10.9.0.0/16")))
        ),
    ]
}

@Suite struct MessagesTests {
    @Test(arguments: MessageSamples.all.map(\.name))
    func `a message has its golden bytes and comes back from them`(name: String) throws {
        let message = MessageSamples.all.first { $0.name == name }!.message
        let bytes = try golden("message-\(name)")
        #expect(message.encoded() == bytes)
        #expect(try ControlMessage(decoding: bytes) == message)
    }

    @Test func `absent numbers stay absent and zero stays zero`() throws {
        var report = Report(sequence: 1, agentVersion: "")
        report.health = HealthReport(host: MessageSamples.host, accelerators: [MessageSamples.accelerator])
        guard case .report(let back) = try ControlMessage(decoding: ControlMessage.report(report).encoded()) else {
            Issue.record("another message came back")
            return
        }
        #expect(back.health?.host?.processors == 0)
        #expect(back.health?.host?.swapTotalBytes == nil)
        #expect(back.health?.host?.pressure.first?.some10Basis == 0)
        #expect(back.health?.host?.pressure.first?.some60Basis == nil)
        #expect(back.health?.accelerators.first?.rowRemapFailed == false)
        #expect(back.health?.accelerators.first?.rowRemapPending == nil)
        #expect(back.workers == nil)
        #expect(back.containment == nil)
    }

    @Test func `equal reports have equal digests and a change changes them`() {
        var changed = MessageSamples.status
        changed.restarts += 1
        #expect(WorkersReport([MessageSamples.status]).digest == WorkersReport([MessageSamples.status]).digest)
        #expect(WorkersReport([MessageSamples.status]).digest != WorkersReport([changed]).digest)
        #expect(
            HealthReport(host: MessageSamples.host, accelerators: []).digest
                != HealthReport(host: nil, accelerators: []).digest)
    }

    @Test func `cut short or changed in any byte a message is an error or another message, never a crash`() {
        var random = Random(Seed(11))
        var refused = 0
        for (_, message) in MessageSamples.all {
            let bytes = message.encoded()
            for end in bytes.indices where (try? ControlMessage(decoding: Array(bytes[..<end]))) == nil {
                refused += 1
            }
            for index in bytes.indices {
                var mutated = bytes
                mutated[index] ^= UInt8(1 + random.index(below: 255))
                // What can be read can be written.
                if let other = try? ControlMessage(decoding: mutated) {
                    #expect((try? ControlMessage(decoding: other.encoded())) == other)
                } else {
                    refused += 1
                }
            }
        }
        #expect(refused > 100)
    }

    @Test func `a worker's name that is no file name is refused`() {
        for name in ["", "..", "a/b", "a b", String(repeating: "a", count: 64)] {
            let message = ControlMessage.readLog(ReadLog(operation: 1, worker: name, offset: 0, limit: 1))
            #expect(throws: DecodeError(.invalidValue, "read_log.worker", at: 0)) {
                try ControlMessage(decoding: message.encoded())
            }
        }
    }

    @Test func `a look-up asks by one thing, in one form`() {
        let node = [UInt8](repeating: 0x11, count: 32)
        func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(bytes.count)] + bytes }
        let four = field(2, [100, 64, 0, 7]),
            mapped = field(2, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 100, 64, 0, 7])
        let wrong: [([UInt8], String)] = [
            ([], "look_up"), (field(1, node) + four, "look_up"), (four + field(3, Array("beta".utf8)), "look_up"),
            (field(2, [1, 2, 3]), "look_up.address"), (field(2, []), "look_up.address"), (mapped, "look_up.address"),
            (field(1, [1]), "look_up.node"), (field(3, []), "look_up.name"),
            (field(3, Array("a b".utf8)), "look_up.name"),
        ]
        for (bytes, what) in wrong {
            // Field 3 of the envelope.
            #expect(throws: DecodeError(.invalidValue, what, at: 0)) { try ControlMessage(decoding: field(3, bytes)) }
        }
    }

    @Test func `lists and texts beyond their limits are refused by name`() {
        let long = String(repeating: "x", count: Limits.textBytes + 1)
        #expect(throws: DecodeError(.tooLong, "goodbye.reason", at: 0)) {
            try ControlMessage(decoding: ControlMessage.goodbye(reason: long).encoded())
        }
        let many = Register(
            addresses: Array(repeating: MessageSamples.addresses[0], count: Limits.addressesPerPeer + 1))
        #expect(throws: DecodeError(.tooLong, "register.addresses", at: 0)) {
            try ControlMessage(decoding: ControlMessage.register(many).encoded())
        }
        #expect(throws: DecodeError(.tooLong, "message", at: 0)) {
            try ControlMessage(decoding: [UInt8](repeating: 0, count: Limits.controlMessageBytes + 1))
        }
    }

    @Test func `a desired state that does not go forward is refused`() {
        let message = ControlMessage.desired(Desired(revision: 3, baseRevision: 3, upserts: []))
        #expect(throws: DecodeError(.invalidValue, "desired.revision", at: 0)) {
            try ControlMessage(decoding: message.encoded())
        }
    }

    @Test func `an agent's record comes back whole and a later version is refused`() throws {
        var worker = WorkerRecord(
            DesiredWorker(WorkerRef("web", generation: 3), spec: MessageSamples.spec, run: false, operation: "o"),
            state: .succeeded)
        worker.lastExit = WorkerExit(status: 0, signal: nil, at: UnixTime(seconds: 5))
        worker.restartedAt = [UnixTime(seconds: 1), UnixTime(seconds: 2)]
        worker.restarts = 2
        worker.consecutiveFailures = 1
        worker.reason = "why"
        worker.isLeaving = true
        let record = AgentRecord(revision: 7, workers: [worker])
        #expect(try AgentRecord(decoding: record.encoded()) == record)
        // Field 1, the version, as 2.
        #expect(throws: DecodeError(.invalidValue, "agent_record.version", at: 0)) {
            try AgentRecord(decoding: [0x08, 0x02])
        }
        #expect(throws: DecodeError.self) { try AgentRecord(decoding: []) }
    }

    @Test func `a membership record comes back whole`() throws {
        var record = MembershipRecord(
            Admission(
                certificate: [1, 2], authorities: [MessageSamples.authority],
                controllers: [ControllerAddress(node: MessageSamples.node, addresses: MessageSamples.addresses)]))
        #expect(try MembershipRecord(decoding: record.encoded()) == record)
        record.admission.overlayNetwork = IPPrefix("100.64.0.0/10")
        #expect(try MembershipRecord(decoding: record.encoded()) == record)
    }
}

@Suite struct MessageChannelTests {
    @Test func `messages come out whole and in order however the stream cuts them`() {
        for size in [1, 2, 3, 5, 7, 64, 1000, 100_000] {
            var sender = MessageChannel()
            for (_, message) in MessageSamples.all {
                let isTaken = sender.send(message)
                #expect(isTaken)
            }
            var receiver = MessageChannel()
            var received: [ControlMessage] = []
            while sender.hasUnsent {
                let bytes = Array(sender.unsent(limit: size))
                sender.taken(bytes.count)
                receiver.receive(bytes)
                while let message = receiver.nextMessage() { received.append(message) }
            }
            #expect(received == MessageSamples.all.map(\.message))
            #expect(receiver.unreadable == 0)
        }
    }

    @Test func `an impossible length breaks the channel and nothing more is read`() {
        var channel = MessageChannel()
        channel.receive([0xff, 0xff, 0xff, 0xff, 1, 2, 3])
        let next = channel.nextMessage()
        #expect(next == nil)
        #expect(channel.isBroken)
        #expect(channel.room == 0)
    }

    @Test func `a frame that cannot be read is counted and the next one is read`() {
        var channel = MessageChannel()
        channel.receive([0, 0, 0, 2, 0xff, 0xff])
        var sender = MessageChannel()
        _ = sender.send(.renewCertificate(nil))
        channel.receive(sender.unsent(limit: .max))
        let next = channel.nextMessage()
        #expect(next == .renewCertificate(nil))
        #expect(channel.unreadable == 1)
    }

    @Test func `a full channel refuses, and accepts again when it has been emptied`() {
        var channel = MessageChannel()
        let chunk = ControlMessage.logChunk(
            LogChunk(
                operation: 1, worker: "w", offset: 0, bytes: [UInt8](repeating: 1, count: Limits.logChunkBytes),
                nextOffset: 0, isFinal: false))
        var count = 0
        while channel.send(chunk) { count += 1 }
        #expect(count == MessageChannel.outgoingLimit / (chunk.encoded().count + 4))
        channel.taken(channel.unsent(limit: 1 << 20).count)
        let isTaken = channel.send(chunk)
        #expect(isTaken)
    }

    @Test func `a receiver that is not emptied stops taking`() {
        var channel = MessageChannel()
        // The largest frame, less its last byte.
        var frame = ByteWriter()
        frame.uint32(UInt32(Limits.controlMessageBytes))
        frame.zeros(Limits.controlMessageBytes - 1)
        channel.receive(frame.bytes)
        let next = channel.nextMessage()
        #expect(next == nil)
        #expect(channel.room == MessageChannel.incomingLimit - frame.count)
        channel.receive([UInt8](repeating: 0, count: channel.room))
        #expect(channel.isFull)
    }
}
