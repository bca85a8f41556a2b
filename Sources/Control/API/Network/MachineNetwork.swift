package import Base

/// What the shell has read of its machine.
package struct MachineNetwork: Hashable, Sendable {
    package struct Pod: Hashable, Sendable {
        package private(set) var namespace: String?
        package var name: String?

        package init(namespace: String?, name: String?) {
            self.namespace = namespace
            self.name = name
        }
    }

    package let interfaces: [NetcheckView.Interface]
    package private(set) var gateway4: NetcheckView.Gateway?
    /// `nil` where this is no pod of Kubernetes.
    package private(set) var pod: Pod?

    package init(interfaces: [NetcheckView.Interface], gateway4: NetcheckView.Gateway? = nil, pod: Pod? = nil) {
        self.interfaces = interfaces
        self.gateway4 = gateway4
        self.pod = pod
    }

    /// Not the overlay's: those lead through the mesh.
    package var addresses: [IPAddress] { interfaces.filter { !$0.isOverlay }.flatMap(\.addresses) }
}
