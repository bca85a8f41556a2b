import Control
import Foundation

/// # Installing
///
/// An installation is idempotent. Files with the same content are not written again, a newer program replaces the older
/// one in one step, and the service is restarted. The unit that holds workers is only started, so workers continue to
/// run.
struct Installer {
    let role: InstallRole
    let layout: InstallLayout
    let target: InstallTarget
    let starts: Bool
    let report: InstallReport

    /// `programs` is the directory that the programs are copied from.
    func perform(programs: String) throws(Failure) {
        try checkMachine(programs: programs)
        let plan = try InstallPlan(role, layout, programs: programs)
        try target.makeRoot()
        try write(plan)
        guard target.isMachine else { return }
        try activate()
    }

    /// Refuses an installation that would not work, or that would break another one.
    private func checkMachine(programs: String) throws(Failure) {
        let paths: [String] = role.programs.map { "\(programs)/\($0)" }
        let missing = paths.filter { access($0, X_OK) != 0 }
        guard missing.isEmpty else {
            throw Failure(
                .usage, missing.map { "\($0) is missing; all programs must be in the directory of this one" })
        }
        try DpkgPackages(target).check(InstallRole.allCases.map(\.package))
        guard target.isMachine else { return }
        for home in ["/home/", "/root/", "/run/", "/tmp/", "/var/tmp/"] where "\(layout.prefix)/".hasPrefix(home) {
            throw Failure(
                .usage,
                "--prefix: the units cannot see \(layout.prefix) (ProtectHome=, PrivateTmp=); use /usr/local or /opt")
        }
        guard geteuid() == 0 else {
            throw Failure(.refused, "root is needed to write to \(layout.prefix) and /etc; run it with sudo")
        }
        for program in role.programs where Installer.needsToolchain("\(programs)/\(program)") {
            throw Failure(
                .usage, "\(programs)/\(program) needs the libraries of a Swift toolchain; install a release build")
        }
    }

    /// A debug build is linked with the toolchain's shared libraries, which are not installed with it.
    private static func needsToolchain(_ program: String) -> Bool {
        guard let data = try? Data(contentsOf: URL(filePath: program), options: .mappedIfSafe) else { return false }
        // In parts, because this program itself is searched for this text.
        let name = ["libswiftCore", "so\0"].joined(separator: ".")
        return data.range(of: Data(name.utf8)) != nil
    }

    private func write(_ plan: InstallPlan) throws(Failure) {
        var manifest = InstallManifest()
        if let older = target.read(layout.manifest(role)) {
            // A file that this version no longer has is removed with the rest.
            manifest.keep(from: InstallManifest(older))
        }
        for file in plan.files {
            try target.makeParents(of: file.path).forEach { manifest.add(directory: $0) }
            manifest.add(file: file.path)
            if file.isConfiguration, target.exists(file.path) {
                report.step("kept", target.real(file.path))
            } else if target.holds(file) {
                report.step("unchanged", target.real(file.path))
            } else {
                let isNew = !target.exists(file.path)
                try target.write(file)
                report.step(isNew ? "wrote" : "updated", target.real(file.path))
            }
        }
        let path = layout.manifest(role)
        try target.makeParents(of: path).forEach { manifest.add(directory: $0) }
        manifest.add(file: path)
        try target.write(InstallFile(path: path, content: .text(manifest.text)))
    }

    private func activate() throws(Failure) {
        let services = Services(report: report)
        if role == .controller { try services.run("systemd-sysusers", layout.systemUsers(role.package)) }
        if Subprocess.find("systemctl") == nil {
            return report.step(
                "skipped", "services", note: "this machine has no systemd; start \(role.daemon) yourself")
        }
        try services.run("systemd-tmpfiles", "--create", layout.temporaryFiles(role.package))
        let isRunning = Services.isRunning
        if isRunning { try services.run("systemctl", "daemon-reload") }
        for unit in role.services { try services.run("systemctl", "enable", "--quiet", unit) }
        guard isRunning else {
            return report.step("skipped", "start", note: "systemd does not run here; the units start at the next boot")
        }
        guard starts else { return report.step("skipped", "start", note: "--no-start") }
        if let unit = role.lastingService { try services.run("systemctl", "start", unit) }
        try services.run("systemctl", "restart", role.service)
    }
}

/// Debian's packages of the same programs, which apt alone should change.
struct DpkgPackages {
    private let target: InstallTarget

    init(_ target: InstallTarget) { self.target = target }

    func check(_ packages: [String]) throws(Failure) {
        guard Subprocess.find("dpkg-query") != nil else { return }
        let query = ["dpkg-query", "--admindir=\(target.real("/var/lib/dpkg"))", "-W", "-f=${db:Status-Status}"]
        for package in packages {
            // A package that was removed and not purged has the status config-files.
            let result = try Subprocess.run(query + [package])
            guard result.status == 0, result.output != "config-files", result.output != "not-installed" else {
                continue
            }
            throw Failure(
                .refused,
                "\(package) is installed as a Debian package: update it with apt, or remove it with 'apt remove'"
            )
        }
    }
}
