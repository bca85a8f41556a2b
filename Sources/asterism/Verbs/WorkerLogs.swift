import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct WorkerLogs: Verb {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Shows what a worker wrote to its standard output and error.",
        discussion: """
            The bytes are printed unchanged. With --json they are base64: one document, or a line for each piece while \
            following. Following ends when the worker has ended. It survives a restart of the controller and of the \
            agent.
            """)

    @OptionGroup var common: Common
    @Argument(help: "The worker's name.") var name: String
    @Flag(name: [.customShort("f"), .long], help: "Print new output as it is written.") var follow = false
    @Option(name: [.customShort("n"), .long], help: "Lines to print, from the end.") var tail: Int?
    @Option(help: ArgumentHelp("Bytes to print, from the end, as in 64KiB.", valueName: "size")) var bytes: String?

    static let pollMicroseconds: UInt32 = 200_000
    /// How long a node may be absent before following ends, in seconds.
    static let patience = 30.0

    func validate() throws {
        guard tail == nil || bytes == nil else { throw ValidationError("give --tail or --bytes, and not both") }
        guard tail.map({ (0...1_000_000).contains($0) }) ?? true else {
            throw ValidationError("--tail must be 0 to 1000000 lines")
        }
    }

    func perform() throws {
        let link = try common.link(.controller)
        let reader = LogReader(link: link, name: name)
        let offset = try beginning(reader)
        if follow { return try followOn(reader, offset) }
        if common.json { return try document(reader, offset) }
        try reader.read(from: offset) { writeOut($0) }
    }

    private func beginning(_ reader: LogReader) throws -> Int64? {
        if let tail { return try reader.offset(ofLast: tail) }
        guard let bytes else { return nil }
        do throws(Units.Problem) {
            let count = try Units.bytes(bytes)
            guard count >= 0 else { throw Units.Problem(message: "must not be negative") }
            return count == 0 ? try? reader.end() : -count
        } catch {
            throw Failure(.usage, "bytes: \(error.message)")
        }
    }

    private func followOn(_ reader: LogReader, _ offset: Int64?) throws {
        var offset = offset
        while true {
            let answer = try patiently { try reader.chunk(offset) }
            let view: LogView = try answer.view()
            let content = view.bytes ?? []
            if common.json {
                if !content.isEmpty || view.isFinal { writeOut(try JSONText.line(try answer.json)) }
            } else {
                writeOut(content)
            }
            offset = view.nextOffset
            if view.isFinal { return }
            if content.isEmpty { usleep(WorkerLogs.pollMicroseconds) }
        }
    }

    /// A node that does not answer may be restarting; its worker and the log survive that.
    private func patiently(_ ask: () throws -> Answer<LogView>) throws -> Answer<LogView> {
        let end = monotonicSeconds() + WorkerLogs.patience
        while true {
            do {
                let answer = try ask()
                _ = try answer.view()
                return answer
            } catch {
                let code = (error as? APIError)?.code ?? (error as? JSONRPCError)?.apiError.code
                guard code == .unavailable || code == .timeout, monotonicSeconds() < end else { throw error }
                usleep(WorkerLogs.pollMicroseconds)
            }
        }
    }

    /// One view of all pieces, written piece by piece: a log may be larger than memory.
    private func document(_ reader: LogReader, _ offset: Int64?) throws {
        var held: [UInt8] = []
        var begun = false
        var first: Int64 = 0
        let last = try reader.read(from: offset) { chunk in
            if !begun { writeOut("{\n  \"data\" : \"") }
            begun = true
            held += chunk
            let whole = held.count - held.count % 3
            writeOut(Base64.encode(Array(held[..<whole])))
            held.removeFirst(whole)
        } began: {
            first = $0
        }
        if !begun { writeOut("{\n  \"data\" : \"") }
        let worker = try JSONText.line(last.worker).dropLast()
        writeOut(
            Base64.encode(held) + "\",\n  \"isFinal\" : \(last.isFinal),\n  \"nextOffset\" : \(last.nextOffset),\n"
                + "  \"offset\" : \(first),\n  \"worker\" : \(worker)\n}\n")
    }
}

/// Reads a worker's log piece by piece.
struct LogReader {
    let link: Link
    let name: String

    func chunk(_ offset: Int64?, limit: Int64 = Int64(Limits.logChunkBytes)) throws -> Answer<LogView> {
        try link.call(WorkersLogs(name: name, offset: offset, limit: limit))
    }

    /// From an offset to the present end. Returns the last piece, and the offset at which the first began.
    @discardableResult
    func read(
        from offset: Int64?, _ take: ([UInt8]) throws -> Void, began: (Int64) -> Void = { _ in }
    ) throws -> LogView {
        var view: LogView = try chunk(offset).view()
        began(view.offset)
        while true {
            let content = view.bytes ?? []
            if !content.isEmpty { try take(content) }
            if view.isFinal || content.isEmpty { return view }
            view = try chunk(view.nextOffset).view()
        }
    }

    /// Where the log ends at present.
    func end() throws -> Int64 {
        let view: LogView = try chunk(-1).view()
        return view.nextOffset
    }

    /// The offset of the last `lines` lines, searched backwards from the end; the last line may be incomplete.
    func offset(ofLast lines: Int) throws -> Int64 {
        let end = try end()
        guard lines > 0 else { return end }
        var breaks = 0
        var upper = end
        while upper > 0 {
            let lower = max(0, upper - Int64(Limits.logChunkBytes))
            let (start, content) = try range(lower, upper)
            // Earlier parts were rotated away: the log begins here.
            guard start < upper, !content.isEmpty else { return upper }
            for (place, byte) in content.enumerated().reversed() where byte == UInt8(ascii: "\n") {
                let offset = start + Int64(place)
                // The break at the very end closes the last line and begins none.
                if offset == end - 1 { continue }
                breaks += 1
                if breaks == lines { return offset + 1 }
            }
            if start > lower { return start }
            upper = start
        }
        return 0
    }

    /// The available bytes of a part of the log, and their offset; a piece may be shorter than requested.
    private func range(_ lower: Int64, _ upper: Int64) throws -> (start: Int64, content: [UInt8]) {
        var view: LogView = try chunk(lower, limit: upper - lower).view()
        let start = view.offset
        var content = view.bytes ?? []
        while view.nextOffset < upper, !(view.bytes ?? []).isEmpty, !view.isFinal {
            view = try chunk(view.nextOffset, limit: upper - view.nextOffset).view()
            content += view.bytes ?? []
        }
        return (start, content)
    }
}
