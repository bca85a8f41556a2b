package import Base
import Control
import FoundationEssentials
import Wire

/// A type some of whose members may be left out in JSON, because there is a usual value for them.
package protocol HasUsualMembers: Codable {
    /// Those members, as JSON.
    static var usualMembers: [JSONMember] { get }
}

extension WorkerSpec: HasUsualMembers {
    package static let usualMembers = StrictJSON.members(of: WorkerSpec(command: []), required: ["command"])
}

extension RestartPolicy: HasUsualMembers {
    package static let usualMembers = StrictJSON.members(of: RestartPolicy())
}

extension StopPolicy: HasUsualMembers {
    package static let usualMembers = StrictJSON.members(of: StopPolicy())
}

extension LogPolicy: HasUsualMembers {
    package static let usualMembers = StrictJSON.members(of: LogPolicy())
}
