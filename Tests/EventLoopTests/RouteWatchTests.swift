import Base
import EventLoop
import Glibc
import Testing

extension EventLoopTests {
    /// The kernel's messages about changes of the network, each test in its own network namespace.
    @Suite(.enabled(if: OwnNetwork.isPossible, "needs root, iproute2 and network namespaces"))
    struct RouteWatchTests {
        /// What was seen on the thread that had the namespace.
        private struct Seen {
            /// The changes that were reported, by what was done.
            var reported: [String] = []
            var messages = 0
            var overruns = 0
            var foreignMessages = 0
        }

        /// Runs the loop until nothing has come for 100 ms.
        private static func calm(_ loop: Loop, _ count: () -> Int) {
            for _ in 0..<50 {
                let before = count()
                _ = drive(loop, for: .milliseconds(100)) { false }
                if count() == before { return }
            }
        }

        @Test func `an address, a link and a route that come and go are reported at once`() throws {
            let steps = [
                "link set lo up", "addr add 192.0.2.1/32 dev lo", "addr del 192.0.2.1/32 dev lo",
                "route add blackhole 198.51.100.0/24", "route del blackhole 198.51.100.0/24", "link set lo down",
            ]
            let seen = try OwnNetwork.run { () -> Seen in
                let loop = Loop(), news = Box(0)
                let watch = try RouteWatch(on: loop, onChange: { news.value += 1 })
                defer { watch.close() }
                var seen = Seen()
                for step in steps {
                    Self.calm(loop) { news.value }
                    let before = news.value
                    guard OwnNetwork.ip(step) else { continue }
                    let done = loop.now
                    guard drive(loop, until: { news.value > before }) else { continue }
                    print("\(step): reported after \(loop.now - done)")
                    seen.reported.append(step)
                }
                seen.messages = watch.messages
                return seen
            }
            #expect(seen.reported == steps)
            #expect(seen.messages >= steps.count)
        }

        @Test func `a message of a process is ignored`() throws {
            let seen = try OwnNetwork.run { () -> Seen in
                let loop = Loop(), news = Box(0)
                let watch = try RouteWatch(on: loop, onChange: { news.value += 1 })
                defer { watch.close() }
                // The first socket of a process in a namespace has the process's number as its address (netlink(7)).
                guard OwnNetwork.forge(to: getpid()) else { throw Errno(errno) }
                var seen = Seen()
                if drive(loop, until: { watch.foreignMessages > 0 || news.value > 0 }), news.value > 0 {
                    seen.reported.append("a forgery")
                }
                (seen.messages, seen.foreignMessages) = (watch.messages, watch.foreignMessages)
                return seen
            }
            #expect(seen.reported == [] && seen.messages == 0 && seen.foreignMessages == 1)
        }

        @Test func `an overrun of the kernel's queue counts as a change, and the next one is reported again`()
            throws
        {
            let seen = try OwnNetwork.run { () -> Seen in
                let loop = Loop(), news = Box(0)
                let watch = try RouteWatch(on: loop, onChange: { news.value += 1 })
                defer { watch.close() }
                var seen = Seen()
                // The socket is not read meanwhile.
                let many = (0..<4000).map { "addr add 10.0.\($0 / 250).\($0 % 250 + 1)/32 dev lo" }
                guard OwnNetwork.ip(batch: many) else { throw Errno(EINVAL) }
                Self.calm(loop) { news.value }
                if news.value > 0 { seen.reported.append("many") }
                let before = news.value
                guard OwnNetwork.ip("addr add 192.0.2.1/32 dev lo") else { throw Errno(EINVAL) }
                if drive(loop, until: { news.value > before }) { seen.reported.append("one more") }
                (seen.messages, seen.overruns) = (watch.messages, watch.overruns)
                return seen
            }
            print("\(seen.messages) messages, \(seen.overruns) overruns")
            #expect(seen.reported == ["many", "one more"])
            #expect(seen.overruns > 0)
        }

        @Test func `what is closed leaves no descriptor`() throws {
            let loop = Loop()
            let before = descriptorCount()
            for _ in 0..<10 { try RouteWatch(on: loop, onChange: {}).close() }
            loop.runOnce()
            #expect(descriptorCount() == before)
        }
    }
}

/// A network namespace of a thread of the test's own; it goes with the thread.
private enum OwnNetwork {
    /// Prints once why there is none here.
    static let isPossible: Bool = {
        var obstacle: String?
        if getuid() != 0 {
            obstacle = "needs root"
        } else if access("/usr/sbin/ip", X_OK) != 0 {
            obstacle = "needs iproute2"
        } else {
            do { try run {} } catch { obstacle = "needs network namespaces: \(error)" }
        }
        if let obstacle { print("tests of changes of the network are skipped: \(obstacle)") }
        return obstacle == nil
    }()

    /// CLONE_NEWNET of <sched.h>, which like unshare(2) is there with _GNU_SOURCE alone.
    private static let newNetwork: Int32 = 0x4000_0000

    private final class Work<Value> {
        let body: () throws -> Value
        var result: Result<Value, any Error>?
        init(_ body: @escaping () throws -> Value) { self.body = body }
    }

    static func run<Value>(_ body: @escaping () throws -> Value) throws -> Value {
        typealias Function = @convention(c) (Int32) -> Int32
        guard let unshare = dlsym(nil, "unshare") else { throw Errno(ENOSYS) }
        let enter = unsafeBitCast(unshare, to: Function.self)
        let work = Work {
            guard enter(newNetwork) == 0 else { throw Errno(errno) }
            return try body()
        }
        let run: () -> Void = { work.result = Result { try work.body() } }
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<Box<() -> Void>>.fromOpaque(pointer!).takeRetainedValue().value()
                return nil
            }, Unmanaged.passRetained(Box(run)).toOpaque())
        guard code == 0 else { throw Errno(code) }
        pthread_join(thread, nil)
        return try work.result!.get()
    }

    /// ip(8) in the namespace of the calling thread; returns whether it succeeded.
    static func ip(_ words: String) -> Bool { system("/usr/sbin/ip \(words)") == 0 }
    static func ip(batch lines: [String]) -> Bool {
        guard let pipe = popen("/usr/sbin/ip -batch -", "w") else { return false }
        fputs(lines.joined(separator: "\n") + "\n", pipe)
        return pclose(pipe) == 0
    }

    /// Sends something to the rtnetlink(7) socket with that address; whether that was allowed.
    static func forge(to port: Int32) -> Bool {
        let netlink = Int32(16), route = Int32(0)
        let socket = socket(netlink, Int32(SOCK_RAW.rawValue), route)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        // struct sockaddr_nl: family, padding, address, groups.
        var address = [
            UInt16(netlink), 0, UInt16(truncatingIfNeeded: port), UInt16(truncatingIfNeeded: port >> 16), 0, 0,
        ]
        let message = [UInt32](repeating: 16, count: 4)
        return address.withUnsafeMutableBytes { address in
            sendto(socket, message, 16, 0, address.baseAddress!.assumingMemoryBound(to: sockaddr.self), 12) == 16
        }
    }
}
