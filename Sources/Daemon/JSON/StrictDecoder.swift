import Base

extension StrictJSONError {
    /// From an error that a decoder threw.
    init(_ error: any Error) {
        switch error {
        case let error as StrictJSONError: self = error
        case DecodingError.keyNotFound(let key, let context):
            self.init(.missing, path: pathText(context.codingPath + [key]))
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.dataCorrupted(let context):
            self.init(.wrong("is wrong: \(context.debugDescription)"), path: pathText(context.codingPath))
        default: self.init(.wrong("is wrong: \(error)"), path: "")
        }
    }
}

/// Reads a `JSONValue` for `Decodable` types.
struct StrictDecoder: Decoder {
    let value: JSONValue
    let codingPath: [any CodingKey]
    let strictness: Strictness
    /// What the type that is being read uses where a member is absent.
    private(set) var usual: [JSONMember] = []
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(_ value: JSONValue, codingPath: [any CodingKey], strictness: Strictness) {
        self.value = value
        self.codingPath = codingPath
        self.strictness = strictness
    }

    static func decode<Value: Decodable>(_ type: Value.Type, from decoder: any Decoder) throws -> Value {
        guard var strict = decoder as? StrictDecoder else { return try Value(from: decoder) }
        if let type = type as? any HasUsualMembers.Type { strict.usual = type.usualMembers }
        return try Value(from: strict)
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw wrong("an object") }
        strictness.open(value, at: codingPath) { Key(stringValue: $0) != nil }
        return KeyedDecodingContainer(Keyed<Key>(self, members))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let values) = value else { throw wrong("an array") }
        return Unkeyed(decoder: self, values: values)
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    fileprivate func nested(_ value: JSONValue, _ key: any CodingKey) -> StrictDecoder {
        StrictDecoder(value, codingPath: codingPath + [key], strictness: strictness)
    }

    fileprivate func wrong(_ expected: String) -> StrictJSONError {
        StrictJSONError(.wrong("must be \(expected), not \(value.kind)"), path: pathText(codingPath))
    }
}

extension StrictDecoder: SingleValueDecodingContainer {
    func decodeNil() -> Bool { value == .null }

    func decode(_ type: Bool.Type) throws -> Bool {
        guard case .bool(let flag) = value else { throw wrong("a boolean") }
        return flag
    }
    func decode(_ type: String.Type) throws -> String {
        guard case .string(let text) = value else { throw wrong("a string") }
        return text
    }
    func decode(_ type: Double.Type) throws -> Double {
        guard case .number(let text) = value else { throw wrong("a number") }
        guard let number = Double(text), number.isFinite else {
            throw StrictJSONError(.wrong("is too large a number"), path: pathText(codingPath))
        }
        return number
    }
    func decode(_ type: Float.Type) throws -> Float { Float(try decode(Double.self)) }
    func decode(_ type: Int.Type) throws -> Int { try integer() }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
    func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        do { return try StrictDecoder.decode(type, from: self) } catch let error as DecodingError {
            throw explained(error, as: type)
        }
    }

    private func integer<Value: FixedWidthInteger>() throws -> Value {
        guard case .number(let text) = value else { throw wrong("a whole number") }
        guard let number = Value(text) else {
            let range = "a whole number from \(Value.min) to \(Value.max)"
            throw StrictJSONError(.wrong("must be \(range), not \(text.prefix(40))"), path: pathText(codingPath))
        }
        return number
    }

    /// An enumeration's own error states only that a text is none of its values; this adds the list of values.
    private func explained<Value>(_ error: DecodingError, as type: Value.Type) -> any Error {
        guard case .dataCorrupted(let context) = error, context.codingPath.count == codingPath.count,
            case .string(let text) = value, let choices = type as? any CaseIterable.Type
        else { return error }
        return StrictJSONError(
            .wrong("must be one of \(names(choices)), not '\(text.prefix(40))'"), path: pathText(codingPath))
    }

    private func names<Choices: CaseIterable>(_ type: Choices.Type) -> String {
        type.allCases.map { ($0 as? any RawRepresentable).map { "\($0.rawValue)" } ?? "\($0)" }.joined(separator: ", ")
    }
}

private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    private let decoder: StrictDecoder
    private var values: [String: JSONValue]
    private let names: [String]

    init(_ decoder: StrictDecoder, _ members: [JSONMember]) {
        self.decoder = decoder
        names = members.map(\.name)
        values = Dictionary(members.map { ($0.name, $0.value) }) { first, _ in first }
        for member in decoder.usual where values[member.name] ?? .null == .null { values[member.name] = member.value }
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var allKeys: [Key] { names.compactMap { Key(stringValue: $0) } }
    func contains(_ key: Key) -> Bool { values[key.stringValue] != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try at(key).value == .null }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try at(key).decode(type) }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try at(key).decode(type) }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try at(key).decode(type) }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try at(key).decode(type) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try at(key).decode(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try at(key).decode(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try at(key).decode(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try at(key).decode(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try at(key).decode(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try at(key).decode(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try at(key).decode(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try at(key).decode(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try at(key).decode(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try at(key).decode(type) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try at(key).decode(type) }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { try at(key).container(keyedBy: type) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try at(key).unkeyedContainer()
    }
    func superDecoder() throws -> any Decoder { decoder }
    func superDecoder(forKey key: Key) throws -> any Decoder { try at(key) }

    private func at(_ key: Key) throws -> StrictDecoder {
        guard let value = values[key.stringValue] else {
            throw StrictJSONError(.missing, path: pathText(codingPath + [key]))
        }
        return decoder.nested(value, key)
    }
}

private struct Unkeyed: UnkeyedDecodingContainer {
    let decoder: StrictDecoder
    let values: [JSONValue]
    private(set) var currentIndex = 0

    init(decoder: StrictDecoder, values: [JSONValue]) {
        self.decoder = decoder
        self.values = values
    }

    var codingPath: [any CodingKey] { decoder.codingPath }
    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex == values.count }

    mutating func decodeNil() throws -> Bool {
        guard try peek().value == .null else { return false }
        currentIndex += 1
        return true
    }
    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let value = try peek().decode(type)
        currentIndex += 1
        return value
    }
    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        let container = try peek().container(keyedBy: type)
        currentIndex += 1
        return container
    }
    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        let container = try peek().unkeyedContainer()
        currentIndex += 1
        return container
    }
    mutating func superDecoder() throws -> any Decoder {
        let decoder = try peek()
        currentIndex += 1
        return decoder
    }

    private func peek() throws -> StrictDecoder {
        guard currentIndex < values.count else {
            throw StrictJSONError(.wrong("has only \(values.count) elements"), path: pathText(codingPath))
        }
        return decoder.nested(values[currentIndex], PathKey(currentIndex))
    }
}
