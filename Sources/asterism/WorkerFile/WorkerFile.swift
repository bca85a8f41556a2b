import Control
import Foundation
import Wire
import YAML

/// # Worker files
///
/// YAML, one worker a file; only `command` must be there:
///
/// ```yaml
/// name: trainer                # otherwise made from the program's name
/// node: gpu-7                  # otherwise the least loaded node
/// command: [python3, train.py, --epochs, "3"]
/// environment: {CUDA_VISIBLE_DEVICES: "0"}
/// workingDirectory: /srv/train
/// user: trainer
/// group: trainer
/// limits: {memory: 2GiB, cpu: 1.5, processes: 64, openFiles: 1024}
/// restart: {policy: on-failure, maxRestarts: 10, window: 10m, delay: 1s, maxDelay: 60s}
/// stop: {signal: TERM, grace: 10s}
/// log: {maxSize: 10MiB, maxFiles: 5}
/// priority: normal
/// labels: {team: rl}
/// ```
///
/// All errors are found in one reading, each with the field's path and its place in the file.
struct WorkerFile: Equatable {
    var name: String?
    var node: String?
    var spec = WorkerSpec(command: [])
    /// The place of each field in the file, for errors that the fleet finds later.
    var places = FieldPlaces()

    /// A longer file is refused.
    static let maxBytes = 1 << 20

    init() {}

    /// Reads a file; `-` is the standard input.
    init(path: String) throws(Failure) {
        let shown = path == "-" ? "standard input" : path
        let data: Data
        do {
            let handle = path == "-" ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(filePath: path))
            data = try handle.read(upToCount: WorkerFile.maxBytes + 1) ?? Data()
        } catch {
            throw Failure(.usage, "\(shown): \(String(cString: strerror(fileErrno(path))))")
        }
        guard data.count <= WorkerFile.maxBytes else {
            throw Failure(.usage, "\(shown): is longer than \(Units.size(Int64(WorkerFile.maxBytes)))")
        }
        guard let text = String(bytes: data, encoding: .utf8) else {
            throw Failure(.usage, "\(shown): is not UTF-8 text")
        }
        try self.init(text: text, file: shown)
    }

    init(text: String, file: String) throws(Failure) {
        var reader = WorkerFileReader()
        self = reader.read(text)
        places.file = file
        guard !reader.problems.isEmpty else { return }
        let sorted = reader.problems.sorted { ($0.place, $0.field, $0.message) < ($1.place, $1.field, $1.message) }
        throw Failure(.usage, sorted.map { "\(file):\($0)" })
    }

    /// Problems that the fleet found, with their places where the file has the field.
    func failure(_ error: any Error) -> any Error {
        guard let error = error as? (any ProblemCarrying), let problems = error.specProblems, let file = places.file
        else {
            return error
        }
        return Failure(
            .usage,
            problems.map { FileProblem($0.field, $0.message, at: places.nearest($0.field)) }.map { "\(file):\($0)" })
    }
}

/// Why a file cannot be opened.
private func fileErrno(_ path: String) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { return errno }
    close(descriptor)
    // It opens, and reading fails: a directory.
    return EISDIR
}

struct FileProblem: Equatable, CustomStringConvertible {
    var place: YAMLPlace
    /// Empty where the error does not concern a field.
    var field: String
    var message: String

    init(_ field: String, _ message: String, at place: YAMLPlace) {
        self.place = place
        self.field = field
        self.message = message
    }

    var description: String {
        "\(place.line):\(place.column): " + (field.isEmpty ? "" : "\(field): ") + message
    }
}

/// The places of fields, by path.
struct FieldPlaces: Equatable {
    var file: String?
    private var places: [String: YAMLPlace] = [:]

    subscript(field: String) -> YAMLPlace? {
        get { places[field] }
        set { places[field] = newValue }
    }

    /// The place of the field, or of what it lies in.
    func nearest(_ field: String) -> YAMLPlace {
        var path = field
        while true {
            if let place = places[path] { return place }
            guard let dot = path.lastIndex(of: ".") else { return .start }
            path = String(path[..<dot])
        }
    }
}
