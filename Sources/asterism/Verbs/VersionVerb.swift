import ArgumentParser
import Base
import Control

struct VersionVerb: Verb {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Shows the versions of this program and of the daemons of this machine.")

    @OptionGroup var common: Common

    private struct Versions: Encodable {
        struct Other: Encodable {
            var program: String
            var socket: String
            var version: String
        }
        var client: String
        var programs: [Other]
    }

    func perform() throws {
        var versions = Versions(client: AsterismVersion.current, programs: [])
        for place in try common.places([.agent, .controller]) {
            // A program that does not answer is no error here.
            guard let link = try? Link.open([place], timeout: min(common.timeout, 2)),
                let view = try? link.call(StatusGet(), repeats: false).view()
            else { continue }
            versions.programs.append(.init(program: view.program.rawValue, socket: place.path, version: view.version))
        }
        if common.json { return writeOut(try JSONText.document(versions)) }
        var details = Details()
        details.add("asterism", versions.client)
        for other in versions.programs { details.add(other.program, "\(other.version) at \(other.socket)") }
        writeOut(details.render(terminal))
    }
}
