/// Why bytes from outside could not be read: the expected field, and the place.
package struct DecodeError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The input ends before the field does.
        case truncated
        /// Bytes are left over after the last field.
        case trailingBytes
        /// The field's value is not one that the layout allows.
        case invalidValue
        /// The field is longer than its limit in `Limits`.
        case tooLong
    }
    package var reason: Reason
    package var field: String
    package var offset: Int

    package init(_ reason: Reason, _ field: String, at offset: Int) {
        self.reason = reason
        self.field = field
        self.offset = offset
    }

    package var description: String { "\(field) at byte \(offset): \(reason)" }
}
