import CLinux
import EventLoop
import Glibc

/// A process held by a pidfd, so that a signal reaches this process or none.
struct PinnedProcess: ~Copyable {
    private let descriptor: FileDescriptor

    init(_ process: Int32) throws(Errno) {
        let raw = asterism_pidfd_open(process)
        if raw < 0 { throw Errno(errno) }
        descriptor = FileDescriptor(owning: raw)
    }

    func kill() { _ = asterism_pidfd_signal(descriptor.raw, SIGKILL) }
}
