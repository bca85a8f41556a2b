import Wire

// How descriptions of nodes differ, and what of them no certificate can hold.

extension NodeDescription {
    /// `labels: zone=a -> zone=b, rack=3`, for the event log.
    func change(from old: NodeDescription) -> String {
        func text(_ labels: [Label]) -> String {
            labels.isEmpty ? "none" : labels.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        }
        var parts: [String] = []
        if name != old.name { parts.append("name: \(old.name ?? "") -> \(name ?? "")") }
        if site != old.site {
            parts.append("site: \(old.site.isEmpty ? "none" : old.site) -> \(site.isEmpty ? "none" : site)")
        }
        if labels != old.labels { parts.append("labels: \(text(old.labels)) -> \(text(labels))") }
        return parts.joined(separator: "; ")
    }

    /// Why no certificate can hold these labels; `nil` where one can. They are sorted by name.
    var labelProblem: String? {
        let bad = labels.first {
            !(1...Limits.labelBytes).contains($0.name.utf8.count) || $0.value.utf8.count > Limits.labelBytes
        }
        if let bad { return "label '\(bad.name.prefix(63))': \(EnrolRefusal.badLabel.text)" }
        let bytes = labels.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 2 }
        if bytes > Limits.labelsBytes { return "labels: \(EnrolRefusal.badLabel.text)" }
        let isSorted = zip(labels, labels.dropFirst()).allSatisfy { $0.name < $1.name }
        return labels.count <= Limits.labels && isSorted ? nil : "labels: \(EnrolRefusal.badLabel.text)"
    }
}
