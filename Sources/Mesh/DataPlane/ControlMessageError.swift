/// What a sender of this node is informed by ICMP about a packet of its own.
enum ControlMessageError: Hashable {
    /// The largest packet that would have gone.
    case tooBig(Int)
    case unreachable
}
