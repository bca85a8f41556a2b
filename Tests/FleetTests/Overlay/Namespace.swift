import Base
import Control
import Foundation
import Synchronization
import Testing

/// # A network namespace of the tests' own
///
/// Made with iproute2, and removed with everything in it. Only a thread can enter a namespace, not a process with many;
/// but a socket stays in the namespace that it was opened in. So sockets are opened, and programs started, on a thread
/// that has entered it and ends then, and everything else may use them from anywhere.
final class Namespace: Sendable {
    let name: String

    init(_ role: String) throws {
        name = "asterism-\(getpid())-\(Namespace.count.add(1, ordering: .relaxed).newValue)-\(role)"
        try Namespace.ip(["netns", "add", name])
        try ip(["link", "set", "lo", "up"])
    }

    private static let count = Atomic<Int>(0)

    func remove() { try? Namespace.ip(["netns", "del", name]) }

    /// ip(8) in this namespace.
    func ip(_ arguments: [String]) throws { try Namespace.ip(["-n", name] + arguments) }
    func ip(_ words: String) throws { try ip(words.split(separator: " ").map(String.init)) }

    static func ip(_ arguments: [String]) throws { try complete("/usr/sbin/ip", arguments) }

    /// A program in this namespace, to its end.
    func run(_ program: String, _ words: String) throws {
        try enter { try complete(program, words.split(separator: " ").map(String.init)) }
    }

    /// Runs `body` on a thread in this namespace.
    func enter<Value>(_ body: @escaping () throws -> Value) throws -> Value {
        let name = name
        return try Background {
            let descriptor = open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
            defer { close(descriptor) }
            guard descriptor >= 0, try Kernel.setns(descriptor, Kernel.newNetwork) == 0 else { throw Fault.last(name) }
            return try body()
        }.value()
    }

    /// Why there are no namespaces or overlays here; `nil` where there are.
    static let obstacle: String? = {
        guard getuid() == 0 else { return "needs root" }
        guard access("/usr/sbin/ip", X_OK) == 0 else { return "needs iproute2" }
        let device = open("/dev/net/tun", O_RDWR | O_CLOEXEC)
        guard device >= 0 else { return "needs /dev/net/tun: \(Fault.last("open"))" }
        close(device)
        do {
            let probe = try Namespace("probe")
            defer { probe.remove() }
            try probe.ip("tuntap add mode tun dev probe")
            try probe.enter {}
        } catch { return "needs network namespaces: \(error)" }
        return nil
    }()
    /// Prints once why not.
    static let isPossible: Bool = {
        if let obstacle { print("overlay tests are skipped: \(obstacle)") }
        return obstacle == nil
    }()
}

/// Functions of libc that Swift cannot import: of this name are modules, or they take any number of arguments.
enum Kernel {
    static let newNetwork: Int32 = 0x4000_0000
    static let newMounts: Int32 = 0x0002_0000
    static let dropBounding: Int32 = 24
    static let netAdmin: UInt = 12

    static func setns(_ descriptor: Int32, _ kind: Int32) throws -> Int32 {
        typealias Function = @convention(c) (Int32, Int32) -> Int32
        return unsafeBitCast(try find("setns"), to: Function.self)(descriptor, kind)
    }
    static func unshare(_ what: Int32) throws -> Int32 {
        typealias Function = @convention(c) (Int32) -> Int32
        return unsafeBitCast(try find("unshare"), to: Function.self)(what)
    }
    static func prctl(_ option: Int32, _ argument: UInt) throws -> Int32 {
        typealias Function = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
        return unsafeBitCast(try find("prctl"), to: Function.self)(option, argument, 0, 0, 0)
    }

    private static func find(_ name: String) throws -> UnsafeMutableRawPointer {
        guard let function = dlsym(nil, name) else { throw Fault("libc has no \(name)") }
        return function
    }
}

/// Something that runs on a thread of its own until it has a value.
final class Background<Value>: @unchecked Sendable {
    private let body: () throws -> Value
    private var result: Result<Value, any Error>?
    private var thread = pthread_t()
    private var isJoined = false

    init(_ body: @escaping () throws -> Value) throws {
        self.body = body
        let me = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { pointer in
                let me = Unmanaged<AnyObject>.fromOpaque(pointer!).takeRetainedValue() as! any Runnable
                me.run()
                return nil
            }, me.toOpaque())
        guard code == 0 else {
            me.release()
            throw Fault("no thread: \(String(cString: strerror(code)))")
        }
    }

    /// Waits for it.
    func value() throws -> Value {
        if !isJoined {
            pthread_join(thread, nil)
            isJoined = true
        }
        return try result!.get()
    }
}

private protocol Runnable: AnyObject {
    func run()
}

extension Background: Runnable {
    fileprivate func run() { result = Result { try body() } }
}

/// Runs a program to its end, which must be a success.
func complete(_ program: String, _ arguments: [String]) throws {
    let output = "/tmp/asterism-run-\(getpid())-\(UInt64.random(in: .min ... .max))"
    defer { unlink(output) }
    let program = try Program(program, arguments, output: output)
    guard program.hasEnded(within: 20), program.exitStatus == 0 else {
        throw Fault("\(arguments.joined(separator: " ")): \(program.text)")
    }
}

/// A folder of a test's own, by mkdtemp(3).
func temporaryFolder(_ role: String) throws -> String {
    var template = Array("/tmp/asterism-\(role)-\(String(repeating: "X", count: 6))".utf8CString)
    guard mkdtemp(&template) != nil else { throw Fault.last("mkdtemp") }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
}

/// An agent that a test has started, and asks over its socket.
protocol AskedAgent {
    var socket: String { get }
}

extension AskedAgent {
    func status() throws -> StatusView { try ask(socket, AgentRequest.status) }
    func peers() throws -> [PeerView] { try ask(socket, AgentRequest.peersList) }
    func counter(_ name: String) throws -> Int {
        try #require(try status().counters.first { $0.name == name }, "no counter \(name)").count
    }
}
