/// The part of YAML that a kind of file may use.
package enum YAMLDialect: Hashable, Sendable {
    /// A configuration needs neither anchors, aliases nor tags; each is refused with its place. So is a tab in the indentation.
    case configuration
    /// Aliases stand for the nodes that they name. Tags are ignored. A block scalar may hold tabs.
    case document
}
