import Control
import Foundation

/// Removes what `asterism install` wrote, by its manifest. State and configuration stay unless they are purged.
struct Uninstaller {
    let role: InstallRole
    let layout: InstallLayout
    let target: InstallTarget
    let purges: Bool
    let report: InstallReport

    func perform() throws(Failure) {
        try DpkgPackages(target).check([role.package])
        guard !target.isMachine || geteuid() == 0 else {
            throw Failure(.refused, "root is needed to remove files of \(layout.prefix) and /etc; run it with sudo")
        }
        let manifest = target.read(layout.manifest(role)).map(InstallManifest.init)
        let purged = purges ? ([role.configuration] + role.stateDirectories).filter(target.exists) : []
        guard manifest != nil || !purged.isEmpty else {
            throw Failure(
                .notFound,
                "\(target.real(layout.manifest(role))) is not there: nothing was installed to \(layout.prefix); "
                    + "name another prefix with --prefix")
        }
        if let manifest { try remove(manifest) }
        for path in purged { try purge(path) }
        if !purges {
            for path in [role.configuration] + role.stateDirectories where target.exists(path) {
                report.step("kept", target.real(path))
            }
        } else {
            // Shared with the other role; it stays while it holds anything.
            rmdir(target.real("/etc/asterism"))
        }
    }

    private func remove(_ manifest: InstallManifest) throws(Failure) {
        let services = Services(report: report)
        let hasSystemd = target.isMachine && Subprocess.find("systemctl") != nil
        if hasSystemd {
            // The agent first, so that it does not see its workers end and start them again.
            for unit in role.services.reversed() where Services.isRunning {
                try services.run("systemctl", "stop", unit)
            }
            for unit in role.services { try services.run("systemctl", "disable", "--quiet", unit) }
        }
        let otherPath = layout.manifest(role == .agent ? .controller : .agent)
        var other = target.read(otherPath).map(InstallManifest.init)
        for path in manifest.files where path != role.configuration && target.exists(path) {
            if let other, other.files.contains(path) { continue }
            guard unlink(target.real(path)) == 0 else { throw target.failure(path) }
            report.step("removed", target.real(path))
        }
        for path in manifest.directories {
            if rmdir(target.real(path)) == 0 {
                report.step("removed", target.real(path) + "/")
            } else {
                // The other role's files are in it, so that role removes it.
                other?.add(directory: path)
            }
        }
        if let other { try target.write(InstallFile(path: otherPath, content: .text(other.text))) }
        if hasSystemd, Services.isRunning { try services.run("systemctl", "daemon-reload") }
    }

    private func purge(_ path: String) throws(Failure) {
        do {
            try FileManager.default.removeItem(atPath: target.real(path))
        } catch {
            throw Failure(.refused, "\(target.real(path)): cannot be removed: \(error.localizedDescription)")
        }
        report.step("removed", target.real(path))
    }
}
