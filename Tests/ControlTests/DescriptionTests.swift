import Base
import Control
import Mesh
import Testing
import Wire

/// A node's name, site and labels change after it has joined: they are put into its certificate, or the node is informed why
/// not.
@Suite struct DescriptionTests {
    private func joined(_ description: NodeDescription? = nil) -> TestPair {
        let pair = TestPair()
        pair.description = description
        pair.startAgent()
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("not let in")
            return pair
        }
        pair.run(.seconds(2))
        return pair
    }

    private func restart(_ pair: TestPair, _ description: NodeDescription) {
        pair.description = description
        pair.startAgent()
        pair.run(.seconds(4))
    }

    @Test func `another label, site and name at the next start are put into the certificate`() {
        let pair = joined(NodeDescription(site: "here", labels: [Label("zone", "a")]))
        #expect(pair.node?.labels == [Label("zone", "a")])
        let id = pair.node?.id
        restart(pair, NodeDescription(name: "beta", site: "there", labels: [Label("rack", "7"), Label("zone", "b")]))
        #expect(pair.node?.id == id)
        #expect(pair.node?.name == "beta" && pair.node?.site == "there")
        #expect(pair.node?.labels == [Label("rack", "7"), Label("zone", "b")])
        #expect(pair.status?.name == "beta")
        #expect(pair.events.contains { $0.kind == .nodeChanged && $0.message.contains("zone=a -> rack=7,zone=b") })
        #expect(pair.notices.contains { if case .describedAs = $0 { true } else { false } })
        // Once: what is as it should be is not asked for again.
        let serials = pair.store.counters.serial
        restart(pair, NodeDescription(name: "beta", site: "there", labels: [Label("rack", "7"), Label("zone", "b")]))
        #expect(pair.store.counters.serial == serials)
        restart(pair, NodeDescription(name: "beta"))
        #expect(pair.node?.labels == [] && pair.node?.site == "")
    }

    @Test func `the host's name does not rename a member, a chosen name does`() {
        let pair = joined(NodeDescription(name: "chosen"))
        restart(pair, NodeDescription())
        #expect(pair.node?.name == "chosen")
    }

    @Test func `labels change while the agent runs`() {
        let pair = joined()
        pair.notify(.reconfigured(NodeDescription(labels: [Label("app", "store")])))
        pair.run(.seconds(1))
        #expect(pair.node?.labels == [Label("app", "store")])
        pair.notify(.reconfigured(NodeDescription()))
        pair.run(.seconds(1))
        #expect(pair.node?.labels == [])
    }

    @Test func `a name that another node has is refused, with the reason in notices, status and events`() {
        let pair = joined()
        pair.replaceAgent(name: "beta")
        _ = pair.join(pair.createToken())
        pair.run(.seconds(2))
        restart(pair, NodeDescription(name: "alpha"))
        #expect(pair.status?.name == "beta")
        #expect(pair.status?.descriptionProblem?.contains("nameTaken") ?? false)
        #expect(pair.notices.count { if case .descriptionRefused = $0 { true } else { false } } == 1)
        #expect(pair.events.contains { $0.kind == .nodeRefused && $0.nodeName == "beta" })
        restart(pair, NodeDescription(name: "beta"))
        #expect(pair.status?.descriptionProblem == nil)
    }

    @Test func `labels beyond the limits are refused and not cut`() {
        let pair = joined()
        let long = Label("a", String(repeating: "x", count: Limits.labelBytes + 1))
        pair.notify(.reconfigured(NodeDescription(labels: [long])))
        pair.run(.seconds(1))
        #expect(pair.node?.labels == [])
        #expect(pair.status?.descriptionProblem?.contains("label 'a'") ?? false)
        pair.notify(.reconfigured(NodeDescription(labels: [Label("a", "1"), Label("a", "2")])))
        pair.run(.seconds(1))
        #expect(pair.status?.descriptionProblem?.contains("each name once") ?? false)
        #expect(pair.node?.labels == [])
    }

    @Test func `a label that is wrong is refused at enrolment too`() {
        let pair = TestPair()
        pair.description = NodeDescription(labels: [Label("", "x")])
        pair.startAgent()
        guard case .failure(let error)? = pair.join(pair.createToken()) else {
            Issue.record("let in")
            return
        }
        #expect(error.message.contains("badLabel"))
    }

    /// What the controller signs, every node and the controller's own store must be able to read.
    @Test func `the longest name, site and labels that are accepted fit into a certificate`() throws {
        let name = String(repeating: "n", count: Limits.nameBytes)
        // Five of 2 + 1 + 117 bytes.
        var labels = (1...4).map {
            Label("\($0)" + String(repeating: "k", count: 54), String(repeating: "v", count: 63))
        }
        labels.append(Label("5" + String(repeating: "k", count: 54), String(repeating: "v", count: 63)))
        let bytes = labels.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 2 }
        #expect(bytes == Limits.labelsBytes)
        let pair = joined()
        pair.notify(.reconfigured(NodeDescription(name: name, site: name, labels: labels)))
        pair.run(.seconds(1))
        #expect(pair.node?.labels == labels && pair.node?.name == name && pair.node?.site == name)
        #expect(pair.status?.name == name)
        let kept = try #require(pair.store.nodes.first).certificate.encoded()
        #expect(kept.count <= Limits.certificateBytes)
        // One byte more is refused, by the node and by a controller that is asked all the same.
        labels[4] = Label("5" + String(repeating: "k", count: 55), labels[4].value)
        pair.notify(.reconfigured(NodeDescription(name: name, site: name, labels: labels)))
        pair.run(.seconds(1))
        #expect(pair.status?.descriptionProblem?.contains("600") ?? false)
        #expect(pair.store.nodes.first?.certificate.encoded() == kept)
    }
}
