import Control
import Foundation
import Testing
import Wire

@testable import asterism

@Suite struct WorkerFileTests {
    private func errors(_ text: String) -> [String] {
        do throws(Failure) {
            _ = try WorkerFile(text: text, file: "w.yaml")
            return []
        } catch {
            #expect(error.status == .usage)
            return error.lines
        }
    }

    @Test func `a whole file is read as it is written`() throws {
        let file = try WorkerFile(
            text: """
                name: trainer
                node: gpu-7
                command: [python3, train.py, --epochs, 3, "", true]
                environment: {Z: 1, A: "", DEBUG: yes}
                workingDirectory: /srv/train
                user: 1000
                group: trainers
                limits: {memory: 2GiB, cpu: 1.5, processes: 64, openFiles: 1024}
                restart: {policy: on-failure, maxRestarts: 3, window: 10m, delay: 2s, maxDelay: 1m30s}
                stop: {signal: SIGINT, grace: 20s}
                log: {maxSize: 1MiB, maxFiles: 2}
                priority: low
                labels: {team: rl, b: c}
                """, file: "w.yaml")
        #expect(file.name == "trainer" && file.node == "gpu-7")
        var spec = WorkerSpec(command: ["python3", "train.py", "--epochs", "3", "", "true"])
        spec.environment = [.init("A", ""), .init("DEBUG", "yes"), .init("Z", "1")]
        spec.workingDirectory = "/srv/train"
        spec.user = "1000"
        spec.group = "trainers"
        spec.limits.memoryBytes = 2 << 30
        spec.limits.cpuMillicores = 1500
        spec.limits.processes = 64
        spec.limits.openFiles = 1024
        spec.restart.mode = .onFailure
        spec.restart.maxRestarts = 3
        spec.restart.windowSeconds = 600
        spec.restart.delaySeconds = 2
        spec.restart.maxDelaySeconds = 90
        spec.stop.signal = "INT"
        spec.stop.graceSeconds = 20
        spec.log.maxFileBytes = 1 << 20
        spec.log.maxFiles = 2
        spec.priority = .low
        spec.labels = [Label("b", "c"), Label("team", "rl")]
        #expect(file.spec == spec)
    }

    @Test func `a command is enough`() throws {
        let file = try WorkerFile(text: "command: [sleep, 60]\nlimits:\nlabels: {}\n", file: "w.yaml")
        #expect(file.spec == WorkerSpec(command: ["sleep", "60"]))
        #expect(file.name == nil && file.node == nil)
    }

