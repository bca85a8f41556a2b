/// # How wide text is on a terminal
///
/// A character cell is one column. East Asian wide and full-width characters and emoji take two (Unicode Standard Annex 11).
/// Marks that combine with the letter before take none. The table below holds the wide blocks as whole ranges, which is what
/// terminals do too. Names and messages from the network may contain escape sequences, line breaks and direction overrides.
/// These are shown as a visible substitute, so that a node's name cannot rewrite the user's screen.
extension Character {
    var displayWidth: Int {
        guard let first = unicodeScalars.first else { return 0 }
        // Emoji that are made of several, or asked for by U+FE0F.
        if unicodeScalars.contains(where: { $0.value == 0xfe0f || $0.value == 0x200d }) { return 2 }
        return first.displayWidth
    }
}

extension Unicode.Scalar {
    fileprivate var displayWidth: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        if value < 0x1100 { return 1 }
        return wideRanges.contains { $0.contains(value) } ? 2 : 1
    }

    /// Whether it has an effect on the terminal other than to be shown.
    fileprivate var isActive: Bool {
        if value == 0x200d { return false }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }
}

private let wideRanges: [ClosedRange<UInt32>] = [
    0x1100...0x115f, 0x231a...0x231b, 0x2329...0x232a, 0x23e9...0x23ec, 0x2614...0x2615, 0x2648...0x2653,
    0x26a1...0x26a1, 0x26bd...0x26be, 0x2705...0x2705, 0x274c...0x274c, 0x2753...0x2755, 0x2795...0x2797,
    0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf, 0xa960...0xa97f,
    0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f004...0x1f004,
    0x1f0cf...0x1f0cf, 0x1f18e...0x1f18e, 0x1f191...0x1f19a, 0x1f200...0x1f320, 0x1f32d...0x1f335,
    0x1f337...0x1f37c, 0x1f37e...0x1f393, 0x1f3a0...0x1f3ca, 0x1f3cf...0x1f3d3, 0x1f3e0...0x1f3f0,
    0x1f3f4...0x1f3f4, 0x1f3f8...0x1f43e, 0x1f440...0x1f440, 0x1f442...0x1f4fc, 0x1f4ff...0x1f53d,
    0x1f54b...0x1f54e, 0x1f550...0x1f567, 0x1f5fb...0x1f64f, 0x1f680...0x1f6c5, 0x1f900...0x1f9ff,
    0x20000...0x3fffd,
]

extension String {
    var displayWidth: Int { reduce(0) { $0 + $1.displayWidth } }

    /// The text with what a terminal would act on replaced by U+00B7, and line breaks and tabs by a space.
    var printable: String {
        guard unicodeScalars.contains(where: \.isActive) else { return self }
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar {
            case "\n", "\r", "\t": result.append(" ")
            default: result.append(scalar.isActive ? "\u{b7}" : scalar)
            }
        }
        return String(result)
    }

    /// At most `width` columns; what is cut off is marked by an ellipsis.
    func cut(to width: Int) -> String {
        if displayWidth <= width { return self }
        guard width > 0 else { return "" }
        var result = "", used = 0
        for character in self {
            if used + character.displayWidth > width - 1 { break }
            result.append(character)
            used += character.displayWidth
        }
        return result + "…"
    }
}
