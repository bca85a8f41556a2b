package import Base

/// A member's place in the overlay.
package struct OverlayPlace: Hashable, Sendable {
    /// `nil` where the controller has given none.
    package var v4: IPAddress?
    /// The network of the fleet's IPv4 addresses; `nil` where the controller has not sent it.
    package var network4: IPPrefix?
    package let v6: IPAddress
    package let network6: IPPrefix

    package func contains(_ address: IPAddress) -> Bool { address == v6 || address == v4 }
}
