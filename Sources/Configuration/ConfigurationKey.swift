/// # Keys of the configuration files
///
/// Each option of a daemon's command line has a key of the same name in its file. The options themselves are declared once,
/// for ArgumentParser, in the programs. A test compares them with this table. Another test compares the table in the
/// documentation with this one.
package struct ConfigurationKey: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case text
        case integer
        /// An option without a value: `true` or `false`.
        case flag
        /// An option that may be repeated: a list, or a single value.
        case list
        /// A list of NAME=VALUE, or a mapping.
        case labels
    }

    /// As on the command line, without the dashes.
    package let name: String
    package let kind: Kind
    /// The value when the option is not given; empty where there is none, or where it depends on the machine.
    package let defaults: [String]
    /// A description of the default where `defaults` is empty.
    package let defaultNote: String?
    /// `systemctl reload` applies a change; others need a restart.
    package let isReloaded: Bool
    /// For tests: accepted, and neither shown nor documented.
    package let isHidden: Bool

    init(
        _ name: String, _ kind: Kind = .text, _ defaults: String..., note: String? = nil, isReloaded: Bool = false,
        isHidden: Bool = false
    ) {
        self.name = name
        self.kind = kind
        self.defaults = defaults
        self.isReloaded = isReloaded
        self.isHidden = isHidden
        defaultNote = note
    }

    package var option: String { "--\(name)" }
    package var isRepeated: Bool { kind == .list || kind == .labels }
}
