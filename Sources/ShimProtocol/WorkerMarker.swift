import Base

/// The names of environment variables by which processes can be distinguished in /proc.
package enum WorkerMarker {
    /// In every process of a worker.
    package static let variable = "ASTERISM_WORKER"
    /// In its shim, which must never be taken for a process of the worker.
    package static let shimVariable = "ASTERISM_SHIM"

    /// `<name>/<generation>/<nonce>`.
    package static func value(name: String, generation: UInt64, nonce: UInt64) -> String {
        let digits = String(nonce, radix: 16)
        return "\(name)/\(generation)/\(String(repeating: "0", count: 16 - digits.utf8.count))\(digits)"
    }
}
