/// # What is installed
///
/// The one list of files of an installation. `asterism install` writes it to a machine, and the packages of
/// `systemd/build-deb` are made of the same list in a staging directory. Units and the like are embedded in this program
/// (`Files` holds links to `systemd/`). Manual pages, completions and the configuration file are generated from each
/// program's description of its options, so that no text is kept twice.
struct InstallPlan {
    let role: InstallRole
    let layout: InstallLayout
    let files: [InstallFile]

    /// `programs` is the directory of the built programs, which are run for their documentation.
    init(_ role: InstallRole, _ layout: InstallLayout, programs: String) throws(Failure) {
        self.role = role
        self.layout = layout
        var files = role.programs.map {
            InstallFile(path: layout.program($0), mode: 0o755, content: .copy("\(programs)/\($0)"))
        }
        files += InstallPlan.units(role, layout)
        for name in role.programs {
            files += try InstallPlan.documentation(name, role, layout, path: "\(programs)/\(name)")
        }
        self.files = files
    }

    private static func units(_ role: InstallRole, _ layout: InstallLayout) -> [InstallFile] {
        func text(_ bytes: [UInt8]) -> InstallFile.Content {
            .text(layout.adapted(String(decoding: bytes, as: UTF8.self)))
        }
        switch role {
        case .agent:
            return [
                InstallFile(
                    path: layout.helper("asterism-workers-keeper"), mode: 0o755,
                    content: text(PackageResources.asterism_workers_keeper)),
                InstallFile(
                    path: layout.unit("asterism-workers.service"),
                    content: text(PackageResources.asterism_workers_service)),
                InstallFile(
                    path: layout.unit("asterismd.service"), content: text(PackageResources.asterismd_service)),
                InstallFile(
                    path: layout.temporaryFiles(role.package),
                    content: text(PackageResources.asterism_agent_tmpfiles_conf)),
            ]
        case .controller:
            return [
                InstallFile(
                    path: layout.unit("asterism-controller.service"),
                    content: text(PackageResources.asterism_controller_service)),
                InstallFile(
                    path: layout.systemUsers(role.package),
                    content: text(PackageResources.asterism_controller_sysusers_conf)),
                InstallFile(
                    path: layout.temporaryFiles(role.package),
                    content: text(PackageResources.asterism_controller_tmpfiles_conf)),
                InstallFile(
                    path: layout.example(role.package, "tcp443.conf"),
                    content: text(PackageResources.asterism_controller_tcp443_conf)),
            ]
        }
    }

    /// The manual page and completions of a program; of the daemon its configuration file, too.
    private static func documentation(
        _ name: String, _ role: InstallRole, _ layout: InstallLayout, path: String
    ) throws(Failure) -> [InstallFile] {
        guard name != "asterism-shim" else {
            return [InstallFile(path: layout.manual(name, section: 8), content: .text(ManualPage.shim))]
        }
        let tool = try ToolInfo.of(path)
        let section = name == "asterism" ? 1 : 8
        var files = [
            InstallFile(
                path: layout.manual(name, section: section), content: .text(ManualPage.text(tool, section: section)))
        ]
        for shell in CompletionShellName.allCases {
            var script = try Subprocess.output([path, "--generate-completion-script", shell.rawValue])
            // The scripts are read by a shell and not run.
            if script.hasPrefix("#!"), let end = script.firstIndex(of: "\n") {
                script = String(script[end...].dropFirst())
            }
            files.append(InstallFile(path: layout.completion(name, shell), content: .text(script)))
        }
        if name == role.daemon {
            let text = ConfigurationTemplate.text(tool, service: role.daemon)
            files.append(InstallFile(path: role.configuration, content: .text(text), isConfiguration: true))
        }
        return files
    }
}

/// A file of an installation.
struct InstallFile {
    enum Content {
        case copy(String)
        case text(String)
    }
    /// Where it belongs on the machine, without `--root`.
    let path: String
    var mode: UInt16 = 0o644
    let content: Content
    /// It belongs to the administrator: it is written once, and only removed with `--purge`.
    var isConfiguration = false
}
