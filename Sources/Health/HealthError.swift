import Base

/// # Errors of files and tools
///
/// Everything that this module reads was written by other software: the kernel, a vendor's tool, a command that an operator
/// configured. Input that cannot be read becomes an error that states what is wrong and where, so that a person can open the
/// file at that line. A reading that is only absent is no error: it is `nil` in the status.

/// Why the output of a tool or a file could not be understood.
package struct HealthError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The text ends inside the place named.
        case truncated
        /// The text does not follow the grammar of its format.
        case malformed
        /// More, deeper or longer than a limit in `HealthLimits`.
        case tooLarge
        case unknownKey
        case missingKey
        case duplicateKey
        /// The right kind of value, but not one that the contract allows.
        case invalidValue
        /// Legal in the format, refused here (an internal DTD subset, another contract version).
        case unsupported
        /// The command ended with this status and without a readable document; 128 + n stands for signal n.
        case commandFailed(status: Int32)
        /// The tool reported that a device is lost and listed nothing else.
        case deviceLost(pciAddress: String?)
    }
    package var reason: Reason
    /// Path inside the document, e.g. `nvidia_smi_log/gpu[2]/pci` or `devices[3].powerWatts`; may be empty.
    package var place: String
    /// From 1; 0 where there is no document.
    package var line: Int
    /// Bytes before the mistake.
    package var offset: Int
    package var detail: String

    package init(_ reason: Reason, _ place: String, line: Int = 0, at offset: Int = 0, _ detail: String = "") {
        self.reason = reason
        self.place = place
        self.line = line
        self.offset = offset
        self.detail = detail
    }

    package var description: String {
        let position = line > 0 ? "line \(line) (byte \(offset)): " : ""
        let spot = place.isEmpty ? "" : " at \(place)"
        let why = detail.isEmpty ? "" : ": \(detail)"
        return "\(position)\(words)\(spot)\(why)"
    }

    private var words: String {
        switch reason {
        case .truncated: "cut off"
        case .malformed: "malformed"
        case .tooLarge: "too large"
        case .unknownKey: "unknown key"
        case .missingKey: "missing key"
        case .duplicateKey: "duplicate key"
        case .invalidValue: "invalid value"
        case .unsupported: "unsupported"
        case .commandFailed(let status): "command ended with status \(status)"
        case .deviceLost(let pciAddress): "device \(pciAddress ?? "of unknown address") is lost"
        }
    }
}

extension HealthError {
    /// The error of a tool's XML.
    init(_ error: XMLError) {
        let reason: Reason =
            switch error.reason {
            case .truncated: .truncated
            case .malformed: .malformed
            case .tooLarge: .tooLarge
            case .unsupported: .unsupported
            }
        self.init(reason, error.place, line: error.line, at: error.offset, error.detail)
    }
}

extension HealthError {
    init(_ error: JSONSyntaxError) {
        let reason: Reason =
            switch error.reason {
            case .truncated: .truncated
            case .malformed: .malformed
            case .tooLarge: .tooLarge
            case .duplicateKey: .duplicateKey
            }
        let place = error.path.isEmpty ? "document" : error.path
        self.init(reason, place, line: error.line, at: error.offset, error.message)
    }
}
