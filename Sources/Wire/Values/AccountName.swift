/// A user or a group as a specification names it.
///
/// Digits alone are a number and are never looked up as a name, as in systemd (systemd.io/USER_NAMES). So the user does
/// not depend on the node's user database. POSIX's chown looks for a name of digits first; useradd(8) refuses to make one.
///
/// The number must be written plainly: other spellings (`+0`, `00`, `0x0`, `1e3`, ` 0`) are refused and not corrected, since
/// programs disagree about what they mean. 4294967295 is (uid_t)-1: setresuid(2) and chown(2) read it as "do not change", so
/// a process for that user would keep its present user. No user has it. 65535 is a normal user.
package enum AccountName: Hashable, Sendable {
    case number(UInt32)
    case name(String)

    /// The largest number that a user or a group may have.
    package static let largest = UInt32.max - 1

    /// Nil for a text that is neither a plain number nor can be a name.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard (1...256).contains(bytes.count) else { return nil }
        if bytes.allSatisfy(isDigit) {
            guard bytes.count == 1 || bytes[0] != UInt8(ascii: "0") else { return nil }
            guard let number = UInt32(text), number <= AccountName.largest else { return nil }
            self = .number(number)
            return
        }
        // A text that could be a number in some notation is not a user's name. Names that begin otherwise may contain
        // the same letters.
        let letters = Array("abcdefABCDEFxXoOpP._+-".utf8)
        if isDigit(bytes[0]), bytes.allSatisfy({ isDigit($0) || letters.contains($0) }) { return nil }
        // The rest is what systemd calls relaxed mode: fields of passwd(5) end at a colon, and names become paths.
        guard ![UInt8(ascii: "-"), UInt8(ascii: "+"), 0x20].contains(bytes[0]), bytes.last != 0x20, text != ".",
            text != ".."
        else { return nil }
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f && $0 != UInt8(ascii: ":") && $0 != UInt8(ascii: "/") })
        else { return nil }
        self = .name(text)
    }

    /// Why a text is none, for the field of a specification.
    package static func problem(_ text: String, _ field: String) -> SpecProblem? {
        if text.isEmpty { return SpecProblem(field, "is empty") }
        guard AccountName(text) == nil else { return nil }
        return SpecProblem(
            field, "'\(text)' is neither a \(field)'s name nor a plain number from 0 to \(AccountName.largest)")
    }
}

private func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
