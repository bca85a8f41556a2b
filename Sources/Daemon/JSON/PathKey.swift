import Base

/// A name or an index in the path to a value.
struct PathKey: CodingKey {
    private(set) var stringValue: String
    private(set) var intValue: Int?

    init(_ name: String) { stringValue = name }
    init(_ place: Int) {
        stringValue = String(place)
        intValue = place
    }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { self.init(intValue) }
}

func pathText(_ path: [any CodingKey]) -> String {
    var text = ""
    for key in path {
        if let place = key.intValue {
            text += "[\(place)]"
        } else {
            text += (text.isEmpty ? "" : ".") + key.stringValue
        }
    }
    return text
}
