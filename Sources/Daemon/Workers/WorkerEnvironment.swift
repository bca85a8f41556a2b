import Base
import CLinux
import EventLoop
import Glibc
import ShimProtocol
import Wire

enum WorkerEnvironment {
    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// All that a worker sees: its own variables, and PATH, HOME and the marker.
    static func complete(_ spec: WorkerSpec, home: String, marker: String) -> [String] {
        var all = spec.environment.filter { $0.name != WorkerMarker.variable && $0.name != WorkerMarker.shimVariable }
        func provide(_ name: String, _ value: String) {
            if !all.contains(where: { $0.name == name }) { all.append(EnvironmentVariable(name, value)) }
        }
        provide("PATH", defaultPath)
        provide("HOME", home)
        provide(WorkerMarker.variable, marker)
        return all.map { "\($0.name)=\($0.value)" }
    }
}
