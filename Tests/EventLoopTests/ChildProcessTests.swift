import Base
import EventLoop
import Glibc
import Synchronization
import Testing

extension EventLoopTests {
    @Suite struct ChildProcessTests {
        /// Runs a command to its end; what it wrote to standard output.
        static func output(_ command: ChildCommand, on loop: Loop = Loop()) throws -> (text: String, exit: ChildExit) {
            let ends = try FileDescriptor.pipe().ends(), text = Box<[UInt8]>([]), isEnded = Box(false)
            let exit = Box<ChildExit?>(nil)
            var command = command
            command.descriptors = [nil, ends.write] + command.descriptors.dropFirst(2)
            let child = try ChildProcess(on: loop, "child", command) { exit.value = $0 }
            close(ends.write)
            let stream = try ByteStream(on: loop, "stdout", adopting: FileDescriptor(owning: ends.read))
            stream.start(onRead: { text.value += $0 }, onEnd: { _ in isEnded.value = true })
            try #require(drive(loop) { isEnded.value && exit.value != nil })
            #expect(!child.isOpen && child.pidfd == nil && child.exit == exit.value)
            return (String(decoding: text.value, as: UTF8.self), try #require(exit.value))
        }

        static func shell(_ script: String) -> ChildCommand {
            ChildCommand("/bin/sh", ["-c", script], environment: ["PATH=/usr/bin:/bin"])
        }

        static func failure(_ command: ChildCommand) throws -> SpawnError {
            let loop = Loop()
            do throws(SpawnError) { _ = try ChildProcess(on: loop, "fails", command) { _ in } } catch { return error }
            Issue.record("started")
            throw Errno(0)
        }

        @Test(arguments: [false, true]) func `a child's end is reported with its code, and no zombie stays`(
            _ forks: Bool
        )
            throws
        {
            let loop = Loop()
            for code: Int32 in [0, 1, 77, 255] {
                let exits = Box<[ChildExit]>([])
                var command = ChildProcessTests.shell("exit \(code)")
                command.avoidsClone3 = forks
                let child = try ChildProcess(on: loop, "child", command) { exits.value.append($0) }
                #expect(child.wasCloned != forks)
                loop.run()
                #expect(exits.value.map(\.status) == [.exited(code: code)])
                #expect(exits.value[0].maximumResidentBytes > 0)
                #expect(waitpid(child.pid, nil, WNOHANG) == -1 && errno == ECHILD)
            }
        }

        @Test func `the end of a killed child names its signal`() throws {
            let loop = Loop(), exit = Box<ChildExit?>(nil)
            let child = try ChildProcess(on: loop, "sleep", ChildCommand("/bin/sleep", ["60"])) { exit.value = $0 }
            try child.send(signal: SIGTERM)
            #expect(drive(loop) { exit.value != nil })
            #expect(exit.value?.status == .killed(signal: SIGTERM, dumpedCore: false))
            #expect(exit.value?.status.description == "killed by signal 15")
            #expect(throws: Errno.self) { try child.send(signal: SIGTERM) }
        }

        @Test(arguments: [false, true])
        func `what cannot be done names its step and its reason, and leaves nothing`(_ forks: Bool) throws {
            let before = descriptorCount()
            func check(_ step: SpawnError.Step, _ code: Int32, _ change: (inout ChildCommand) -> Void) throws {
                var command = ChildCommand("/bin/true")
                command.avoidsClone3 = forks
                change(&command)
                #expect(try ChildProcessTests.failure(command) == SpawnError(step: step, reason: Errno(code)))
            }
            for _ in 0..<20 {
                try check(.execute, ENOENT) { $0.path = "/bin/no-such-program" }
                try check(.execute, EACCES) { $0.path = "/etc/passwd" }
                try check(.directory, ENOENT) { $0.directory = "/no/such/directory" }
                try check(.arguments, EINVAL) { $0.arguments.append("a\0b") }
                try check(.limits, EINVAL) { $0.limits = [.init(.descriptors, soft: 10, hard: 5)] }
                try check(.oomScore, EINVAL) { $0.oomScore = 5000 }
                try check(.parentDeathSignal, EINVAL) { $0.parentDeathSignal = 999 }
                try check(.descriptors, EBADF) { $0.descriptors = [1_000_000] }
                try check(.descriptors, EINVAL) { $0.descriptors = Array(repeating: nil, count: 65) }
            }
            #expect(descriptorCount() < before + 50)
            #expect(
                try ChildProcessTests.failure(ChildCommand("/none")).description
                    == "exec: ENOENT: No such file or directory")
        }

