/// # JSON-RPC 2.0
///
/// The envelope around requests and replies on the local sockets (https://www.jsonrpc.org/specification): one JSON
/// document a line, `\n` at the end, UTF-8. There are no batches, and parameters are always named.
///
/// ```
/// → {"jsonrpc":"2.0","id":1,"method":"workers.stop","params":{"name":"trainer"}}
/// ← {"jsonrpc":"2.0","id":1,"result":{…}}                      the view itself
/// ← {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"…","data":{…}}}     data is an APIError
/// ```
///
/// A server decodes a `JSONRPCCall`. That throws only for input that is not a JSON object, and the answer is then
/// `JSONRPCReply.unreadable`. Every other fault is the call's `request` as a failure, so the answer has the caller's
/// id. A call without an id is a notification and gets no answer. A client encodes a `JSONRPCCall` and decodes a
/// `JSONRPCReply` of the view it expects.
package enum JSONRPC {
    package static let version = "2.0"
    /// A line longer than this ends the connection. The longest request is a worker's specification. Its command and
    /// environment hold at most 64 KiB, and JSON can make that six times as long (`\u0001`). Log replies are 88 KiB.
    package static let maxLineBytes = 1 << 20

    // The numbers that the specification reserves, section 5.1.
    package static let parseError = -32700
    package static let invalidRequest = -32600
    package static let methodNotFound = -32601
    package static let invalidParameters = -32602
}

/// A method's name with its parameters: what a client sends.
package protocol JSONRPCMessage: Sendable {
    var methodName: String { get }
    func encodeParameters(to encoder: any Encoder) throws
}

/// A message of any method of one program: what a server reads.
package protocol JSONRPCRequest: JSONRPCMessage, Hashable {
    associatedtype Method: RawRepresentable<String>
    var method: Method { get }
    /// Reads the parameters of a method; throws what the decoder throws.
    init(_ method: Method, from decoder: any Decoder) throws
}

extension JSONRPCRequest {
    package var methodName: String { method.rawValue }
}

/// A caller's name for a call; the answer repeats it.
package enum JSONRPCID: Hashable, Sendable, Codable {
    case number(Int64)
    case text(String)
    /// Only in the answer to a call whose id could not be read.
    case null

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let number = try? container.decode(Int64.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let number): try container.encode(number)
        case .text(let text): try container.encode(text)
        case .null: try container.encodeNil()
        }
    }
}

/// Why a call was not done.
package struct JSONRPCError: Error, Hashable, Sendable, Codable {
    package private(set) var code: Int
    package var message: String
    /// Absent only from servers of other implementations.
    package private(set) var data: APIError?

    package init(code: Int, _ error: APIError) {
        self.code = code
        message = error.message
        data = error
    }

    package init(_ error: APIError) { self.init(code: error.jsonRPCCode, error) }

    /// The error in the form that the rest of Asterism uses.
    package var apiError: APIError {
        if let data { return data }
        if code == JSONRPC.parseError || code == JSONRPC.invalidRequest || code == JSONRPC.methodNotFound {
            return APIError(.invalid, message)
        }
        return APIError(APIError.Code.allCases.first { APIError($0, "").jsonRPCCode == code } ?? .refused, message)
    }
}

/// One request on its way to a server.
package struct JSONRPCCall<Request: JSONRPCMessage>: Sendable {
    /// Absent in a notification, which gets no answer.
    package var id: JSONRPCID?
    /// A failure is a call that was understood as far as its id, and is answered with the error.
    package var request: Result<Request, JSONRPCError>

    package init(id: JSONRPCID, _ request: Request) {
        self.id = id
        self.request = .success(request)
    }
}

private enum CallKey: String, CodingKey {
    case jsonrpc, id, method, params
}

extension JSONRPCCall: Decodable where Request: JSONRPCRequest {
    /// Throws for what is not a JSON object, and for nothing else.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CallKey.self)
        var faultOfID: APIError?
        do {
            id = container.contains(.id) ? try container.decode(JSONRPCID.self, forKey: .id) : nil
        } catch {
            id = .null
            faultOfID = APIError(.invalid, "an id is a number or a string", field: "id")
        }
        if let faultOfID {
            request = .failure(JSONRPCError(code: JSONRPC.invalidRequest, faultOfID))
        } else {
            request = JSONRPCCall.request(in: container)
        }
    }

    private static func request(in container: KeyedDecodingContainer<CallKey>) -> Result<Request, JSONRPCError> {
        func failure(_ code: Int, _ message: String, _ field: String) -> Result<Request, JSONRPCError> {
            .failure(JSONRPCError(code: code, APIError(.invalid, message, field: field)))
        }
        guard (try? container.decode(String.self, forKey: .jsonrpc)) == JSONRPC.version else {
            return failure(JSONRPC.invalidRequest, "\"jsonrpc\" must be \"\(JSONRPC.version)\"", "jsonrpc")
        }
        guard let name = try? container.decode(String.self, forKey: .method) else {
            return failure(JSONRPC.invalidRequest, "\"method\" must be a string", "method")
        }
        guard let method = Request.Method(rawValue: name) else {
            return failure(JSONRPC.methodNotFound, "there is no method '\(name)'", "method")
        }
        do {
            let hasParameters = container.contains(.params) && !((try? container.decodeNil(forKey: .params)) ?? false)
            let decoder = hasParameters ? try container.superDecoder(forKey: .params) : EmptyObjectDecoder()
            return .success(try Request(method, from: decoder))
        } catch let error as DecodingError {
            return .failure(JSONRPCError(APIError(error)))
        } catch {
            return failure(JSONRPC.invalidParameters, "the parameters cannot be read: \(error)", "params")
        }
    }
}

