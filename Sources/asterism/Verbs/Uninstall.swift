import ArgumentParser

struct Uninstall: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Removes what 'asterism install' installed.",
        discussion: """
            It stops the services, and with an agent its workers. State in /var/lib and configuration in /etc/asterism \
            stay unless --purge is given. The user 'asterism' always stays.
            """)

    @Flag(help: "Print JSON: one line for each action.") var json = false
    @Argument(help: "What to remove: agent or controller.") var role: InstallRole
    @Option(help: ArgumentHelp("The directory that it was installed to.", valueName: "dir")) var prefix = "/usr/local"
    @Option(help: ArgumentHelp("Remove below this directory; nothing is stopped.", valueName: "dir")) var root: String?
    @Flag(help: "Remove state and configuration, too: the node's identity, or the fleet's database.") var purge = false

    func validate() throws {
        try InstallLayout.checkPrefix(prefix)
    }

    func run() throws {
        try Uninstaller(
            role: role, layout: InstallLayout(prefix: prefix), target: InstallTarget(root: root), purges: purge,
            report: InstallReport(isJSON: json)
        ).perform()
    }
}
