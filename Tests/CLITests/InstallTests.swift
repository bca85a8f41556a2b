import Foundation
import Testing

@testable import asterism

/// An installation in a staging directory: the list of files that packages are made of, too.
@Suite struct InstallTests {
    /// What the role wrote, by path without the staging directory; directories are left out.
    private static func files(_ root: String) throws -> [String: UInt16] {
        var found: [String: UInt16] = [:]
        let walk = try #require(FileManager.default.enumerator(atPath: root))
        for case let path as String in walk where walk.fileAttributes?[.type] as? FileAttributeType == .typeRegular {
            found["/" + path] = (walk.fileAttributes?[.posixPermissions] as? NSNumber)?.uint16Value
        }
        return found
    }

    private static func install(_ arguments: String..., root: String) throws -> CommandRun {
        let run = try CommandRun.run(["install"] + arguments + ["--root", root])
        try #require(run.status == 0, "\(run.errors)")
        return run
    }

    private static func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    @Test func `an agent has its programs, units, pages, completions and configuration below the prefix`() throws {
        let folder = try TemporaryFolder()
        _ = try InstallTests.install("agent", "--prefix", "/usr", root: folder.path("r"))
        let files = try InstallTests.files(folder.path("r"))
        let expected: [String: UInt16] = [
            "/usr/bin/asterism": 0o755, "/usr/bin/asterismd": 0o755, "/usr/bin/asterism-shim": 0o755,
            "/usr/libexec/asterism/asterism-workers-keeper": 0o755,
            "/usr/lib/systemd/system/asterismd.service": 0o644,
            "/usr/lib/systemd/system/asterism-workers.service": 0o644,
            "/usr/lib/tmpfiles.d/asterism-agent.conf": 0o644,
            "/usr/share/man/man1/asterism.1": 0o644, "/usr/share/man/man8/asterismd.8": 0o644,
            "/usr/share/man/man8/asterism-shim.8": 0o644,
            "/usr/share/bash-completion/completions/asterism": 0o644,
            "/usr/share/bash-completion/completions/asterismd": 0o644,
            "/usr/share/zsh/vendor-completions/_asterism": 0o644,
            "/usr/share/zsh/vendor-completions/_asterismd": 0o644,
            "/usr/share/fish/vendor_completions.d/asterism.fish": 0o644,
            "/usr/share/fish/vendor_completions.d/asterismd.fish": 0o644,
            "/etc/asterism/agent.yaml": 0o644, "/usr/share/asterism/agent.manifest": 0o644,
        ]
        #expect(files == expected)
    }

