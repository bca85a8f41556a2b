import Control
import Foundation

/// The file of this program. The other programs lie in its directory, as they are built and installed together.
enum OwnProgram {
    static func directory() throws(Failure) -> String {
        // The buffer is not empty, so it has an address.
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        guard count > 0 else { throw Failure(.refused, "cannot find this program's own file") }
        let own = String(decoding: buffer[..<count], as: UTF8.self)
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
    }
}