    static let faults: [(text: String, errors: [String])] = [
        (
            "comand: [a]\n",
            [
                "w.yaml:1:1: comand: unknown key; did you mean 'command'?",
                "w.yaml:1:1: command: is missing; give the program and its arguments",
            ]
        ),
        ("name: x\n", ["w.yaml:1:1: command: is missing; give the program and its arguments"]),
        ("command:\n", ["w.yaml:1:9: command: is missing; give the program and its arguments"]),
        ("command: []\n", ["w.yaml:1:10: command: is missing; give the program and its arguments"]),
        ("command: sleep 60\n", ["w.yaml:1:10: command: must be a list, not a string; write [\"sleep\", \"60\"]"]),
        ("command: {a: b}\n", ["w.yaml:1:10: command: must be a list of the program and its arguments"]),
        (
            "command: [a]\nlimits:\n  memory: -1GiB\n",
            [
                "w.yaml:3:11: limits.memory: must not be negative, as -1GiB is"
            ]
        ),
        (
            "command: [a]\nlimits:\n  cpu: -1\n  processes: -3\n",
            [
                "w.yaml:3:8: limits.cpu: must not be negative, as -1 is",
                "w.yaml:4:14: limits.processes: must not be negative, as -3 is",
            ]
        ),
        (
            "command: [a]\nlimits: {memory: 5, cpu: 0.001}\n",
            [
                "w.yaml:2:18: limits.memory: must be at least 1MiB, not 5B",
                "w.yaml:2:26: limits.cpu: must be at least 0.01, not 0.001",
            ]
        ),
        (
            "command: [a]\nlimits:\n  memory: 2Gib\n",
            [
                "w.yaml:3:11: limits.memory: 'Gib' is not a unit of size; did you mean 'GiB'?"
            ]
        ),
        ("command: [a]\nlimits: 5\n", ["w.yaml:2:9: limits: must be a mapping of names to values, not a single value"]),
        ("command: [a]\nlimits:\n  memroy: 1GiB\n", ["w.yaml:3:3: limits.memroy: unknown key; did you mean 'memory'?"]),
        ("command: [a]\nvolumes: []\n", ["w.yaml:2:1: volumes: unknown key"]),
        (
            "command: [a]\nname: bad name\n",
            [
                "w.yaml:2:7: name: 'bad name' is not a name: letters, digits, '-', '_' and '.', at most 63, the first "
                    + "a letter or digit"
            ]
        ),
        ("command: [a]\nname: [x]\n", ["w.yaml:2:7: name: must be a single value, not a list"]),
        ("command: [a]\nuser:\n", ["w.yaml:2:6: user: has no value; leave it out, or give it one"]),
        (
            "command: [a]\nenvironment: [A=1]\n",
            [
                "w.yaml:2:14: environment: must be a mapping of a variable's name and its value, as in {NAME: value}, "
                    + "not a list"
            ]
        ),
        (
            "command: [a]\nenvironment:\n  1A: x\n  B:\n",
            [
                "w.yaml:3:3: environment.1A: is not a variable's name",
                "w.yaml:4:5: environment.B: has no value; write \"\" for an empty one",
            ]
        ),
        (
            "command: [a]\nrestart: {policy: sometimes}\n",
            [
                "w.yaml:2:19: restart.policy: 'sometimes' is none of never, on-failure, always"
            ]
        ),
        (
            "command: [a]\nrestart: {policy: onfailure}\n",
            [
                "w.yaml:2:19: restart.policy: 'onfailure' is none of never, on-failure, always; did you mean "
                    + "'on-failure'?"
            ]
        ),
        (
            "command: [a]\nrestart: {window: 10x}\n",
            [
                "w.yaml:2:19: restart.window: 'x' is not a unit of time; units are s, m, h and d"
            ]
        ),
        (
            "command: [a]\nrestart: {maxRestarts: 1.5}\n",
            [
                "w.yaml:2:24: restart.maxRestarts: must be a whole number, not '1.5'"
            ]
        ),
        (
            "command: [a]\nstop: {signal: FOO}\n",
            [
                "w.yaml:2:16: stop.signal: 'FOO' is none of TERM, INT, QUIT, HUP, USR1, USR2, KILL"
            ]
        ),
        ("command: [a]\nworkingDirectory: tmp\n", ["w.yaml:2:19: workingDirectory: must be an absolute path"]),
        ("", ["w.yaml:1:1: the file is empty; a worker needs a command"]),
        ("- a\n", ["w.yaml:1:1: must be a mapping of names to values, not a list"]),
    ]

    @Test(arguments: faults)
    func `what is wrong is reported with its field, line and column`(_ text: String, _ expected: [String]) {
        #expect(errors(text) == expected)
    }

    @Test func `a key that is there twice is one problem among others`() {
        let text = """
            command: [a]
            name: x
            limits:
              cpu: 1
              name: inner
              cpu: 2
            name: y
            nmae: z
            """
        #expect(
            errors(text) == [
                "w.yaml:5:3: limits.name: unknown key", "w.yaml:6:3: cpu: is given twice",
                "w.yaml:7:1: name: is given twice", "w.yaml:8:1: nmae: unknown key; did you mean 'name'?",
            ])
        #expect(errors("{command: [a], \"user\": x, user: y}") == ["w.yaml:1:27: user: is given twice"])
    }

    @Test func `what is not YAML is reported with its place`() {
        let lines = errors("command: [a\nname: x\n")
        #expect(lines.count == 1)
        #expect(lines[0].hasPrefix("w.yaml:2:") && lines[0].contains("not YAML"))
        #expect(errors("command: [a]\n---\ncommand: [b]\n").count == 1)
        #expect(errors("a: *nothing\n").count == 1)
    }

    @Test func `problems that a node finds have their place in the file`() throws {
        let file = try WorkerFile(text: "command: [nothere]\nuser: nobody-here\n", file: "w.yaml")
        let error = APIError([
            SpecProblem("command", "there is no program 'nothere'"),
            SpecProblem("user", "there is no user 'nobody-here'"),
        ])
        #expect(
            file.failure(error) as? Failure
                == Failure(
                    .usage,
                    [
                        "w.yaml:1:10: command: there is no program 'nothere'",
                        "w.yaml:2:7: user: there is no user 'nobody-here'",
                    ]))
        let other = APIError(.unavailable, "no node is online")
        #expect(file.failure(other) as? APIError == other)
    }

    @Test func `random bytes never crash the reader`() {
        var generator = SystemRandomNumberGenerator()
        let pieces = [
            "command", ": ", "[", "]", "{", "}", "\n", "  ", "- ", "limits", "cpu", "\"", "'", "&a ", "*a", "|", "1",
            ",",
        ]
        for _ in 0..<2000 {
            let text = (0..<Int.random(in: 0...20, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }
            .joined()
            // Every input is read or reported as an error; a file without a command is never accepted.
            let result = errors(text)
            #expect(!result.isEmpty || text.contains("command"))
        }
    }
}
