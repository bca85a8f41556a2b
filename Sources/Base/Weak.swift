/// A weak reference in a box. A closure that holds the box does not keep the object alive, and the closure can be made
/// before the object is complete: the box is filled later.
package final class Weak<Object: AnyObject> {
    package weak var object: Object?

    package init(_ object: Object? = nil) { self.object = object }
}
