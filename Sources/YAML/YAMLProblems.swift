/// Everything that is wrong in a file, in the order in which it was found.
package struct YAMLProblems: Error, Hashable, Sendable {
    package let all: [YAMLProblem]

    package init(_ all: [YAMLProblem]) { self.all = all }
}