        @Test(arguments: [false, true])
        func `a child has the settings and descriptors that were requested and no others`(_ forks: Bool) throws {
            // A descriptor that is not close-on-exec, as a careless library opens them.
            let careless = open("/dev/null", O_RDONLY)
            defer { close(careless) }
            var command = ChildProcessTests.shell(
                """
                echo "args $0 $1"; echo "cwd $(pwd)"; echo "env $A"; ls /proc/self/fd | tr '\\n' ' '; echo
                read line <&4; echo "four $line"; ulimit -n; ulimit -c; ulimit -v; cat /proc/$$/oom_score_adj
                cut -d' ' -f6,19 /proc/$$/stat
                # Without a child of its own: a shell that starts one blocks signals for a moment.
                while read -r line; do
                    case $line in SigBlk*|SigIgn*|SigCgt*|NoNewPrivs*) echo "$line";; esac
                done < /proc/$$/status
                """)
            command.arguments += ["zero", "one two"]
            command.environment.append("A=b c")
            command.directory = "/usr"
            command.startsSession = true
            command.forbidsNewPrivileges = true
            command.nice = 7
            command.oomScore = 500
            command.avoidsClone3 = forks
            command.limits = [
                .init(.descriptors, soft: 64, hard: 64), .init(.core, soft: 0, hard: 0),
                .init(.addressSpace, soft: 1 << 32, hard: nil),
            ]
            let input = try FileDescriptor.pipe().ends()
            write(input.write, "hello\n", 6)
            close(input.write)
            defer { close(input.read) }
            command.descriptors = [nil, nil, nil, nil, input.read]
            // A session's leader has its own number for session.
            let (text, exit) = try ChildProcessTests.output(command)
            #expect(exit.status == .exited(code: 0))
            let lines = text.split(separator: "\n").map(String.init)
            try #require(lines.count == 14, "\(text)")
            #expect(lines[0] == "args zero one two")
            #expect(lines[1] == "cwd /usr")
            #expect(lines[2] == "env b c")
            // ls has one more open, the directory itself.
            #expect(lines[3].split(separator: " ") == ["0", "1", "2", "3", "4"])
            #expect(lines[4] == "four hello")
            #expect(Array(lines[5...7]) == ["64", "0", String((1 << 32) / 1024)])
            #expect(lines[8] == "500")
            #expect(lines[9].hasSuffix(" 7"))
            #expect(lines[10].split(separator: "\t").last == "0000000000000000")
            #expect(lines[11].split(separator: "\t").last == "0000000000000000")
            #expect(lines[13].split(separator: "\t").last == "1")
        }

        @Test(.enabled(if: geteuid() == 0, "changing the user needs root"))
        func `a child runs as the user that was asked for`() throws {
            var command = ChildProcessTests.shell("id -u; id -g; id -G; cat /proc/self/oom_score_adj")
            command.user = .init(uid: 65_534, gid: 65_533, groups: [1000, 1001])
            command.oomScore = 300
            command.directory = "/"
            let lines = try ChildProcessTests.output(command).text.split(separator: "\n")
            #expect(lines == ["65534", "65533", "65533 1000 1001", "300"])
            command.user?.groups = []
            #expect(try ChildProcessTests.output(command).text.split(separator: "\n")[2] == "65533")
            // The directory is judged by the new user's rights.
            try withTemporaryDirectory { folder in
                command.directory = folder
                let failure = try ChildProcessTests.failure(command)
                #expect(failure == SpawnError(step: .directory, reason: Errno(EACCES)))
            }
        }

        @Test func `descriptors may be given in any order, even each other's`() throws {
            let one = try FileDescriptor.pipe().ends(), loop = Loop(), exit = Box<ChildExit?>(nil)
            // Standard input and output of the child are numbers that lie the other way round here.
            let low = dup(one.write)
            var command = ChildProcessTests.shell("echo to-one >&3; echo to-four >&4")
            command.descriptors = [nil, nil, nil, one.write, low]
            let child = try ChildProcess(on: loop, "child", command) { exit.value = $0 }
            #expect(drive(loop) { exit.value != nil })
            for number in [one.write, low] { close(number) }
            let reader = FileDescriptor(owning: one.read)
            #expect(String(decoding: try reader.readAll(limit: 100), as: UTF8.self) == "to-one\nto-four\n")
            #expect(child.exit?.status == .exited(code: 0))
        }

