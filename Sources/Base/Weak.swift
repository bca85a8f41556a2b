/// A weak reference in a box. A closure that holds the box does not keep the object alive. The closure can be made
/// before the object is complete, since the box is filled later.
package final class Weak<Object: AnyObject> {
    package weak var object: Object?

    package init(_ object: Object? = nil) { self.object = object }
}
