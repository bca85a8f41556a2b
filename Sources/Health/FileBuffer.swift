import Glibc

/// One buffer for all the small files that a sample reads. It grows to the largest and stays, so that the steady state
/// allocates nothing.
struct FileBuffer {
    private(set) var bytes: [UInt8] = []
    /// Bytes of the last file read.
    private(set) var count = 0

    init() {}

    /// Reads a file from its start, at most `limit` bytes; false where it is missing or unreadable. Kernel files state no
    /// size, so the end is where read(2) returns it.
    mutating func read(_ path: String, limit: Int = HealthLimits.procBytes) -> Bool {
        count = 0
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        while count < limit {
            if count == bytes.count {
                bytes.append(contentsOf: repeatElement(0, count: min(max(16 << 10, bytes.count), limit - count)))
            }
            let offset = count, room = min(bytes.count, limit) - count
            let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + offset, room) }
            if got < 0 {
                if errno == EINTR { continue }
                // Where the kernel was booted with psi=0, pressure files exist and reading them fails with EOPNOTSUPP.
                count = 0
                return false
            }
            if got == 0 { break }
            count += got
        }
        return true
    }

    var cursor: TextCursor { TextCursor(bytes, count: count) }

    /// The first line without whitespace at its ends; `nil` where there is none.
    mutating func line(of path: String) -> String? {
        guard read(path, limit: 4096) else { return nil }
        var cursor = cursor
        guard cursor.nextLine() else { return nil }
        let line = cursor.remainder()
        return line.isEmpty ? nil : cursor.text(line)
    }
}
