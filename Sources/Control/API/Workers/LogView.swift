/// A piece of a worker's log.
package struct LogView: Hashable, Sendable, Codable {
    package let worker: String
    package let offset: Int64
    package let nextOffset: Int64
    /// Nothing will come after `nextOffset`.
    package let isFinal: Bool
    /// The bytes, in base64 (RFC 4648, section 4); a log need not be text.
    package let data: String

    package var bytes: [UInt8]? { Base64.decode(data) }
}

extension LogView: SchemaDescribed {
    package static let schema = Schema.object(
        "Log",
        ["worker": .text, "offset": .count, "nextOffset": .count, "isFinal": .flag, "data": .base64])
}