        // (uid_t)-1 and (gid_t)-1 make setresuid(2) and setresgid(2) change nothing, and they succeed.
        @Test(.enabled(if: geteuid() == 0, "only root may change users"), arguments: [false, true])
        func `no child starts as a user or group that means no change`(_ forks: Bool) throws {
            var command = ChildProcessTests.shell("id")
            command.avoidsClone3 = forks
            command.user = ChildCommand.User(uid: .max, gid: 65_534)
            #expect(try ChildProcessTests.failure(command) == SpawnError(step: .uid, reason: Errno(EINVAL)))
            command.user = ChildCommand.User(uid: 65_534, gid: .max)
            #expect(try ChildProcessTests.failure(command) == SpawnError(step: .gid, reason: Errno(EINVAL)))
            command.user = ChildCommand.User(uid: .max - 1, gid: .max - 1)
            #expect(try ChildProcessTests.output(command).text.hasPrefix("uid=4294967294 gid=4294967294"))
        }

        static let cgroup: ControlGroup? = {
            guard let found = ControlGroup.detect(), found.isWritable, geteuid() == 0 else {
                print("no writable cgroup v2 here: starting inside a cgroup is not tested")
                return nil
            }
            return found
        }()

        // A cgroup can be made only where cgroup v2 is mounted and writable, which it is not in most containers.
        @Test(.enabled(if: cgroup != nil), arguments: [false, true])
        func `a child starts inside the cgroup it was given`(_ forks: Bool) throws {
            let folder = "\(try #require(ChildProcessTests.cgroup).mount)/asterism-test-\(getpid())"
            try #require(mkdir(folder, 0o755) == 0)
            defer { rmdir(folder) }
            let directory = try FileDescriptor.open(folder, O_RDONLY | O_DIRECTORY)
            var command = ChildProcessTests.shell("grep ^0:: /proc/self/cgroup; cat /proc/self/cgroup | wc -l")
            command.cgroup = directory.raw
            command.avoidsClone3 = forks
            let line = try ChildProcessTests.output(command).text.split(separator: "\n")[0]
            #expect(line == "0::/asterism-test-\(getpid())")
            // A directory that is no cgroup is refused at that step or by the call itself.
            let plain = try FileDescriptor.open("/tmp", O_RDONLY | O_DIRECTORY)
            command.cgroup = plain.raw
            #expect([SpawnError.Step.cgroup, .clone].contains(try ChildProcessTests.failure(command).step))
        }

        @Test func `hundreds of children come and go without a trace`() throws {
            let loop = Loop(), before = descriptorCount(), done = Box(0)
            for round in 0..<20 {
                var children: [ChildProcess] = []
                for _ in 0..<20 {
                    children.append(
                        try ChildProcess(on: loop, "true", ChildCommand("/bin/true")) { exit in
                            #expect(exit.status == .exited(code: 0))
                            done.value += 1
                        })
                }
                #expect(drive(loop) { done.value == (round + 1) * 20 })
            }
            #expect(descriptorCount() < before + 100)
        }

        @Test func `a child ends with the thread that started it, if asked`() throws {
            let loop = Loop(), pid = Shared(), ended = Box(false)
            let thread = startThread {
                let loop = Loop()
                var command = ChildCommand("/bin/sleep", ["60"])
                command.parentDeathSignal = SIGKILL
                let child = try! ChildProcess(on: loop, "sleep", command) { _ in }
                pid.value.store(child.pid, ordering: .relaxed)
            }
            pthread_join(thread, nil)
            let number = pid.value.load(ordering: .relaxed)
            let watch = try ProcessWatch(on: loop, "watch", pid: number) { ended.value = true }
            #expect(drive(loop) { ended.value })
            #expect(!watch.isOpen)
            // Its source went before it ended, so it is ours to reap.
            var status: Int32 = 0
            #expect(waitpid(number, &status, 0) == number)
            #expect(status & 0x7f == SIGKILL)
        }

