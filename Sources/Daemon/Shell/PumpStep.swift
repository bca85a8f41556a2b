import Mesh

/// What a core outputs in one turn, in order.
package enum PumpStep<Change, Action> {
    /// Write this to the store. Everything that follows, in this turn and later ones, leaves when it is durable.
    case store(Change)
    case perform(Action)
}
