/// A value behind a reference, for a large part of a `~Copyable` type.
///
/// At each access the compiler checks the ownership of every field, those of nested structs included. The time of a build
/// grows with both numbers, and a reference counts as one field. The owner of a box is its only holder, so that the
/// value keeps the meaning of a value.
package final class Box<Value: ~Copyable> {
    package var value: Value

    package init(_ value: consuming Value) { self.value = value }
}
