import Base

/// Calls of a UPnP service and their answers (UPnP Device Architecture 1.1, section 3).
enum SOAP {
    /// The whole HTTP request. The arguments are this program's own, and none needs escaping.
    static func request(_ action: String, of service: IGDService, _ arguments: [(name: String, value: String)])
        -> [UInt8]
    {
        let type = service.kind.rawValue
        let inner = arguments.map { "<\($0.name)>\($0.value)</\($0.name)>" }.joined()
        let body =
            "<?xml version=\"1.0\"?>\r\n"
            + "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
            + "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
            + "<u:\(action) xmlns:u=\"\(type)\">\(inner)</u:\(action)></s:Body></s:Envelope>\r\n"
        return Array(
            ("POST \(service.control.path) HTTP/1.1\r\nHost: \(service.control.remote)\r\n"
                + "Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"\(type)#\(action)\"\r\n"
                + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)").utf8)
    }

    static func descriptionRequest(_ url: GatewayURL) -> [UInt8] {
        Array("GET \(url.path) HTTP/1.1\r\nHost: \(url.remote)\r\nConnection: close\r\n\r\n".utf8)
    }

    /// Why a call was refused: a code of UPnP or of the service, and the gateway's text.
    struct Fault: Hashable, Sendable {
        private(set) var code: Int
        let words: String
    }

    enum Answer: Hashable, Sendable {
        case values([Value])
        case fault(Fault)

        struct Value: Hashable, Sendable {
            let name: String
            let text: String
        }

        private static let limit = 64
        private static let textBytes = 256

        init(decoding body: [UInt8]) throws(XMLError) {
            var xml = try XMLReader(body, maximumBytes: HTTPAnswer.bytesLimit)
            var values: [Value] = [], text: [UInt8] = [], hasBody = false
            while let event = try xml.next() {
                switch event {
                case .start: text = []
                case .text: text += xml.text
                case .end:
                    let name = xml.localName
                    if name == "Body" { hasBody = true }
                    if values.count < Answer.limit {
                        let short = String(decoding: text.prefix(Answer.textBytes), as: UTF8.self)
                        values.append(Value(name: name, text: short.trimmed))
                    }
                    text = []
                }
            }
            guard hasBody else { throw xml.failure(.malformed, "no SOAP body") }
            func find(_ name: String) -> String? { values.first { $0.name == name }?.text }
            if let text = find("errorCode") {
                self = .fault(Fault(code: Int(text) ?? 0, words: find("errorDescription") ?? ""))
            } else if find("Fault") != nil {
                self = .fault(Fault(code: 0, words: find("faultstring") ?? ""))
            } else {
                self = .values(values)
            }
        }
    }
}

extension SOAP.Fault {
    /// Its meaning, for a person: codes of UPnP (UDA 1.1, section 3.3.2) and of WANIPConnection:2 (2.5.22 and others).
    var meaning: String {
        let known: [(code: Int, words: String)] = [
            (401, "the gateway does not know the action"), (402, "the gateway refused an argument"),
            (501, "the gateway failed"), (606, "the gateway does not allow it"),
            (713, "the gateway has no such mapping"), (714, "the gateway has no such mapping"),
            (715, "the gateway requires a remote host"), (716, "the gateway requires an external port"),
            (718, "the port is mapped for another already"), (724, "the gateway maps only to the same port"),
            (725, "the gateway gives only mappings without an end"),
            (726, "the gateway allows no remote host"), (727, "the gateway allows no outer port"),
            (728, "the gateway has no free port"), (729, "another service of the gateway has the port"),
        ]
        return known.first { $0.code == code }?.words
            ?? "refused with code \(code)\(words.isEmpty ? "" : ", \(words.safe)")"
    }
}

extension String {
    /// A foreign text, made safe for a terminal: only its printable ASCII, and at most 80 characters.
    var safe: String { String(decoding: utf8.lazy.filter { $0 >= 0x20 && $0 < 0x7f }.prefix(80), as: UTF8.self) }
}
