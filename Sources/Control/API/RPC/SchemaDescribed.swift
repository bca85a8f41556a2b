/// A type whose JSON is described.
package protocol SchemaDescribed {
    static var schema: Schema { get }
}

extension Array: SchemaDescribed where Element: SchemaDescribed {
    package static var schema: Schema { .list(Element.schema) }
}
