import CLinux
import Glibc

/// # What the kernel returned
///
/// Every system call of this module goes through `syscall`, which returns a value or throws an `Errno`. It retries calls that
/// a signal interrupted. It stops the program on the two errors that only a bug of ours can cause: EBADF (code closed a
/// descriptor that it did not own; the next time it may be another file) and EFAULT.

/// A reason from errno(3).
package struct Errno: Error, Hashable, Sendable {
    package let code: Int32

    package init(_ code: Int32) { self.code = code }
    /// From a result of libuv, which on Linux is a negated errno value.
    init(uv status: Int32) { code = -status }

    static var current: Errno { Errno(errno) }

    package var isMessageTooLarge: Bool { code == EMSGSIZE }

    /// The symbol, such as `ECONNREFUSED`.
    package var name: String { asterism_errno_name(code).map { String(cString: $0) } ?? "errno \(code)" }
    /// The text, such as `Connection refused`; the same in every locale.
    package var message: String { asterism_errno_text(code).map { String(cString: $0) } ?? "unknown error" }
}

extension Errno: CustomStringConvertible {
    package var description: String { "\(name): \(message)" }
}

/// Calls until no signal interrupts; -1 becomes the reason.
@discardableResult
func syscall<Result: FixedWidthInteger>(_ name: StaticString, _ body: () -> Result) throws(Errno) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let code = errno
        if code == EINTR { continue }
        precondition(code != EBADF && code != EFAULT, "\(name): \(Errno(code))")
        throw Errno(code)
    }
}

/// The result of a libuv function, negative values being reasons.
@discardableResult
func uv(_ result: Int32) throws(Errno) -> Int32 {
    if result < 0 { throw Errno(uv: result) }
    return result
}
