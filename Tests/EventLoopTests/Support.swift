import Base
import EventLoop
import Glibc
import Testing

/// All tests of this target, one after the other: they count the process's descriptors and share its signals.
@Suite(.serialized) struct EventLoopTests {}

/// Runs the loop until `done` or for ten seconds; returns whether it was done.
func drive(_ loop: Loop, for limit: Interval = .seconds(10), until done: () -> Bool) -> Bool {
    let end = loop.now + limit
    let tick = Timer(loop: loop)
    defer { tick.close() }
    while !done() {
        if loop.now > end { return false }
        loop.runOnce()
    }
    return true
}

extension Timer {
    /// Keeps a loop turning, so that a test can look at its clock.
    fileprivate convenience init(loop: Loop) {
        self.init(on: loop, "test limit") {}
        arm(every: .milliseconds(10))
    }
}

/// How many descriptors this process has open.
func descriptorCount() -> Int {
    let folder = opendir("/proc/self/fd")!
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    return count
}

/// A new directory of the test's own, removed afterwards together with the files in it.
func withTemporaryDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/asterism-test-XXXXXX".utf8CString)
    let path = String(cString: mkdtemp(&template)!)
    defer {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(path)/\(name)")
            }
            closedir(folder)
        }
        rmdir(path)
    }
    try body(path)
}

/// A mutable value that closures share.
final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}
