import Base
import Foundation

/// The committed bytes of one message: `Fixtures/wire/<name>.hex`, comments after `#`. They are the protocol as unauthenticated
/// peers implement it; a test that differs from them has found a change of the protocol.
func golden(_ name: String) throws -> [UInt8] {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/wire")
    let text = try String(contentsOf: folder.appending(path: "\(name).hex"), encoding: .utf8)
    let digits = text.split(separator: "\n").map { $0.prefix { $0 != "#" } }.joined().filter { !$0.isWhitespace }
    guard let bytes = [UInt8](hex: digits) else { throw GoldenError(message: "\(name).hex is not hexadecimal") }
    return bytes
}

struct GoldenError: Error {
    var message: String
}
