package import Base
package import Control
package import EventLoop
import Glibc

/// Why a program cannot start: the option at fault, what is wrong with it, and the status to end with.
package struct StartError: Error, Hashable, Sendable, CustomStringConvertible {
    package private(set) var option: String
    package private(set) var message: String
    package private(set) var status: ExitStatus
    /// Which value, of an option that may be repeated.
    package private(set) var index: Int?

    package init(_ option: String, _ message: String, _ status: ExitStatus = .usage, index: Int? = nil) {
        self.option = option
        self.message = message
        self.status = status
        self.index = index
    }

    /// The kernel refused: `what` names the file or the address.
    package init(_ option: String, _ what: String, _ reason: Errno) {
        self.init(option, "\(what): \(reason.message)", ExitStatus(reason))
    }

    /// An address cannot be bound; a port in use is named with its holder.
    package static func port(
        _ transport: PortHolder.Transport, _ option: String, _ address: SocketAddress, _ reason: Errno
    ) -> StartError {
        guard reason.code == EADDRINUSE else { return StartError(option, "\(address)", reason) }
        return StartError(option, PortHolder.message(transport, address), .unavailable)
    }

    /// One of the addresses for datagrams over TCP cannot be bound.
    package static func streams(_ addresses: [SocketAddress], _ reason: Errno) -> StartError {
        let taken = addresses.firstIndex { PortHolder.find(.tcp, $0) != nil }
        let index = reason.code == EADDRINUSE ? taken : addresses.count == 1 ? 0 : nil
        guard let index else {
            let all = addresses.map(\.description).joined(separator: ", ")
            return StartError("--tcp-listen", all, reason)
        }
        var error = port(.tcp, "--tcp-listen", addresses[index], reason)
        error.index = index
        return error
    }

    package var description: String { "\(option): \(message)" }

    /// The result of `body`; its error is attributed to `option`.
    package static func of<Value: ~Copyable>(
        _ option: String, _ body: () throws(FileError) -> Value
    ) throws(StartError) -> Value {
        do throws(FileError) { return try body() } catch {
            throw StartError(option, error.description, ExitStatus(error.reason))
        }
    }
}

extension ExitStatus {
    /// The status for an error of the kernel: `usage` where another value of the option helps, `unavailable` where a later
    /// attempt or the end of another process helps, else `refused`.
    package init(_ reason: Errno) {
        switch reason.code {
        case ENOENT, ENOTDIR, EISDIR, ELOOP, ENAMETOOLONG, EINVAL, EAFNOSUPPORT: self = .usage
        case ENOSPC, EDQUOT, EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN, EBUSY, EIO, ETXTBSY:
            self = .unavailable
        default: self = .refused
        }
    }
}