extension JSONRPCCall: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CallKey.self)
        try container.encode(JSONRPC.version, forKey: .jsonrpc)
        try container.encodeIfPresent(id, forKey: .id)
        let request = try request.get()
        try container.encode(request.methodName, forKey: .method)
        try request.encodeParameters(to: container.superEncoder(forKey: .params))
    }
}

/// One answer. A server's `Value` is `ControllerReply` or `AgentReply`, a client's the view it asked for.
package struct JSONRPCReply<Value> {
    package var id: JSONRPCID
    package private(set) var result: Result<Value, JSONRPCError>

    package init(id: JSONRPCID, _ result: Result<Value, JSONRPCError>) {
        self.id = id
        self.result = result
    }

    /// The answer to a line that is no JSON object.
    package static var unreadable: JSONRPCReply {
        let error = APIError(.invalid, "a request is one JSON object on one line")
        return JSONRPCReply(id: .null, .failure(JSONRPCError(code: JSONRPC.parseError, error)))
    }
}

extension JSONRPCReply: Sendable where Value: Sendable {}

private enum ReplyKey: String, CodingKey {
    case jsonrpc, id, result, error
}

extension JSONRPCReply: Encodable where Value: Encodable {
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ReplyKey.self)
        try container.encode(JSONRPC.version, forKey: .jsonrpc)
        try container.encode(id, forKey: .id)
        switch result {
        case .success(let value): try container.encode(value, forKey: .result)
        case .failure(let error): try container.encode(error, forKey: .error)
        }
    }
}

extension JSONRPCReply: Decodable where Value: Decodable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: ReplyKey.self)
        id = try container.decodeIfPresent(JSONRPCID.self, forKey: .id) ?? .null
        if let error = try container.decodeIfPresent(JSONRPCError.self, forKey: .error) {
            result = .failure(error)
        } else {
            result = .success(try container.decode(Value.self, forKey: .result))
        }
    }
}

extension APIError {
    /// What a JSON decoder found wrong, with the field's path below the parameters.
    package init(_ error: DecodingError) {
        func path(_ context: DecodingError.Context, _ key: (any CodingKey)? = nil) -> String {
            var keys = context.codingPath
            if let first = keys.first, first.stringValue == CallKey.params.stringValue { keys.removeFirst() }
            if let key { keys.append(key) }
            return keys.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        switch error {
        case .typeMismatch(let type, let context):
            self.init(.invalid, "must be \(describe(type))", field: path(context))
        case .valueNotFound(let type, let context):
            self.init(.invalid, "must be \(describe(type)), not null", field: path(context))
        case .keyNotFound(let key, let context):
            self.init(.invalid, "is missing", field: path(context, key))
        case .dataCorrupted(let context):
            self.init(.invalid, context.debugDescription, field: path(context))
        @unknown default:
            self.init(.invalid, "cannot be read")
        }
        if field == "" { field = "params" }
        if let field { message = "\(field): \(message)" }
    }
}

private func describe(_ type: any Any.Type) -> String {
    switch type {
    case is String.Type: "a string"
    case is Bool.Type: "true or false"
    case is any BinaryInteger.Type: "a whole number"
    case is any BinaryFloatingPoint.Type: "a number"
    case is any Collection.Type: "an array"
    default: "an object"
    }
}

/// Stands for the parameters of a call that has none: an object without keys.
private struct EmptyObjectDecoder: Decoder {
    var codingPath: [any CodingKey] { [CallKey.params] }
    // The protocol requires one. It is empty, so it has no order.
    let userInfo = [CodingUserInfoKey: Any]()

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(EmptyObject<Key>(codingPath: codingPath))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        throw DecodingError.typeMismatch([Int].self, .init(codingPath: codingPath, debugDescription: "no parameters"))
    }
    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        throw DecodingError.typeMismatch(String.self, .init(codingPath: codingPath, debugDescription: "no parameters"))
    }
}

private struct EmptyObject<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let codingPath: [any CodingKey]
    var allKeys: [Key] { [] }

    func contains(_ key: Key) -> Bool { false }
    private func missing(_ key: any CodingKey) -> DecodingError {
        .keyNotFound(key, .init(codingPath: codingPath, debugDescription: "no parameters"))
    }
    func decodeNil(forKey key: Key) throws -> Bool { throw missing(key) }
    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { throw missing(key) }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> { throw missing(key) }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw missing(key) }
    func superDecoder() throws -> any Decoder { EmptyObjectDecoder() }
    func superDecoder(forKey key: Key) throws -> any Decoder { throw missing(key) }
}
