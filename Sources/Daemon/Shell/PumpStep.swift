import Mesh

/// What a core outputs in one turn, in order.
package enum PumpStep<Change, Action> {
    /// Write this to the store. All later outputs, in this turn and in later ones, leave when it is durable.
    case store(Change)
    case perform(Action)
}
