import Base
package import Control

extension StrictJSON {
    /// Reads one line of JSON-RPC. A fault in the envelope or in the parameters is the call's failure, which is answered
    /// under the call's id; paths begin below `params`. `nil` for a line that is no JSON object, which is answered
    /// `JSONRPCReply.unreadable`.
    package static func call<Request: JSONRPCRequest>(
        _ type: Request.Type = Request.self, from line: [UInt8]
    ) -> JSONRPCCall<Request>? {
        guard let document = try? JSONValue(parsing: line), case .object(let members) = document else { return nil }
        let envelope = members.filter { ["jsonrpc", "id", "method"].contains($0.name) }
        // The envelope's own faults are part of the call; this throws only where the line is no object.
        guard var call = try? decode(from: .object(envelope), { try JSONRPCCall<Request>(from: $0) }) else {
            return nil
        }
        if case .failure(let error) = call.request, error.code != JSONRPC.invalidParameters { return call }
        if let unknown = members.first(where: { !envelope.contains($0) && $0.name != "params" }) {
            let error = StrictJSONError(.unknown, path: unknown.name).apiError
            call.request = .failure(JSONRPCError(code: JSONRPC.invalidRequest, error))
            return call
        }
        guard case .string(let name)? = document["method"], let method = Request.Method(rawValue: name) else {
            return call
        }
        let given = document["params"] ?? .null
        do throws(StrictJSONError) {
            let parameters = given == .null ? JSONValue.object([]) : given
            guard case .object = parameters else { throw StrictJSONError(.wrong("must be an object"), path: "params") }
            call.request = .success(try decode(from: parameters) { try Request(method, from: $0) })
        } catch {
            call.request = .failure(JSONRPCError(error.apiError))
        }
        return call
    }
}
