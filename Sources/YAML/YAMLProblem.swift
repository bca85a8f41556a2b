/// What is wrong at a place of a file.
package struct YAMLProblem: Error, Hashable, Sendable {
    package let place: YAMLPlace
    package let message: String

    package init(_ place: YAMLPlace, _ message: String) {
        self.place = place
        self.message = message
    }

    package var line: Int { place.line }
}
