import Base
import Control
import Foundation

/// An answer, as received and as a view.
struct Answer<View: Decodable> {
    let line: [UInt8]

    func view() throws -> View {
        do {
            let reply = try JSONDecoder().decode(JSONRPCReply<View>.self, from: Data(line))
            return try reply.result.get()
        } catch let error as DecodingError {
            let reason = APIError(error).message
            throw Failure(.refused, "the answer has a form that this version does not know (\(reason))")
        }
    }

    /// The result as it came, so that what a newer program adds is shown in full by an older command line.
    var json: JSONValue {
        get throws {
            do throws(JSONSyntaxError) { return try JSONValue(parsing: line)["result"] ?? .null } catch {
                throw Failure(.refused, "the answer is not JSON: \(error)")
            }
        }
    }
}
