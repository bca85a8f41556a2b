import Base
import EventLoop
import Glibc
import Testing

extension EventLoopTests {
    @Suite struct TimerTests {
        @Test func `timers fire in order and never early`() {
            let loop = Loop(), fired = Box<[Instant]>([]), isEarly = Box(false)
            var random = Random(Seed(7)), timers: [Timer] = []
            for _ in 0..<200 {
                let due = loop.now + .microseconds(Int64(random.next(below: 60_000)))
                let timer = Timer(on: loop, "timer") {
                    if loop.now < due { isEarly.value = true }
                    fired.value.append(due)
                }
                timer.arm(at: due)
                timers.append(timer)
            }
            #expect(drive(loop) { fired.value.count == 200 })
            #expect(!isEarly.value)
            // Those of one millisecond may change places.
            let milliseconds = fired.value.map { ($0.nanoseconds + 999_999) / 1_000_000 }
            #expect(milliseconds == milliseconds.sorted())
        }

        @Test func `arming again replaces the time, and cancelling removes it`() {
            let loop = Loop(), count = Box(0)
            let timer = Timer(on: loop, "timer") { count.value += 1 }
            timer.arm(after: .milliseconds(1))
            timer.arm(after: .milliseconds(20))
            let armed = loop.now
            loop.run()
            #expect(count.value == 1)
            #expect(loop.now - armed >= .milliseconds(19))
            #expect(timer.deadline == nil)
            timer.arm(after: .milliseconds(1))
            timer.cancel()
            loop.run()
            #expect(count.value == 1)
        }

        @Test func `a periodic timer keeps its grid and skips missed times`() {
            let loop = Loop(), times = Box<[Instant]>([]), start = loop.now + .milliseconds(5)
            let timer = Timer(on: loop, "rhythm") {
                times.value.append(loop.now)
                if times.value.count == 2 { usleep(35_000) }
            }
            timer.arm(at: start, every: .milliseconds(10))
            #expect(drive(loop) { times.value.count == 4 })
            for (index, time) in times.value.enumerated() { #expect(time >= start + .milliseconds(10) * Int64(index)) }
            // The third call is due after the 35 ms, not twice or three times in a row.
            #expect(times.value[2] - times.value[1] >= .milliseconds(35))
            #expect(times.value[3] - start >= .milliseconds(50))
        }

        @Test func `a timer that always arms itself for now does not starve input`() {
            let loop = Loop(), isPosted = Box(false), count = Box(0), itself = Box<Timer?>(nil)
            let timer = Timer(on: loop, "eager") {
                count.value += 1
                itself.value?.arm(at: .origin)
            }
            itself.value = timer
            timer.arm(at: .origin)
            loop.post { [isPosted = UncheckedBox(isPosted)] in isPosted.box.value = true }
            for _ in 0..<100 where !isPosted.value { loop.runOnce() }
            #expect(isPosted.value)
            #expect(count.value > 0)
            timer.close()
            itself.value = nil
        }

        @Test func `a timer may close or drop itself in its own callback`() {
            let loop = Loop(), count = Box(0), holder = Box<Timer?>(nil)
            holder.value = Timer(on: loop, "closes") {
                count.value += 1
                holder.value?.close()
                holder.value?.arm(after: .zero)
            }
            holder.value?.arm(every: .milliseconds(1))
            loop.run()
            #expect(count.value == 1)
            holder.value = Timer(on: loop, "drops") {
                count.value += 1
                holder.value = nil
            }
            holder.value?.arm(every: .milliseconds(1))
            loop.run()
            #expect(count.value == 2)
            #expect(holder.value == nil)
        }
    }

    @Suite struct SignalAndPollTests {
        @Test func `a signal reaches every source that watches it until closed`() throws {
            let loop = Loop(), first = Box(0), second = Box(0)
            let one = try Signal(on: loop, "one", number: SIGUSR1) { first.value += 1 }
            let two = try Signal(on: loop, "two", number: SIGUSR1) { second.value += 1 }
            kill(getpid(), SIGUSR1)
            #expect(drive(loop) { first.value == 1 && second.value == 1 })
            one.close()
            kill(getpid(), SIGUSR1)
            #expect(drive(loop) { second.value == 2 })
            #expect(first.value == 1)
            two.close()
        }

        @Test func `a signal that cannot be caught is an error`() {
            let loop = Loop()
            let error = #expect(throws: Errno.self) { _ = try Signal(on: loop, "kill", number: SIGKILL) {} }
            #expect(error?.name == "EINVAL")
        }

