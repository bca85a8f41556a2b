import ArgumentParser

/// Where files of each kind belong below a prefix.
///
/// systemd reads units, sysusers.d and tmpfiles.d below /usr/lib and /usr/local/lib (systemd.unit(5), sysusers.d(5),
/// tmpfiles.d(5)). For any other prefix they are written to /etc, which it always reads.
struct InstallLayout {
    /// An absolute path without a slash at its end.
    let prefix: String

    init(prefix: String) {
        self.prefix = String(prefix.reversed().drop { $0 == "/" }.reversed())
    }

    /// The prefix stands in units, where other characters would need quotes.
    static func checkPrefix(_ prefix: String) throws {
        let allowed = prefix.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "+"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard prefix.hasPrefix("/"), allowed, !"\(prefix)/".contains("/../") else {
            throw ValidationError("--prefix must be an absolute path of letters, digits and ._+-, not '\(prefix)'")
        }
    }

    private var isKnownToSystemd: Bool { prefix == "/usr" || prefix == "/usr/local" }
    private var systemd: String { isKnownToSystemd ? "\(prefix)/lib" : "/etc" }

    func program(_ name: String) -> String { "\(prefix)/bin/\(name)" }
    /// Programs that only units run.
    func helper(_ name: String) -> String { "\(prefix)/libexec/asterism/\(name)" }
    func unit(_ name: String) -> String { "\(systemd)/systemd/system/\(name)" }
    func systemUsers(_ name: String) -> String { "\(systemd)/sysusers.d/\(name).conf" }
    func temporaryFiles(_ name: String) -> String { "\(systemd)/tmpfiles.d/\(name).conf" }
    func manual(_ name: String, section: Int) -> String { "\(prefix)/share/man/man\(section)/\(name).\(section)" }
    func example(_ package: String, _ name: String) -> String { "\(prefix)/share/doc/\(package)/examples/\(name)" }
    func manifest(_ role: InstallRole) -> String { "\(prefix)/share/asterism/\(role.rawValue).manifest" }

    /// zsh's own directory for completions differs between what a distribution ships and what an administrator installs.
    func completion(_ program: String, _ shell: CompletionShellName) -> String {
        switch shell {
        case .bash: "\(prefix)/share/bash-completion/completions/\(program)"
        case .zsh: "\(prefix)/share/zsh/\(prefix == "/usr" ? "vendor-completions" : "site-functions")/_\(program)"
        case .fish: "\(prefix)/share/fish/vendor_completions.d/\(program).fish"
        }
    }

    /// A text that names programs of the prefix /usr, for this prefix.
    func adapted(_ text: String) -> String {
        guard prefix != "/usr" else { return text }
        return text.replacing("/usr/bin/asterism", with: "\(prefix)/bin/asterism")
            .replacing("/usr/libexec/asterism/", with: "\(prefix)/libexec/asterism/")
    }
}

/// The shells that ArgumentParser writes completions for.
enum CompletionShellName: String, CaseIterable {
    case bash, zsh, fish
}