    @Test func `a controller has a user and directories in files that systemd reads`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path("r")
        _ = try InstallTests.install("controller", "--prefix", "/usr", root: root)
        let files = try InstallTests.files(root)
        #expect(files["/usr/lib/sysusers.d/asterism-controller.conf"] == 0o644)
        #expect(files["/usr/lib/tmpfiles.d/asterism-controller.conf"] == 0o644)
        #expect(files["/usr/bin/asterism"] == 0o755 && files["/usr/bin/asterism-controller"] == 0o755)
        #expect(files["/usr/bin/asterismd"] == nil)
        let users = try InstallTests.text("\(root)/usr/lib/sysusers.d/asterism-controller.conf")
        #expect(users.contains("\nu asterism - "))
        // Both names end in .conf, and hold lines of their own kind.
        let unit = try InstallTests.text("\(root)/usr/lib/systemd/system/asterism-controller.service")
        let user = unit.split(separator: "\n").first { $0.hasPrefix("User=") }
        #expect(user == "User=asterism")
    }

    @Test(arguments: [
        ("/usr/local", "/usr/local/lib"), ("/opt/asterism", "/etc"), ("/usr/local/", "/usr/local/lib"),
    ])
    func `units run the programs of their prefix, where systemd finds units`(_ prefix: String, _ lib: String) throws {
        let folder = try TemporaryFolder()
        let root = folder.path("r")
        _ = try InstallTests.install("agent", "--prefix", prefix, root: root)
        let place = prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix
        let agent = try InstallTests.text("\(root)\(lib)/systemd/system/asterismd.service")
        #expect(agent.contains("\nExecStart=\(place)/bin/asterismd\n"))
        let workers = try InstallTests.text("\(root)\(lib)/systemd/system/asterism-workers.service")
        #expect(workers.contains("\nExecStart=\(place)/libexec/asterism/asterism-workers-keeper keep\n"))
        #expect(!agent.contains("/usr/bin/asterism") && !workers.contains("/usr/libexec/"))
        #expect(FileManager.default.fileExists(atPath: "\(root)\(lib)/tmpfiles.d/asterism-agent.conf"))
        #expect(FileManager.default.isExecutableFile(atPath: "\(root)\(place)/bin/asterism-shim"))
    }

    @Test func `a second run writes what differs and keeps the configuration`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path("r")
        _ = try InstallTests.install("agent", root: root)
        let unit = "\(root)/usr/local/lib/systemd/system/asterismd.service"
        let original = try InstallTests.text(unit)
        try "[Unit]\n".write(toFile: unit, atomically: false, encoding: .utf8)
        try "site: here\n".write(toFile: "\(root)/etc/asterism/agent.yaml", atomically: false, encoding: .utf8)
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o700], ofItemAtPath: "\(root)/usr/local/bin/asterismd")
        let again = try InstallTests.install("agent", root: root)
        #expect(try InstallTests.text(unit) == original)
        #expect(try InstallTests.text("\(root)/etc/asterism/agent.yaml") == "site: here\n")
        let lines = again.lines.map { $0.split(separator: " ").map(String.init) }
        #expect(lines.allSatisfy { $0.count == 2 })
        func paths(_ action: String) -> Set<String> { Set(lines.filter { $0[0] == action }.map { $0[1] }) }
        #expect(paths("updated") == [unit, "\(root)/usr/local/bin/asterismd"])
        #expect(paths("kept") == ["\(root)/etc/asterism/agent.yaml"])
        #expect(paths("unchanged").contains("\(root)/usr/local/bin/asterism"))
        #expect(paths("wrote").isEmpty)
        #expect(try InstallTests.files(root)["/usr/local/bin/asterismd"] == 0o755)
    }

    @Test func `uninstalling removes what was installed and nothing else`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path("r")
        try FileManager.default.createDirectory(atPath: "\(root)/usr/local/bin", withIntermediateDirectories: true)
        _ = try folder.write("r/usr/local/bin/other", "not ours")
        _ = try InstallTests.install("agent", root: root)
        _ = try InstallTests.install("controller", root: root)
        // The command belongs to both.
        var run = try CommandRun.run(["uninstall", "agent", "--root", root])
        #expect(run.status == 0, "\(run.errors)")
        var files = try InstallTests.files(root)
        #expect(files["/usr/local/bin/asterism"] == 0o755 && files["/usr/local/bin/asterismd"] == nil)
        #expect(files["/usr/local/lib/systemd/system/asterismd.service"] == nil)
        #expect(files["/etc/asterism/agent.yaml"] == 0o644)
        #expect(run.output.contains("kept      \(root)/etc/asterism/agent.yaml\n"))
        #expect(run.output.contains("removed   \(root)/usr/local/bin/asterismd\n"))

        run = try CommandRun.run(["uninstall", "controller", "--root", root, "--purge"])
        #expect(run.status == 0, "\(run.errors)")
        files = try InstallTests.files(root)
        #expect(Set(files.keys) == ["/usr/local/bin/other", "/etc/asterism/agent.yaml"])
        // Directories that the installations made are gone with them, whichever made them.
        #expect(!FileManager.default.fileExists(atPath: "\(root)/usr/local/share"))
        #expect(!FileManager.default.fileExists(atPath: "\(root)/usr/local/lib"))

        // What was kept can be purged later.
        run = try CommandRun.run(["uninstall", "agent", "--root", root, "--purge"])
        #expect(run.status == 0, "\(run.errors)")
        #expect(!FileManager.default.fileExists(atPath: "\(root)/etc/asterism"))
        run = try CommandRun.run(["uninstall", "agent", "--root", root])
        #expect(run.status == 4)
        #expect(run.errors.contains("/usr/local/share/asterism/agent.manifest is not there"))
    }

    @Test func `purging removes state, and keeping keeps it`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path("r")
        _ = try InstallTests.install("controller", root: root)
        let state = "\(root)/var/lib/asterism-controller"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        _ = try folder.write("r/var/lib/asterism-controller/controller.sqlite", "rows")
        var run = try CommandRun.run(["uninstall", "controller", "--root", root])
        #expect(run.status == 0 && run.output.contains("kept      \(state)\n"))
        #expect(FileManager.default.fileExists(atPath: "\(state)/controller.sqlite"))
        run = try CommandRun.run(["uninstall", "controller", "--root", root, "--purge", "--json"])
        #expect(run.status == 0)
        let steps = try run.lines.map { try JSONDecoder().decode([String: String].self, from: Data($0.utf8)) }
        #expect(steps.contains(["action": "removed", "subject": state]))
        #expect(!FileManager.default.fileExists(atPath: state))
    }

    @Test(arguments: [
        (["install", "agent", "--token", "ast1-abc"], "every user can read the arguments"),
        (["install", "controller", "--token", "-"], "--token is for an agent"),
        (["install", "agent", "--token", "-", "--no-start"], "--token needs an agent that is started"),
        (["install", "agent", "--prefix", "usr"], "--prefix must be an absolute path"),
        (["install", "agent", "--prefix", "/opt/a b"], "--prefix must be an absolute path"),
        (["install", "agent", "--prefix", "/opt/../x"], "--prefix must be an absolute path"),
        (["install", "beacon"], "beacon"), (["uninstall", "agent", "--prefix", "usr"], "--prefix"),
    ])
    func `a wrong command line installs nothing`(_ arguments: [String], _ reason: String) throws {
        let run = try CommandRun.run(arguments)
        #expect(run.status == 2 && run.output.isEmpty)
        #expect(run.errors.contains(reason), "\(run.errors)")
    }

    @Test func `files of a Debian package are left to apt`() throws {
        guard Subprocess.find("dpkg-query") != nil else { return print("skipped: this system has no dpkg") }
        let folder = try TemporaryFolder()
        let root = folder.path("r")
        let database = "\(root)/var/lib/dpkg"
        try FileManager.default.createDirectory(atPath: "\(database)/info", withIntermediateDirectories: true)
        func record(_ status: String) throws {
            let text = """
                Package: asterism-agent
                Status: \(status)
                Maintainer: nobody
                Architecture: all
                Version: 1
                Description: a record


                """
            try text.write(toFile: "\(database)/status", atomically: true, encoding: .utf8)
        }
        try record("install ok installed")
        for verb in ["install", "uninstall"] {
            let run = try CommandRun.run([verb, "agent", "--root", root])
            #expect(run.status == 1 && run.output.isEmpty)
            #expect(run.errors.contains("asterism-agent is installed as a Debian package"), "\(run.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(root)/usr"))
        // A package that was removed and not purged has no programs.
        try record("deinstall ok config-files")
        _ = try InstallTests.install("agent", root: root)
    }

    @Test func `a directory that cannot be written to is named`() throws {
        let folder = try TemporaryFolder()
        _ = try folder.write("file", "")
        let run = try CommandRun.run(["install", "agent", "--root", folder.path("file")])
        #expect(run.status == 1)
        #expect(run.errors.contains(folder.path("file")))
    }
}
