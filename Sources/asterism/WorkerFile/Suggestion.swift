import Base

/// Suggestions for an unknown word.
enum Suggestion {
    /// Names of other systems for the same keys.
    private static let synonyms = [
        "args": "command", "cmd": "command", "exec": "command", "entrypoint": "command",
        "env": "environment", "cwd": "workingDirectory", "workdir": "workingDirectory", "dir": "workingDirectory",
        "mem": "memory", "memoryBytes": "memory", "cpus": "cpu", "cores": "cpu", "pids": "processes",
        "nofile": "openFiles",
        "resources": "limits", "restartPolicy": "restart", "mode": "policy", "retries": "maxRestarts",
        "timeout": "grace", "gracePeriod": "grace", "host": "node", "onfailure": "on-failure", "size": "maxSize",
        "files": "maxFiles",
    ]

    /// The known word that is nearest, if one is near: at most a third of its letters differ.
    static func nearest(to word: String, in known: [String]) -> String? {
        if let meant = synonyms[word], known.contains(meant) { return meant }
        return EditDistance.nearest(to: word, in: known)
    }
}
