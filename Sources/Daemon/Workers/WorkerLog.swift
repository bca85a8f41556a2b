import EventLoop
import Glibc
import ShimProtocol
import Wire

/// Reads the log's files, which the shim writes and deletes meanwhile.
struct WorkerLog {
    let folder: WorkerFolder

    private var files: [Int64] { names(in: folder.path).compactMap(GenerationDirectory.logOffset) }

    /// Bytes written so far, deleted ones included.
    var end: Int64 {
        guard let last = files.last else { return 0 }
        var status = stat()
        return stat(folder.path(of: GenerationDirectory.logName(at: last)), &status) < 0
            ? last : last + Int64(status.st_size)
    }

    /// A negative `start` counts from the end.
    func read(from start: Int64, limit: Int, isOver: Bool) -> LogChunk {
        let end = self.end
        var from = start < 0 ? max(0, end + start) : start
        var bytes: [UInt8] = []
        // A file may be deleted between the listing and the opening; a second look then begins with a later one.
        for _ in 0..<3 {
            let files = self.files
            guard let first = files.first else { break }
            if bytes.isEmpty { from = max(from, first) }
            guard take(from: from, limit: limit, files, into: &bytes) else { continue }
            break
        }
        let next = from + Int64(bytes.count)
        return LogChunk(offset: from, bytes: bytes, nextOffset: next, isFinal: isOver && next >= self.end)
    }

    /// False if a file that was listed is gone.
    private func take(from: Int64, limit: Int, _ files: [Int64], into bytes: inout [UInt8]) -> Bool {
        for (index, begin) in files.enumerated() {
            let position = from + Int64(bytes.count)
            let isLast = index == files.count - 1
            guard bytes.count < limit, isLast || files[index + 1] > position else { continue }
            guard position >= begin else { return true }
            let path = folder.path(of: GenerationDirectory.logName(at: begin))
            do throws(Errno) {
                let file = try FileDescriptor.open(path, O_RDONLY)
                if lseek(file.raw, off_t(position - begin), SEEK_SET) < 0 { return true }
                while bytes.count < limit {
                    let more = try file.read(atMost: limit - bytes.count)
                    if more.isEmpty { break }
                    bytes += more
                }
            } catch {
                return error.code != ENOENT
            }
        }
        return true
    }
}
