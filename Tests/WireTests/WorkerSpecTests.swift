import Testing
import Wire

@Suite struct WorkerSpecTests {
    @Test func `a sound specification has no problems`() {
        var spec = WorkerSpec(command: ["/bin/sleep", "1"])
        spec.environment = [EnvironmentVariable("A", "1"), EnvironmentVariable("B", "")]
        spec.limits.memoryBytes = 1 << 30
        spec.workingDirectory = "/tmp"
        #expect(spec.problems().isEmpty)
    }

    @Test func `each fault is named by its field`() {
        func fields(_ change: (inout WorkerSpec) -> Void) -> [String] {
            var spec = WorkerSpec(command: ["x"])
            change(&spec)
            return spec.problems().map(\.field)
        }
        #expect(fields { $0.command = [] } == ["command"])
        #expect(fields { $0.command = [""] } == ["command"])
        #expect(fields { $0.command = ["a\0b"] } == ["command"])
        #expect(fields { $0.limits.memoryBytes = -1 } == ["limits.memory"])
        #expect(fields { $0.limits.cpuMillicores = 0 } == ["limits.cpu"])
        #expect(fields { $0.limits.processes = 0 } == ["limits.processes"])
        #expect(fields { $0.limits.openFiles = -5 } == ["limits.openFiles"])
        #expect(fields { $0.workingDirectory = "relative" } == ["workingDirectory"])
        #expect(fields { $0.user = "" } == ["user"])
        #expect(fields { $0.environment = [EnvironmentVariable("1A", "")] } == ["environment.1A"])
        #expect(
            fields { $0.environment = [EnvironmentVariable("A", ""), EnvironmentVariable("A", "")] } == [
                "environment.A"
            ])
        #expect(fields { $0.stop.signal = "BOGUS" } == ["stop.signal"])
        #expect(fields { $0.stop.graceSeconds = -1 } == ["stop.grace"])
        #expect(fields { $0.log.maxFiles = 0 } == ["log.maxFiles"])
        #expect(fields { $0.restart.maxDelaySeconds = 0 } == ["restart.maxDelay"])
    }

    @Test func `a user or group is a name or a plain number`() {
        #expect(AccountName("0") == .number(0) && AccountName("65535") == .number(65_535))
        #expect(AccountName("4294967294") == .number(4_294_967_294))
        for name in ["nobody", "_apt", "a.b-c", "EXAMPLE\\user name", "machine$", "3dprinter", "é", "٣"] {
            #expect(AccountName(name) == .name(name), "\(name)")
        }
        let refused = [
            "", "4294967295", "4294967296", "18446744073709551616", "4294967294+1", "-1", "+0", "-0", "00", "007",
            "0x0",
            "0X0", "0b0", "0o0", " 0", "0 ", "\t0", "0\n", "1e3", "1E3", "1.0", "1_000", "0.", "0x1p4", "1-1", "-",
            "+root",
            "-root", "root:0", "0:0", "a/b", "..", "a\0b", "a\nb", " root", "root ", String(repeating: "a", count: 257),
        ]
        for text in refused {
            #expect(AccountName(text) == nil, "\(text)")
            var spec = WorkerSpec(command: ["x"])
            (spec.user, spec.group) = (text, text)
            #expect(spec.problems().map(\.field) == ["user", "group"], "\(text)")
        }
    }

    @Test func `names are those of files and hosts`() {
        for name in ["a", "trainer-1", "w.2_x", "0"] { #expect(WorkerSpec.isName(name), "\(name)") }
        for name in ["", "-a", ".a", "a/b", "ä", "a b", String(repeating: "a", count: 64)] {
            #expect(!WorkerSpec.isName(name), "\(name)")
        }
    }
}
