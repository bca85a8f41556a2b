import CLinux
import Glibc

/// # What the kernel reports of the network
///
/// Addresses change while programs run: by a cable, by a lease, by a laptop that moves. The kernel reports each change of its
/// links, addresses and IPv4 routes by messages of rtnetlink(7). Their content is ignored here. The owner asks the kernel for
/// the current state, which is right even where messages were lost. One change causes several messages (a link goes up, gets
/// an address, then a route), so the owner waits a moment before it asks.
///
/// A program of root may send to such a socket too. A message that does not come from the kernel is ignored.
package final class RouteWatch {
    private var poll: Poll?
    private var onChange: (() -> Void)?
    private var onEnd: ((Errno) -> Void)?
    /// Messages of the kernel, plus the times that it dropped some because they were not read soon enough (ENOBUFS).
    package private(set) var messages = 0
    package private(set) var overruns = 0
    /// Messages of processes.
    package private(set) var foreignMessages = 0

    /// Messages that are read before the loop goes on; what is left wakes the loop again.
    private static let atOnce = 64

    /// Watches the network namespace of the thread that calls this. Fails where the kernel has no rtnetlink or does not allow
    /// it to this program (EPROTONOSUPPORT, EAFNOSUPPORT, EPERM). `onEnd` is called with the reason when nothing is reported
    /// any more.
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
                if isKernels { messages += 1 } else { foreignMessages += 1 }
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
