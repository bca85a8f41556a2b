/// The JSON-RPC name of one verb of a program.
package struct VerbMethod<List: VerbList>: RawRepresentable, Hashable, Sendable, CaseIterable {
    /// In the program's list.
    let index: Int

    private init(index: Int) { self.index = index }

    package init?(rawValue: String) {
        guard let index = List.methodNames.firstIndex(of: rawValue) else { return nil }
        self.index = index
    }

    package var rawValue: String { List.methodNames[index] }
    package static var allCases: [VerbMethod] { List.methodNames.indices.map { VerbMethod(index: $0) } }
}
