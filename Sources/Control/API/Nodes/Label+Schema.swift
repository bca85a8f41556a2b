package import Wire

extension Label: SchemaDescribed {
    package static let schema = Schema.object(
        "Label",
        ["name": .text, "value": .text])
}
