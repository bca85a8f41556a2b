/// A hash table that cannot be iterated. Swift seeds each `Dictionary` differently, so the order of one would differ
/// from run to run. Pure code uses this type for data that it looks up but never iterates.
package struct Table<Key: Hashable, Value> {
    private var storage: [Key: Value] = [:]

    package init() {}

    package var count: Int { storage.count }
    package var isEmpty: Bool { storage.isEmpty }

    package subscript(key: Key) -> Value? {
        get { storage[key] }
        _modify { yield &storage[key] }
    }
    package subscript(key: Key, default value: @autoclosure () -> Value) -> Value {
        get { storage[key] ?? value() }
        _modify { yield &storage[key, default: value()] }
    }

    @discardableResult
    package mutating func remove(_ key: Key) -> Value? { storage.removeValue(forKey: key) }
    package mutating func removeAll() { storage.removeAll() }
}

extension Table: Sendable where Key: Sendable, Value: Sendable {}
