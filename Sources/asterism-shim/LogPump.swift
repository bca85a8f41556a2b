import Base
import CLinux
import Glibc
import ShimProtocol

/// # The log pump
///
/// A thread that carries what the worker writes from a pipe into files. It is a thread because write(2) to a failing disk may
/// block for a long time, and meanwhile the shim must reap processes and obey commands. A worker that goes on writing then
/// waits for the pipe, as it would wait for the disk itself.
///
/// A log is one stream of bytes from 0 on, over all runs of a generation. Each file holds a part of it, and its name states
/// the offset of its first byte. A full file is followed by the next, and the oldest are deleted. When the disk accepts no
/// more, bytes are dropped and counted. As soon as it accepts bytes again, a line states how many are missing. That line is
/// part of the stream and the dropped bytes are not, so an offset always finds its byte.
final class LogPump {
    /// What the shim's main thread may read while the pump runs, by `asterism_load`.
    struct Counters {
        let stored = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
        let dropped = UnsafeMutablePointer<Int64>.allocate(capacity: 1)

        init() {
            stored.initialize(to: 0)
            dropped.initialize(to: 0)
        }
    }

    private let folder: Int32
    private let source: Int32
    /// Closed when all is written, which its other end detects.
    private let done: Int32
    private let fileBytes: Int64
    private let files: Int
    private let counters: Counters

    private var file: Int32 = -1
    private var inFile: Int64 = 0
    private var offset: Int64 = 0
    private var kept: [Int64] = []
    /// Bytes that were lost since the last line that states a loss.
    private var unreported: Int64 = 0
    private var failure: Int32 = 0
    private var atLineStart = true

    private init(folder: Int32, source: Int32, done: Int32, launch: LaunchFile, counters: Counters) {
        self.folder = folder
        self.source = source
        self.done = done
        fileBytes = launch.logFileBytes
        files = Int(clamping: launch.logFiles)
        offset = launch.logStart
        self.counters = counters
        // Earlier runs of the same generation; their files count as this one's.
        if launch.logStart > 0 {
            kept = LogPump.offsets(in: folder)
            asterism_add(counters.stored, launch.logStart)
            continueFile()
        }
    }

    /// Starts the thread, which owns `source` and `done` from then on. False if there can be no thread.
    static func start(folder: Int32, source: Int32, done: Int32, launch: LaunchFile, counters: Counters) -> Bool {
        let pump = LogPump(folder: folder, source: source, done: done, launch: launch, counters: counters)
        let context = Unmanaged.passRetained(pump)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 256 * 1024)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { context in
                Unmanaged<LogPump>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        pthread_attr_destroy(&attributes)
        if status != 0 { context.release() }
        return status == 0
    }

    private func run() {
        let size = 64 * 1024
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        while true {
            let count = read(source, buffer.baseAddress, size)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
            take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        if unreported > 0 { logLoss() }
        buffer.deallocate()
        if file >= 0 { close(file) }
        close(source)
        close(done)
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        if unreported > 0 { logLoss() }
        let stored = unreported > 0 ? 0 : store(bytes)
        if stored < bytes.count {
            unreported += Int64(bytes.count - stored)
            asterism_add(counters.dropped, Int64(bytes.count - stored))
        }
    }

    private func logLoss() {
        let reason = String(cString: strerror(failure))
        let text = "\(atLineStart ? "" : "\n")[asterism: \(unreported) bytes of this log were lost: \(reason)]\n"
        let bytes = Array(text.utf8)
        // A line that is itself cut short stays, and is written again as a whole.
        if bytes.withUnsafeBytes({ store($0) }) == bytes.count { unreported = 0 }
    }

    /// How many bytes the disk accepted before it refused.
    private func store(_ bytes: UnsafeRawBufferPointer) -> Int {
        var done = 0
        while done < bytes.count {
            if file < 0 || inFile >= fileBytes {
                guard beginFile() else { break }
            }
            let room = Int(clamping: fileBytes - inFile)
            let count = write(file, bytes.baseAddress! + done, min(room, bytes.count - done))
            if count < 0 && errno == EINTR { continue }
            if count <= 0 {
                failure = count < 0 ? errno : ENOSPC
                break
            }
            done += count
            inFile += Int64(count)
            offset += Int64(count)
            atLineStart = bytes[done - 1] == UInt8(ascii: "\n")
            asterism_add(counters.stored, Int64(count))
        }
        return done
    }

    /// The log files that are there, by their first byte.
    private static func offsets(in folder: Int32) -> [Int64] {
        guard let stream = fdopendir(dup(folder)) else { return [] }
        defer { closedir(stream) }
        rewinddir(stream)
        var offsets: [Int64] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let offset = GenerationDirectory.logOffset(of: name) { offsets.append(offset) }
        }
        return offsets.sorted()
    }

    /// Continues in the newest file. With a file for each run, a worker that restarts again and again would soon lose its
    /// first output, which is what people look for.
    private func continueFile() {
        guard let begin = kept.last, offset - begin < fileBytes else { return }
        let last = openat(folder, GenerationDirectory.logName(at: begin), O_WRONLY | O_APPEND | O_CLOEXEC)
        var status = stat()
        guard last >= 0, fstat(last, &status) == 0, Int64(status.st_size) == offset - begin else {
            if last >= 0 { close(last) }
            return
        }
        file = last
        inFile = offset - begin
    }

    private func beginFile() -> Bool {
        let name = GenerationDirectory.logName(at: offset)
        let next = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o600)
        if next < 0 {
            failure = errno
            return false
        }
        if file >= 0 { close(file) }
        file = next
        inFile = 0
        if kept.last != offset { kept.append(offset) }
        while kept.count > files { unlinkat(folder, GenerationDirectory.logName(at: kept.removeFirst()), 0) }
        return true
    }
}
