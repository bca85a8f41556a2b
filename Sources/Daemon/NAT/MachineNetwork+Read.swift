import Base
package import Control

extension MachineNetwork {
    /// This machine's network. `pod` is what was found out when the program started; `overlay` is the overlay's interface.
    package static func read(pod: Pod?, overlay: String?, root: String = "") -> MachineNetwork {
        var interfaces: [NetcheckView.Interface] = []
        for (name, address) in LocalAddresses.named() {
            if let index = interfaces.firstIndex(where: { $0.name == name }) {
                interfaces[index].addresses.append(address)
            } else {
                interfaces.append(
                    NetcheckView.Interface(name: name, addresses: [address], isOverlay: name == overlay))
            }
        }
        return MachineNetwork(interfaces: interfaces, gateway4: defaultGateway(root: root), pod: pod)
    }

    /// The IPv4 gateway of the default route with the least metric, from /proc/net/route (proc_net(5)); `nil` where there is
    /// none, or the route leads to a device without a gateway.
    package static func defaultGateway(root: String = "") -> NetcheckView.Gateway? {
        guard let bytes = (try? Files.read("\(root)/proc/net/route", limit: 1 << 20)) ?? nil else { return nil }
        var best: (metric: UInt64, gateway: NetcheckView.Gateway)?
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n").dropFirst() {
            let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
            guard fields.count >= 8, fields[1] == "00000000", fields[7] == "00000000",
                let flags = UInt32(fields[3], radix: 16), flags & Route.up != 0, flags & Route.gateway != 0,
                let gateway = UInt32(fields[2], radix: 16), let metric = UInt64(fields[6])
            else { continue }
            guard best.map({ metric < $0.metric }) ?? true else { continue }
            // The kernel prints the bytes of the address as they lie in memory, as a number of this machine.
            let place = NetcheckView.Gateway(address: .v4(UInt32(bigEndian: gateway)), interface: String(fields[0]))
            best = (metric, place)
        }
        return best?.gateway
    }

    /// RTF_UP and RTF_GATEWAY of <linux/route.h>.
    private enum Route {
        static let up: UInt32 = 1
        static let gateway: UInt32 = 2
    }
}

extension MachineNetwork.Pod {
    /// `nil` outside of Kubernetes. Each pod has the API server's address in its environment, unless it was started without
    /// one; each has its service account's namespace in a file, unless that is not mounted. Either says that it is a pod.
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