        @Test func `a descriptor reports reading, writing, hanging up and errors`() throws {
            let loop = Loop(), pair = try socketPair(SOCK_STREAM), events = Box<Poll.Events>([])
            let poll = try Poll(on: loop, "pair", owning: FileDescriptor(owning: pair.0)) { events.value.formUnion($0) }
            poll.start(.writable)
            #expect(drive(loop) { events.value == .writable })
            events.value = []
            poll.start([.readable, .disconnect])
            write(pair.1, "x", 1)
            #expect(drive(loop) { events.value == .readable })
            close(pair.1)
            #expect(drive(loop) { events.value.contains(.disconnect) })
            poll.close()

            let ends = try FileDescriptor.pipe().ends(), count = Box(0)
            let writer = try Poll(on: loop, "pipe", owning: FileDescriptor(owning: ends.write)) {
                events.value = $0
                count.value += 1
            }
            close(ends.read)
            writer.start(.writable)
            for _ in 0..<5 { loop.runOnce(nonblocking: true) }
            #expect(events.value == .error)
            #expect(count.value == 1)
        }

        @Test func `urgent data is reported as priority`() throws {
            let loop = Loop(), events = Box<Poll.Events>([])
            try urgentPair { receiver, sender in
                let poll = try Poll(on: loop, "urgent", watching: receiver) { events.value = $0 }
                poll.start(.priority)
                #expect(send(sender, "!", 1, Int32(MSG_OOB)) == 1)
                #expect(drive(loop) { events.value == .priority })
                poll.close()
            }
        }

        @Test func `a regular file cannot be polled`() throws {
            let loop = Loop()
            let error = #expect(throws: Errno.self) {
                _ = try Poll(on: loop, "file", owning: .open("/etc/passwd", O_RDONLY)) { _ in }
            }
            #expect(error == Errno(EPERM))
        }

        @Test func `closing in the own callback is the end of callbacks`() throws {
            let loop = Loop(), ends = try FileDescriptor.pipe().ends(), count = Box(0), holder = Box<Poll?>(nil)
            write(ends.write, "xy", 2)
            holder.value = try Poll(on: loop, "pipe", owning: FileDescriptor(owning: ends.read)) { _ in
                count.value += 1
                holder.value?.close()
                holder.value = nil
            }
            holder.value?.start(.readable)
            loop.run()
            #expect(count.value == 1)
            close(ends.write)
        }

        @Test func `errors have names, and a closed descriptor's number is free`() throws {
            #expect(Errno(ECONNREFUSED).description == "ECONNREFUSED: Connection refused")
            #expect(Errno(99_999).description == "errno 99999: unknown error")
            let file = try FileDescriptor.open("/dev/null", O_RDWR), copy = try file.duplicate(), number = copy.raw
            try copy.close()
            #expect(fcntl(number, F_GETFD) == -1)
            #expect(fcntl(file.raw, F_GETFD) == FD_CLOEXEC)
            #expect(try file.read(atMost: 10).isEmpty)
            let error = #expect(throws: Errno.self) { _ = try FileDescriptor.open("/nonexistent", O_RDONLY) }
            #expect(error == Errno(ENOENT))
        }
    }
}

func socketPair(_ type: __socket_type) throws -> (Int32, Int32) {
    var ends: [Int32] = [0, 0]
    let kind = Int32(type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    try #require(socketpair(AF_UNIX, kind, 0, &ends) == 0)
    return (ends[0], ends[1])
}

/// A blocking TCP connection.
func connectedSocket(to address: SocketAddress) throws -> FileDescriptor {
    let socket = FileDescriptor(
        owning: socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    var (storage, count) = address.storage
    let status = withUnsafeBytes(of: &storage) {
        connect(socket.raw, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), count)
    }
    try #require(status == 0)
    return socket
}

/// Two ends of one TCP connection, as plain descriptors.
func urgentPair(_ body: (_ receiver: Int32, _ sender: Int32) throws -> Void) throws {
    let listener = FileDescriptor(
        owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    try #require(listen(listener.raw, 1) == 0)
    var storage = sockaddr_storage(), count = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = withUnsafeMutableBytes(of: &storage) {
        getsockname(listener.raw, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), &count)
    }
    let sender = try connectedSocket(to: SocketAddress(.loopback4, #require(SocketAddress(storage)).port))
    let receiver = FileDescriptor(owning: accept(listener.raw, nil, nil))
    try body(receiver.raw, sender.raw)
}
