/// A request as it arrived, with all of its body.
package struct HTTPRequest: Hashable, Sendable {
    package var method: String
    /// The request target as it was sent, before any decoding (RFC 9112, section 3.2).
    package var target: String
    /// In the order of sending; a name may be there several times.
    package var headers: [HTTPHeader]
    package var body: [UInt8]

    package init(method: String, target: String, headers: [HTTPHeader] = [], body: [UInt8] = []) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
    }

    /// All values of a header. Names are compared without regard to case.
    package func values(_ name: String) -> [String] {
        headers.filter { $0.name.lowercased() == name }.map(\.value)
    }
}
