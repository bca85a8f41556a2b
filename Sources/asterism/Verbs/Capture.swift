import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct Capture: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Captures this node's packets, inside and outside of the encryption, to a pcapng file.",
        discussion: """
            The file has two interfaces: 'inner' holds the overlay's packets in clear text, 'outer' the encrypted \
            datagrams that carry them. A comment on each packet states its peer and its path. The capture ends at \
            Ctrl-C, or when the limit of --count or --seconds is reached:

              asterism capture -w - | wireshark -k -i -

            Only root and the agent's own user may capture, one at a time. With --json the number of packets is \
            printed at the end.
            """)

    @OptionGroup var common: Common
    @Argument(
        help:
            "Only packets to and from this peer: its name, overlay address, or four or more first digits of its id.")
    var peer: String?
    @Option(name: .customShort("w"), help: ArgumentHelp("The file; - is the standard output.", valueName: "file"))
    var file: String = "-"
    @Flag(help: "Only packets of the overlay.") var inner = false
    @Flag(help: "Only datagrams of the mesh.") var outer = false
    @Option(help: "Stop after this many packets.") var count: Int?
    @Option(help: "Stop after this many seconds.") var seconds: Int?

    func validate() throws {
        if inner, outer { throw ValidationError("give --inner or --outer, or neither for both") }
        if let count, !(1...1_000_000_000).contains(count) {
            throw ValidationError("--count must be 1 to 1000000000, not \(count)")
        }
        if let seconds, !(1...86_400).contains(seconds) {
            throw ValidationError("--seconds must be 1 to 86400, not \(seconds)")
        }
        guard file == "-" else { return }
        if common.json {
            throw ValidationError("--json and the capture both use standard output; name a file with -w")
        }
        if isatty(STDOUT_FILENO) == 1 {
            throw ValidationError("a terminal cannot show a capture; name a file with -w, or pipe it to a program")
        }
    }

    func perform() throws {
        // From here on signals are waited for, so that the file is completed.
        var signals = DevSignals()
        let link = try common.link(.agent)
        let layer: CaptureLayer? = inner ? .inner : outer ? .outer : nil
        let order = CaptureStart(
            peer: peer, layer: layer, count: count.map { Int64($0) }, seconds: seconds.map { Int64($0) })
        var view: CaptureView = try link.call(order, repeats: false).view()
        do { try follow(&view, link, &signals) } catch {
            // Ends the capture at once, so that others may capture. The agent would end it only after a while without a
            // reader.
            _ = try? link.call(CaptureStop(capture: view.capture), repeats: false)
            throw error
        }
        if common.json {
            view.data = ""
            writeOut(try JSONText.document(view))
        } else {
            writeError(
                "\(view.packets) packets\(view.dropped > 0 ? ", \(view.dropped) dropped, the buffer was full" : "")")
        }
    }

    /// Writes the pieces until the end.
    private func follow(_ view: inout CaptureView, _ link: Link, _ signals: inout DevSignals) throws {
        // The file is made when there is something to write, so that a refusal does not change an existing file.
        let output = try open()
        defer { close(output) }
        try write(view, output)
        while !view.isFinal {
            let isOver = signals.sleep(0.001)
            let answer =
                isOver
                ? try link.call(CaptureStop(capture: view.capture), repeats: false)
                : try link.call(CaptureRead(capture: view.capture), repeats: false)
            view = try answer.view()
            try write(view, output)
        }
    }

    private func open() throws -> Int32 {
        guard file != "-" else { return dup(STDOUT_FILENO) }
        let descriptor = Foundation.open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(.usage, "-w: \(file): \(String(cString: strerror(errno)))") }
        return descriptor
    }

    private func write(_ view: CaptureView, _ output: Int32) throws {
        guard let bytes = view.bytes else { throw Failure(.refused, "the agent's answer is no base64") }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(output, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            guard count > 0 else { throw Failure(.refused, "-w: \(file): \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }
}
