import Base
import Mesh
import OrderedCollections
import Wire

/// An input that was the first of its class.
package struct Kept: Sendable {
    package enum Variant: String, CaseIterable, Sendable {
        /// A whole datagram.
        case outside
        /// What is sealed in one.
        case inside
        /// One encoded control message.
        case message
    }
    package var variant: Variant
    package var name: String
    package var bytes: [UInt8]

    package init(variant: Variant, name: String, bytes: [UInt8]) {
        self.variant = variant
        self.name = name
        self.bytes = bytes
    }
}

extension Kept {
    /// How an input is stored on the disk: its variant and class in the name, and hexadecimal digits, 64 to a line.
    package var text: String {
        let digits = bytes.hex
        var lines: [Substring] = []
        var rest = digits[...]
        while !rest.isEmpty {
            lines.append(rest.prefix(64))
            rest = rest.dropFirst(64)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `nil` where the name has no variant in it, or the text is not hexadecimal.
    package init?(file: String, text: String) {
        let name = file.hasSuffix(".hex") ? String(file.dropLast(4)) : file
        let digits = text.filter { !$0.isWhitespace }
        guard let variant = Variant(rawValue: String(name.prefix { $0 != "-" })), let bytes = [UInt8](hex: digits)
        else {
            return nil
        }
        self.init(variant: variant, name: name, bytes: bytes)
    }
}
