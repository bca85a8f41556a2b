/// Which side of a handshake: the initiator writes the first message.
package enum Role: Hashable, Sendable {
    case initiator, responder

    package var other: Role { self == .initiator ? .responder : .initiator }
}
