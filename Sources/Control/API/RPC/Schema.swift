/// # The shape of JSON
///
/// What a view or a verb's parameters look like in JSON, as far as an OpenAPI document states it. It is written next to the
/// type that it describes. Tests compare it with the encoding of the type, so neither can change without the other.
package indirect enum Schema: Hashable, Sendable {
    case text, flag, integer
    /// An integer of at least 0.
    case count
    /// Milliseconds since 1970.
    case time
    /// A node's id: 64 hexadecimal digits.
    case node
    /// An IP address with a port.
    case address
    case ip
    case base64
    case choice([String])
    case list(Schema)
    case object(Object)

    /// An object that documents refer to by its name. It has these members and no others.
    package struct Object: Hashable, Sendable {
        package let name: String
        package let members: [Member]
    }
    package struct Member: Hashable, Sendable {
        package let name: String
        package let schema: Schema
        package let isRequired: Bool
    }

    /// The members' names with their shapes; a name that ends in `?` may be absent.
    package static func object(_ name: String, _ members: KeyValuePairs<String, Schema>) -> Schema {
        .object(
            Object(
                name: name,
                members: members.map { name, schema in
                    let isRequired = !name.hasSuffix("?")
                    return Member(
                        name: isRequired ? name : String(name.dropLast()), schema: schema, isRequired: isRequired)
                }))
    }

    package static func choice<Value: CaseIterable & RawRepresentable<String>>(of type: Value.Type) -> Schema {
        .choice(Value.allCases.map(\.rawValue))
    }
    package static func of(_ type: (some SchemaDescribed).Type) -> Schema { type.schema }
    package static func list(of type: (some SchemaDescribed).Type) -> Schema { .list(type.schema) }
}
