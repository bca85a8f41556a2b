import Base
import Control
import Foundation

/// # The connection to one program
///
/// A link is a place and a connection that is made again after a loss. After a loss, reading requests are repeated.
/// Requests with an operation id are repeated too, because the fleet does them only once. Other requests are not repeated.
final class Link {
    let place: Place
    private let timeout: Double
    private var connection: Connection?
    private var lastID: Int64 = 0
    /// How long a lost program may take to come back.
    private static let patience = 15.0

    init(_ place: Place, timeout: Double, _ connection: Connection? = nil) {
        self.place = place
        self.timeout = timeout
        self.connection = connection
    }

    /// Connects to the first place that answers.
    static func open(_ places: [Place], timeout: Double) throws(Failure) -> Link {
        precondition(!places.isEmpty, "a link to nowhere")
        var faults: [String] = []
        for place in places {
            do throws(Connection.Fault) {
                return Link(place, timeout: timeout, try Connection(to: place.path))
            } catch {
                faults.append("\(place.description): \(error.text)")
            }
        }
        var lines = ["cannot connect to " + faults.joined(separator: ", nor to ")]
        if !places.contains(where: { $0.program == nil }) { lines[0] += "; is it running?" }
        throw Failure(.unreachable, lines)
    }

    /// Asks, and waits for the answer.
    ///
    /// - `repeats`: asks again when the connection is lost; only for what does no harm when done twice.
    func call<Request: APIVerb>(
        _ request: Request, repeats: Bool = true, within seconds: Double? = nil
    ) throws -> Answer<Request.Answer> {
        let end = monotonicSeconds() + Link.patience
        while true {
            let answer: (id: JSONRPCID, line: [UInt8])
            do throws(Connection.Fault) {
                answer = try ask(request, within: seconds ?? timeout)
            } catch {
                connection = nil
                switch error {
                case .lost, .unreachable:
                    guard repeats, monotonicSeconds() < end else {
                        throw Failure(.unreachable, "\(place.description): \(error.text)")
                    }
                    usleep(200_000)
                case .timeout, .tooLong:
                    throw Failure(.unavailable, "\(place.description): \(error.text)")
                }
                continue
            }
            return Answer(line: try check(answer, request))
        }
    }

    private func ask<Request: APIVerb>(
        _ request: Request, within seconds: Double
    ) throws(Connection.Fault) -> (id: JSONRPCID, line: [UInt8]) {
        let connection: Connection
        if let open = self.connection {
            connection = open
        } else {
            connection = try Connection(to: place.path)
            self.connection = connection
        }
        lastID += 1
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let id = JSONRPCID.number(lastID)
        // The requests are plain structs of strings and integers, which always encode.
        let line = try! encoder.encode(JSONRPCCall(id: id, request))
        return (id, try connection.exchange(Array(line), within: seconds))
    }

    private struct Envelope: Decodable {
        var id: JSONRPCID
        var error: JSONRPCError?
    }

    private func check(
        _ answer: (id: JSONRPCID, line: [UInt8]), _ request: some APIVerb
    ) throws -> [UInt8] {
        guard let envelope = try? JSONDecoder().decode(Envelope.self, from: Data(answer.line)) else {
            throw Failure(.refused, "\(place.description) does not answer in JSON-RPC")
        }
        if let error = envelope.error {
            if error.code == JSONRPC.methodNotFound {
                throw Failure(.refused, "\(place.description) does not know '\(request.methodName)'")
            }
            throw error.apiError
        }
        guard envelope.id == answer.id else {
            throw Failure(.refused, "\(place.description) answered another request")
        }
        return answer.line
    }
}

extension Connection.Fault {
    var text: String {
        switch self {
        case .unreachable(let code): String(cString: strerror(code))
        case .lost: "the connection was lost"
        case .timeout: "no answer in time"
        case .tooLong: "the answer is too long"
        }
    }
}
