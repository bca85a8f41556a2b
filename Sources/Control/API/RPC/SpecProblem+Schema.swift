package import Wire

extension SpecProblem: SchemaDescribed {
    package static let schema = Schema.object(
        "Problem",
        ["field": .text, "message": .text])
}
