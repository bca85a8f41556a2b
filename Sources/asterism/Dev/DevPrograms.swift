import Control
import Foundation

/// Where the programs of a fleet are: next to this one, as they are built and installed together.
struct DevPrograms {
    var controller: String
    var agent: String
    var shim: String

    static func inOwnDirectory() throws(Failure) -> DevPrograms {
        let folder = try OwnProgram.directory()
        let paths = ["asterism-controller", "asterismd", "asterism-shim"].map { "\(folder)/\($0)" }
        let missing = paths.filter { access($0, X_OK) != 0 }
        guard missing.isEmpty else {
            throw Failure(.usage, missing.map { "\($0) is missing; all programs must be in the directory of this one" })
        }
        return DevPrograms(controller: paths[0], agent: paths[1], shim: paths[2])
    }
}
