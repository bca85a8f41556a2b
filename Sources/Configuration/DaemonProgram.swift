/// A daemon, as far as its configuration is concerned.
package struct DaemonProgram: Sendable {
    package let name: String
    /// The file that is read where `--config` names none.
    package let defaultFile: String
    package let keys: [ConfigurationKey]
    /// Options of the command line that have no key, and what to do instead.
    package let commandOnly: [String: String]

    package func key(_ name: String) -> ConfigurationKey? { keys.first { $0.name == name } }

    private static let commands = [
        "config": "the command line names the file", "check-config": "it is for the command line",
        "print-config": "it is for the command line", "help": "it is for the command line",
        "version": "it is for the command line",
    ]

    package static let agent = DaemonProgram(
        name: "asterismd", defaultFile: "/etc/asterism/agent.yaml",
        keys: [
            ConfigurationKey("data", .text, "/var/lib/asterism"),
            ConfigurationKey("listen", .text, "0.0.0.0:7951"),
            ConfigurationKey("tcp-listen", .list),
            ConfigurationKey("socket", .text, "/run/asterism/agent.sock"),
            ConfigurationKey("name", note: "the host's name", isReloaded: true),
            ConfigurationKey("site", note: "none", isReloaded: true),
            ConfigurationKey("label", .labels, isReloaded: true),
            ConfigurationKey("join-token-file", note: "none"),
            ConfigurationKey("workers-cgroup", .text, "auto"),
            ConfigurationKey("accelerators", .text, "auto"),
            ConfigurationKey("overlay", .text, "auto"),
            ConfigurationKey("overlay-interface", .text, "asterism%d"),
            ConfigurationKey("overlay-offload", .text, "auto"),
            ConfigurationKey("data-plane-threads", .integer, "1"),
            ConfigurationKey("allow", .list, isReloaded: true),
            ConfigurationKey("bench", .text, "auto"),
            ConfigurationKey("tool", note: "asterism next to the program"),
            ConfigurationKey("stun", .list, isReloaded: true),
            ConfigurationKey("port-mapping", .text, "auto"),
            ConfigurationKey("crypto-accelerate", .text, "auto"),
            ConfigurationKey("debug-rekey-seconds", .integer, isHidden: true),
            ConfigurationKey("debug-clock-offset-seconds", .integer, isHidden: true),
            ConfigurationKey("shim", note: "asterism-shim next to the program"),
            ConfigurationKey("log-level", .text, "info", isReloaded: true),
        ],
        commandOnly: commands.merging([
            "join-token":
                "a token is a secret; put it into a file that only root may read, and name it with 'join-token-file'"
        ]) { $1 })

    package static let controller = DaemonProgram(
        name: "asterism-controller", defaultFile: "/etc/asterism/controller.yaml",
        keys: [
            ConfigurationKey("data", .text, "/var/lib/asterism-controller"),
            ConfigurationKey("listen", .text, "0.0.0.0:7950"),
            ConfigurationKey("tcp-listen", .list, note: "the address of 'listen', over TCP"),
            ConfigurationKey(
                "advertise", .list, note: "the listening address, or those of this machine", isReloaded: true),
            ConfigurationKey("http", .text, "off"),
            ConfigurationKey("http-insecure", .flag, "false"),
            ConfigurationKey("socket", .text, "/run/asterism-controller/controller.sock"),
            ConfigurationKey("name", note: "the host's name"),
            ConfigurationKey("overlay-network", note: "100.64.0.0/10, or the one in use"),
            ConfigurationKey("relay", .text, "on"),
            ConfigurationKey("debug-clock-offset-seconds", .integer, isHidden: true),
            ConfigurationKey("log-level", .text, "info", isReloaded: true),
        ],
        commandOnly: commands.merging([
            "new-fleet": "it is for one start only; give it on the command line"
        ]) { $1 })
}