        @Test func `dropping a child's source does not end the child`() throws {
            let loop = Loop(), isInformed = Box(false)
            var child: ChildProcess? = try ChildProcess(on: loop, "sleep", ChildCommand("/bin/sleep", ["60"])) { _ in
                isInformed.value = true
            }
            let pid = try #require(child).pid
            child = nil
            loop.run()
            #expect(kill(pid, 0) == 0)
            kill(pid, SIGKILL)
            #expect(waitpid(pid, nil, 0) == pid)
            #expect(!isInformed.value)
        }
    }

    @Suite struct ProcessWatchTests {
        @Test func `the end of a process that is not ours to reap is reported once`() throws {
            let loop = Loop(), exit = Box<ChildExit?>(nil), informed = Box(0)
            let child = try ChildProcess(on: loop, "sleep", ChildCommand("/bin/sleep", ["60"])) { exit.value = $0 }
            let identity = try ProcessIdentity.read(child.pid)
            let watch = try ProcessWatch(on: loop, "watch", identity) { informed.value += 1 }
            var other = identity
            other.startTime += 1
            let error = #expect(throws: Errno.self) { _ = try ProcessWatch(on: loop, "other", other) {} }
            #expect(error == Errno(ESRCH))
            try watch.send(signal: SIGKILL)
            #expect(drive(loop) { informed.value == 1 && exit.value != nil })
            #expect(throws: Errno.self) { try watch.send(signal: SIGKILL) }
            #expect(throws: Errno.self) { _ = try ProcessWatch(on: loop, "late", identity) {} }
            #expect(throws: Errno.self) { _ = try ProcessIdentity.read(child.pid) }
        }

        @Test func `a signal carries an integer`() throws {
            // SIGRTMIN + 3; the C library keeps the first two of the kernel's 32 and up to itself.
            let loop = Loop(), number: Int32 = 37
            var action = sigaction(), before = sigaction()
            action.__sigaction_handler.sa_sigaction = { _, info, _ in
                queuedValue.value.store(info!.pointee._sifields._rt.si_sigval.sival_int, ordering: .relaxed)
                queuedCode.value.store(info!.pointee.si_code, ordering: .relaxed)
            }
            action.sa_flags = SA_SIGINFO | SA_RESTART
            sigaction(number, &action, &before)
            defer { sigaction(number, &before, nil) }
            let watch = try ProcessWatch(on: loop, "self", pid: getpid()) {}
            try watch.send(signal: number, value: 0x1234_5678)
            #expect(drive(loop) { queuedValue.value.load(ordering: .relaxed) == 0x1234_5678 })
            #expect(queuedCode.value.load(ordering: .relaxed) == -1)
        }

        @Test func `a start time is found behind any name`() {
            let rest = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21\n"
            #expect(ProcessIdentity.startTime(inStat: "7 (sh) " + rest) == 4242)
            #expect(ProcessIdentity.startTime(inStat: "7 (a) R 9 (b c) " + rest) == 4242)
            #expect(ProcessIdentity.startTime(inStat: "7 (sh) S 1 2") == nil)
            #expect(ProcessIdentity.startTime(inStat: "") == nil)
        }

        @Test func `our own identity does not change`() throws {
            let first = try ProcessIdentity.read(getpid()), second = try ProcessIdentity.read(getpid())
            #expect(first == second)
            #expect(first.bootID.count == 36)
        }
    }

    @Suite struct ControlGroupTests {
        @Test func `the mount of cgroup v2 is found among others`() {
            let hybrid = """
                31 23 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
                32 31 0:27 / /sys/fs/cgroup/uni\\040fied rw,nosuid shared:10 master:3 - cgroup2 cgroup2 rw,nsdelegate
                33 31 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory
                """
            #expect(ControlGroup.mountPoint(inMountInfo: hybrid) == "/sys/fs/cgroup/uni fied")
            #expect(ControlGroup.mountPoint(inMountInfo: "31 23 0:26 / /x rw - tmpfs cgroup2 rw") == nil)
            #expect(ControlGroup.mountPoint(inMountInfo: "") == nil)
            #expect(ControlGroup.ownPath(inCgroup: "12:memory:/a\n0::/system.slice/x\n") == "/system.slice/x")
            #expect(ControlGroup.ownPath(inCgroup: "12:memory:/a\n") == nil)
        }

        @Test func `what is detected here is there`() {
            guard let found = ControlGroup.detect() else { return }
            var status = stat()
            #expect(stat("\(found.mount)/cgroup.procs", &status) == 0)
        }
    }
}
