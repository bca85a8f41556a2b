import Glibc

/// Writes a line at once, so that what was printed before a crash can be read.
func printLine(_ text: String, to descriptor: Int32 = 1) {
    var bytes = Array(text.utf8)[...]
    bytes.append(10)
    while !bytes.isEmpty {
        let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        // The reader is gone.
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}
