package import Wire

/// Why a request was not done. The same value goes to the command line, to JSON-RPC and to HTTP.
package struct APIError: Error, Hashable, Sendable, Codable {
    package enum Code: String, Hashable, Sendable, Codable, CaseIterable {
        /// What was named does not exist.
        case notFound
        /// The request itself is wrong; `field` names the place.
        case invalid
        /// It conflicts with the present state: a name that is in use, a worker that has ended.
        case conflict
        /// Cannot be done now: no node is online, the agent has no controller. Trying later may help.
        case unavailable
        /// The node was asked and did not answer.
        case timeout
        /// The node or the controller refused the request.
        case refused
        /// A limit of `Limits` is reached.
        case limit
    }
    package var code: Code
    package var message: String
    /// The field at fault, as the user wrote it (`limits.memory`).
    package var field: String?
    /// All faults of a specification; the first is also in `field` and `message`.
    package private(set) var problems: [SpecProblem]?

    package init(_ code: Code, _ message: String, field: String? = nil) {
        self.code = code
        self.message = message
        self.field = field
    }

    /// A specification that cannot run. `problems` must not be empty.
    package init(_ problems: [SpecProblem]) {
        precondition(!problems.isEmpty, "an error without a problem")
        self.init(.invalid, problems.map(\.description).joined(separator: "; "), field: problems[0].field)
        self.problems = problems
    }

    /// The status of an HTTP answer (RFC 9110, section 15).
    package var httpStatus: Int {
        switch code {
        case .notFound: 404
        case .invalid: 400
        case .conflict: 409
        case .unavailable: 503
        case .timeout: 504
        case .refused: 403
        case .limit: 429
        }
    }

    /// JSON-RPC 2.0 leaves -32000 to -32099 to implementations; a wrong parameter has its own number.
    package var jsonRPCCode: Int {
        switch code {
        case .invalid: -32602
        case .notFound: -32001
        case .conflict: -32002
        case .unavailable: -32003
        case .timeout: -32004
        case .refused: -32005
        case .limit: -32006
        }
    }
}

extension APIError: SchemaDescribed {
    package static let schema = Schema.object(
        "Error",
        [
            "code": .choice(of: APIError.Code.self), "message": .text, "field?": .text,
            "problems?": .list(of: SpecProblem.self),
        ])
}
