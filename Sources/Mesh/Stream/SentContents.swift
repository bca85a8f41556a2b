import Wire

/// The contents of a packet that matter if it is lost. Most packets carry one item, which costs no allocation.
struct SentContents: Sendable {
    enum Item: Hashable, Sendable {
        case stream(StreamID, Range<UInt64>, isLast: Bool)
        case control(StreamControl)
    }
    private(set) var first: Item?
    private(set) var more: [Item] = []

    var isEmpty: Bool { first == nil }

    mutating func append(_ item: Item) {
        if first == nil { first = item } else { more.append(item) }
    }
}
