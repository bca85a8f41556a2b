import CLinux
import Glibc

/// # What the kernel reports of the network
///
/// Addresses come and go while programs run: a cable, a lease, a laptop that is carried elsewhere. The kernel reports each
/// change of its links, addresses and IPv4 routes by messages of rtnetlink(7). Here they are only counted as news: anyone who
/// gets them asks the kernel how things are now, which is right even where messages were lost. Several come with one change
/// (a link goes up, gets an address, then a route), so it is for the owner to wait a moment before it looks.
///
/// A program may send to such a socket too, if it is root's; what does not come from the kernel is no news.
package final class RouteWatch {
    private var poll: Poll?
    private var onChange: (() -> Void)?
    private var onEnd: ((Errno) -> Void)?
    /// Messages of the kernel, and times that it had dropped some because nobody had read them soon enough (ENOBUFS).
    package private(set) var messages = 0
    package private(set) var overruns = 0
    /// Messages of processes.
    package private(set) var unauthenticated = 0

    /// Messages that are read before the loop goes on; what is left has it come by again.
    private static let atOnce = 64

    /// Watches the network namespace of the thread that calls this. Fails where the kernel has no rtnetlink or does not let
    /// this program have it (EPROTONOSUPPORT, EAFNOSUPPORT, EPERM). `onEnd`: nothing is reported any more, and why.
    package init(
        on loop: Loop, onChange: @escaping () -> Void, onEnd: @escaping (Errno) -> Void = { _ in }
    ) throws(Errno) {
        let descriptor = FileDescriptor(owning: try syscall("netlink") { asterism_route_changes_open() })
        let raw = descriptor.raw
        self.onChange = onChange
        self.onEnd = onEnd
        let poll = try Poll(on: loop, "changes of the network", owning: descriptor) { [weak self] events in
            self?.came(raw, events)
        }
        self.poll = poll
        poll.start(.readable)
    }

    package func close() {
        poll?.close()
        (poll, onChange, onEnd) = (nil, nil, nil)
    }

    private func came(_ descriptor: Int32, _ events: Poll.Events) {
        let before = messages + overruns
        var failure: Errno?
        for _ in 0..<RouteWatch.atOnce {
            do throws(Errno) {
                let isKernels = try syscall("recvmsg") { asterism_route_changes_read(descriptor) } == 1
                if isKernels { messages += 1 } else { unauthenticated += 1 }
            } catch {
                if error.code == ENOBUFS {
                    overruns += 1
                    continue
                }
                if error.code != EAGAIN { failure = error }
                break
            }
        }
        let onChange = onChange, onEnd = onEnd
        if failure != nil {
            close()
        } else if events.contains(.error) {
            // An overrun is an error of the socket, after which its source rests.
            poll?.start(.readable)
        }
        if messages + overruns != before { onChange?() }
        if let failure { onEnd?(failure) }
    }
}
