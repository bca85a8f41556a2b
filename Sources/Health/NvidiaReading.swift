/// How nvidia-smi writes a value, that there is none, or that reading one failed. The spellings are collected from
/// drivers 384 to 610; `N/A` and its relatives are harmless, the faults are not.
enum NvidiaReading: Hashable {
    case value(String)
    case absent
    /// `ERR!`, `Unknown Error`: this reading failed.
    case failed(String)
    /// `GPU requires reset`, `GPU is lost`: the device failed.
    case lost(String)

    init(_ raw: some Collection<UInt8>) {
        var text = String(decoding: raw, as: UTF8.self).trimmed
        if text.hasPrefix("["), text.hasSuffix("]"), text.utf8.count >= 2 {
            let inner = String(text.dropFirst().dropLast()).trimmed
            // `[REDACTED]` and similar texts are values in brackets.
            if NvidiaReading(plain: inner).isValue == false { text = inner }
        }
        self.init(plain: text)
    }

    private init(plain text: String) {
        let lower = text.lowercased()
        if lower.contains("requires reset") || lower.contains("gpu is lost") || lower.contains("fallen off the bus") {
            self = .lost(text.cut(to: HealthLimits.textBytes))
        } else if lower == "err!" || lower == "unknown error" || lower == "[unknown error]" {
            self = .failed(text)
        } else if Self.absentWords.contains(lower) || lower.hasPrefix("n/a (") || lower.contains("has been deprecated")
        {
            self = .absent
        } else {
            self = .value(text.cut(to: HealthLimits.textBytes))
        }
    }

    private static let absentWords = [
        "", "n/a", "na", "-", "/", "none", "unknown", "not found", "function not found", "not supported",
        "not available", "insufficient permissions", "no permission", "deprecated", "9223372036854775794",
    ]

    var isValue: Bool {
        switch self {
        case .value: true
        case .absent, .failed, .lost: false
        }
    }
    var text: String? {
        switch self {
        case .value(let text): text
        case .absent, .failed, .lost: nil
        }
    }

    /// A plain count that is not negative.
    var count: Int64? { quantity(["": 0]) }
    var percent: Int64? { quantity(["%": 0, "": 0]) }
    var milliwatts: Int64? { quantity(["W": 3, "mW": 0, "kW": 6, "uW": -3]) }
    /// Degrees below zero are real in cold aisles.
    var milliCelsius: Int64? { quantity(["C": 3], negativeAllowed: true) }
    var bytes: Int64? {
        guard let (number, unit) = parts() else { return nil }
        let shift: Int64? =
            switch unit {
            case "B": 0
            case "KiB": 10
            case "MiB", "MB": 20
            case "GiB": 30
            case "TiB": 40
            default: nil
            }
        // nvidia-smi counts in powers of two even where old drivers print MB.
        guard let shift, let count = number.scaled(byPowerOfTen: 0), count >= 0 else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : product
    }
    /// `Yes`, `Enabled`, `Active`, `On` and their opposites.
    var flag: Bool? {
        switch text?.lowercased() {
        case "yes", "enabled", "active", "on", "true": true
        case "no", "disabled", "not active", "off", "false": false
        default: nil
        }
    }

    /// The number times ten to the power that its unit stands for.
    private func quantity(_ units: KeyValuePairs<String, Int>, negativeAllowed: Bool = false) -> Int64? {
        guard let (number, unit) = parts(), let power = units.first(where: { $0.key == unit })?.value,
            let value = number.scaled(byPowerOfTen: power), negativeAllowed || value >= 0
        else { return nil }
        return value
    }

    private func parts() -> (DecimalNumber, String)? {
        guard let text else { return nil }
        let bytes = Array(text.utf8)
        var range = bytes.indices
        guard let number = DecimalNumber(readingFrom: bytes, &range) else { return nil }
        return (number, String(decoding: bytes[range], as: UTF8.self).trimmed)
    }
}

extension String {
    /// Without spaces, tabs, line ends and NULs at both ends.
    var trimmed: String {
        let isPadding = { (byte: UInt8) in byte.isBlank || byte == 0 }
        let view = utf8.drop(while: isPadding)
        let end = view.lastIndex { !isPadding($0) }.map(view.index(after:)) ?? view.startIndex
        return String(Substring(view[..<end]))
    }

    /// At most `limit` bytes, cut between characters.
    func cut(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: limit)
        while end > startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
