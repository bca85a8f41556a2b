extension JSONValue: Encodable {
    /// Whole numbers of 64 bits are written exactly, others as the nearest finite `Double`.
    package func encode(to encoder: any Encoder) throws {
        switch self {
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let flag): try flag.encode(to: encoder)
        case .number(let text):
            if let whole = Int64(text) {
                try whole.encode(to: encoder)
            } else if let whole = UInt64(text) {
                try whole.encode(to: encoder)
            } else {
                // The parser's digits are a number.
                let number = Double(text)!, greatest = Double.greatestFiniteMagnitude
                try max(-greatest, min(number, greatest)).encode(to: encoder)
            }
        case .string(let text): try text.encode(to: encoder)
        case .array(let values): try values.encode(to: encoder)
        case .object(let members):
            var container = encoder.container(keyedBy: MemberKey.self)
            for member in members { try container.encode(member.value, forKey: MemberKey(member.name)) }
        }
    }
}

/// A member's name, for a container of `Encoder`.
private struct MemberKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
}
