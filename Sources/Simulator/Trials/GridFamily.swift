/// Which of the two sites of a pair have IPv6 in addition to IPv4.
package enum GridFamily: String, CaseIterable, Sendable {
    case neither = "IPv4", left = "IPv6 left", right = "IPv6 right", both = "IPv6 both"

    package func sites(_ a: GridSite, _ b: GridSite) -> (Scenario.Site, Scenario.Site) {
        (self == .left || self == .both ? a.dualSite : a.site, self == .right || self == .both ? b.dualSite : b.site)
    }
}
