import Base

/// Which members of a document were read, to report those that were not.
final class Strictness {
    private final class Opened {
        let members: [JSONMember]
        let path: [any CodingKey]
        var known: Set<String> = []

        init(_ members: [JSONMember], _ path: [any CodingKey]) {
            self.members = members
            self.path = path
        }
    }
    private var opened: [Opened] = []
    private var places: [String: Int] = [:]

    /// Watches an object; `accepts` returns whether its reader knows a name. A value of another kind is not watched.
    func open(_ value: JSONValue, at path: [any CodingKey], accepting accepts: (String) -> Bool = { _ in false }) {
        guard case .object(let members) = value else { return }
        let place = pathText(path)
        let object: Opened
        if let known = places[place] {
            object = opened[known]
        } else {
            object = Opened(members, path)
            places[place] = opened.count
            opened.append(object)
        }
        for member in members where accepts(member.name) { object.known.insert(member.name) }
    }

    func firstUnknown() -> StrictJSONError? {
        for object in opened {
            guard let member = object.members.first(where: { !object.known.contains($0.name) }) else { continue }
            return StrictJSONError(.unknown, path: pathText(object.path + [PathKey(member.name)]))
        }
        return nil
    }
}
