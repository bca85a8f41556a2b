/// What ICMP reports to a sender on this node about a packet of its own.
enum ControlMessageError: Hashable {
    /// The largest packet that would have been sent.
    case tooBig(Int)
    case unreachable
}
