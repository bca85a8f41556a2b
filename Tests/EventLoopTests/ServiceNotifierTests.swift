import Base
import EventLoop
import Glibc
import Synchronization
import Testing

/// An integer that threads and signal handlers share.
final class Shared: Sendable {
    let value = Atomic<Int32>(0)
}

let queuedValue = Shared(), queuedCode = Shared()

extension EventLoopTests {
    @Suite struct ServiceNotifierTests {
        /// A manager's socket, bound to `name` as the kernel spells it.
        static func manager(_ name: [UInt8]) throws -> FileDescriptor {
            let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
            let manager = FileDescriptor(owning: socket(AF_UNIX, kind, 0))
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
            let status = withUnsafeBytes(of: &address) {
                bind(manager.raw, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(2 + name.count))
            }
            try #require(status == 0)
            return manager
        }

        static func arrived(_ manager: borrowing FileDescriptor) throws -> String {
            String(decoding: try manager.read(atMost: 1000), as: UTF8.self)
        }

        @Test(arguments: [false, true]) func `the manager receives each state, by path and by abstract name`(
            _ isAbstract: Bool
        ) throws {
            try withTemporaryDirectory { folder in
                let path = "\(folder)/notify"
                let name = isAbstract ? "@asterism-test-\(getpid())" : path
                let bytes = isAbstract ? [0] + Array(name.utf8.dropFirst()) : Array(path.utf8) + [0]
                let manager = try ServiceNotifierTests.manager(bytes)
                let notifier = try #require(ServiceNotifier(socket: name))
                try notifier.ready(status: "12 peers\nREADY=0")
                #expect(try ServiceNotifierTests.arrived(manager) == "READY=1\nSTATUS=12 peers READY=0")
                try notifier.alive()
                #expect(try ServiceNotifierTests.arrived(manager) == "WATCHDOG=1")
                var before = timespec(), after = timespec()
                clock_gettime(CLOCK_MONOTONIC, &before)
                try notifier.reloading()
                clock_gettime(CLOCK_MONOTONIC, &after)
                let reloading = try ServiceNotifierTests.arrived(manager)
                #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
                let microseconds = try #require(Int(reloading.split(separator: "=").last ?? ""))
                #expect(
                    (before.tv_sec * 1_000_000 + before.tv_nsec / 1000...after.tv_sec * 1_000_000 + after.tv_nsec / 1000)
                        .contains(microseconds))
                try notifier.status("draining")
                #expect(try ServiceNotifierTests.arrived(manager) == "STATUS=draining")
                try notifier.stopping()
                #expect(try ServiceNotifierTests.arrived(manager) == "STOPPING=1")
                try manager.close()
                #expect(throws: Errno.self) { try notifier.alive() }
            }
        }

        @Test func `the watchdog is ours only if it names us`() {
            func watchdog(_ microseconds: String?, _ pid: String?) -> Interval? {
                ServiceNotifier(socket: "/x", watchdogMicroseconds: microseconds, watchdogPID: pid)?.watchdog
            }
            #expect(watchdog("30000000", nil) == .seconds(30))
            #expect(watchdog("30000000", "\(getpid())") == .seconds(30))
            #expect(watchdog("30000000", "1") == nil)
            #expect(watchdog("0", nil) == nil)
            #expect(watchdog("soon", nil) == nil)
            #expect(watchdog("9223372036854775807", nil) == nil)
            #expect(watchdog(nil, nil) == nil)
            #expect(ServiceNotifier(socket: nil) == nil)
            #expect(ServiceNotifier(socket: "relative") == nil)
        }
    }
}
