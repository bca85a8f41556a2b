/// What somebody may have meant by a word that is not known.
enum Suggestion {
    /// What other systems call the same thing.
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
        let scored = known.map { (word: $0, distance: distance(word.lowercased(), $0.lowercased())) }
        guard let best = scored.min(by: { ($0.distance, $0.word) < ($1.distance, $1.word) }) else { return nil }
        return best.distance <= max(1, best.word.count / 3) ? best.word : nil
    }

    /// Levenshtein's distance, with neighbours that changed places counted once (optimal string alignment).
    static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.prefix(64)), b = Array(b.prefix(64))
        guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
        var older = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var row = [i] + [Int](repeating: 0, count: b.count)
            for j in 1...b.count {
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], older[j - 2] + 1) }
            }
            (older, last) = (last, row)
        }
        return last[b.count]
    }
}
