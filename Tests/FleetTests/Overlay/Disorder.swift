import Foundation
import Synchronization

/// # A cable on which frames overtake each other
///
/// netem(8) is no part of many kernels. So two cables end in a namespace of their own, and a thread there hands each frame
/// from one to the other, by packet sockets (packet(7)); some it holds until others have passed, some it loses, some it
/// sends twice. Checksums that are only begun pass as such (PACKET_VNET_HDR).
final class Disorder: @unchecked Sendable {
    let namespace: Namespace
    private let done = Flag()
    private var thread: Background<Void>?
    private let held = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)
    private let passed = Atomic<Int>(0)

    /// Frames that were forwarded, that others have overtaken, and that were lost.
    var figures: (passed: Int, held: Int, lost: Int) {
        (passed.load(ordering: .relaxed), held.load(ordering: .relaxed), lost.load(ordering: .relaxed))
    }

    private static let levelPacket: Int32 = 263
    private static let virtioHeader: Int32 = 15
    private static let ignoreOutgoing: Int32 = 23

    init() throws { namespace = try Namespace("between") }

    /// Begins, between the interfaces of these names in `namespace`.
    func start(_ names: [String]) throws {
        let ends = try namespace.enter { try names.map { try Disorder.open($0) } }
        thread = try Background { [self] in
            defer { ends.forEach { _ = Glibc.close($0) } }
            carry(ends)
        }
    }

    func close() {
        done.raise()
        try? thread?.value()
        namespace.remove()
    }

    private static func open(_ name: String) throws -> Int32 {
        // ETH_P_ALL is 3.
        let everything = UInt16(3).bigEndian
        let descriptor = socket(
            AF_PACKET, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue),
            Int32(everything))
        guard descriptor >= 0 else { throw Fault.last("packet socket") }
        for option in [virtioHeader, ignoreOutgoing] {
            var one: Int32 = 1
            guard setsockopt(descriptor, levelPacket, option, &one, 4) == 0 else { throw Fault.last("\(option)") }
        }
        // struct sockaddr_ll: family, protocol, the interface's number, and what only those who send by it need.
        var address = [UInt8](repeating: 0, count: 20)
        let number = if_nametoindex(name)
        address.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: UInt16(AF_PACKET), as: UInt16.self)
            bytes.storeBytes(of: everything, toByteOffset: 2, as: UInt16.self)
            bytes.storeBytes(of: number, toByteOffset: 4, as: UInt32.self)
        }
        let status = address.withUnsafeBytes {
            bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 20)
        }
        guard number > 0, status == 0 else { throw Fault.last(name) }
        return descriptor
    }

    private struct Held {
        var frame: [UInt8]
        var way: Int
        /// So many frames may overtake it.
        var patience: Int
        var until: Double
    }

    private func carry(_ ends: [Int32]) {
        var waiting: [Held] = []
        var buffer = [UInt8](repeating: 0, count: 70_000)
        while !done.isRaised {
            var waits = ends.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&waits, 2, waiting.isEmpty ? 50 : 1)
            for way in 0..<2 {
                for _ in 0..<64 {
                    let count = recv(ends[way], &buffer, buffer.count, 0)
                    guard count > 0 else { break }
                    let chance = Int.random(in: 0..<1000)
                    if chance < 10 {
                        lost.add(1, ordering: .relaxed)
                        continue
                    }
                    let frame = Array(buffer[..<count])
                    if chance < 50 {
                        waiting.append(
                            Held(
                                frame: frame, way: way, patience: Int.random(in: 1...12),
                                until: monotonicSeconds() + 0.002))
                        held.add(1, ordering: .relaxed)
                        continue
                    }
                    pass(frame, to: ends[1 - way])
                    if chance > 995 { pass(frame, to: ends[1 - way]) }
                    for index in waiting.indices where waiting[index].way == way { waiting[index].patience -= 1 }
                    release(&waiting, ends)
                }
            }
            release(&waiting, ends)
        }
    }

    private func release(_ waiting: inout [Held], _ ends: [Int32]) {
        guard !waiting.isEmpty else { return }
        let now = monotonicSeconds()
        for each in waiting where each.patience <= 0 || each.until <= now { pass(each.frame, to: ends[1 - each.way]) }
        waiting.removeAll { $0.patience <= 0 || $0.until <= now }
    }

    private func pass(_ frame: [UInt8], to end: Int32) {
        passed.add(1, ordering: .relaxed)
        while send(end, frame, frame.count, 0) < 0, errno == EAGAIN || errno == ENOBUFS || errno == EINTR { usleep(50) }
    }
}
