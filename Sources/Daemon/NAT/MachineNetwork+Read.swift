import Base
package import Control

extension MachineNetwork {
    /// This machine's network. `pod` is what was determined when the program started; `overlay` is the overlay's interface.
    package static func read(pod: Pod?, overlay: String?, root: String = "") -> MachineNetwork {
        var interfaces: [NetcheckView.Interface] = []
        for (name, _, address) in LocalAddresses.named() {
            if let index = interfaces.firstIndex(where: { $0.name == name }) {
                interfaces[index].addresses.append(address)
            } else {
                interfaces.append(
                    NetcheckView.Interface(name: name, addresses: [address], isOverlay: name == overlay))
            }
        }
        let gateway = DefaultGateway.read(root: root).map {
            NetcheckView.Gateway(address: $0.gateway, interface: $0.interface)
        }
        return MachineNetwork(interfaces: interfaces, gateway4: gateway, pod: pod)
    }
}

extension MachineNetwork.Pod {
    /// `nil` outside of Kubernetes. Each pod has the API server's address in its environment, unless it was started without
    /// one; each has its service account's namespace in a file, unless that is not mounted. Either of them shows that it is a
    /// pod.
    package init?(_ environment: (String) -> String?, root: String = "") {
        let path = "\(root)/var/run/secrets/kubernetes.io/serviceaccount/namespace"
        let file = (try? Files.read(path, limit: 4096)) ?? nil
        let namespace = file.map { bytes in
            String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }, as: UTF8.self)
        }
        let host = environment("KUBERNETES_SERVICE_HOST") ?? ""
        guard namespace != nil || !host.isEmpty else { return nil }
        let name = environment("HOSTNAME") ?? ""
        self.init(namespace: namespace.flatMap { $0.isEmpty ? nil : $0 }, name: name.isEmpty ? nil : name)
    }
}
