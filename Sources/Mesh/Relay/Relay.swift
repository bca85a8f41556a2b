package import Base
package import Noise
package import Wire

/// # A relay
///
/// A beacon relays datagrams between nodes that have no direct path to each other. Each node that needs a relay has an
/// *allocation* here: a number, which it gets in its session, and the address that it has proven to have (`BindKey`). A
/// datagram that names two allocations, and comes from where the one is bound, goes to where the other is bound. The relay
/// keeps no state for pairs, decrypts nothing, and changes one byte.
///
/// A node that cannot reach this relay has its allocation here over another relay, and datagrams to it are sent there with
/// that relay's header before them. A datagram passes at most two relays: of two allocations at most one is of this kind, and
/// between the two, datagrams for relays are not carried. So no node can make a loop.
///
/// The relay sends nothing to an address that has not proven that it receives: an address that is not bound gets at most a
/// challenge, which is shorter than the datagram that caused it. Each tenant has a limit in bytes per second, so that one
/// cannot use the share of others.
package struct Relay: ~Copyable {
    /// The decision about a datagram of kind 6.
    package enum Verdict: Hashable, Sendable {
        /// It is forwarded there, as kind 7.
        case forward(PathAddress)
        /// It is dropped, and its sender gets this challenge to bind.
        case challenge([UInt8])
        case dropped(DropReason)
    }

    private final class Allocation {
        let number: UInt32
        let tenant: String
        let key: BindKey
        private(set) var address: PathAddress?
        private(set) var boundAt = Instant.origin
        /// Where it was bound before, and how long datagrams from there are still taken.
        private var former: (address: PathAddress, until: Instant)?
        /// The number of the last bind that was accepted.
        var bind: UInt64 = 0
        /// When the last unsolicited challenge was sent.
        var challenged = Instant.origin

        init(number: UInt32, tenant: String, key: BindKey) {
            self.number = number
            self.tenant = tenant
            self.key = key
        }

        func bind(to address: PathAddress, now: Instant) {
            if let old = self.address, old != address, isBound(now) {
                former = (old, now + Relay.formerLife)
            }
            self.address = address
            boundAt = now
        }

        func isBound(_ now: Instant) -> Bool { address != nil && now - boundAt < Relay.bindLife }

        /// Whether a datagram from there is the node's.
        func accepts(_ remote: PathAddress, now: Instant) -> Bool {
            guard isBound(now) else { return false }
            return address == remote || former.map { $0.address == remote && now < $0.until } ?? false
        }
    }

    /// A bind is valid for so long; nodes renew it after a third of that.
    package static let bindLife = Interval.seconds(180)
    /// A node sends from its former address until the answer to its bind arrives, and what it sent is still on the way then. The
    /// time is long enough for three binds whose answers are lost. Nothing is forwarded to that address.
    private static let formerLife = Interval.seconds(3)
    /// The minimum between two unsolicited challenges.
    private static let challengeEvery = Interval.milliseconds(20)

    private var allocations = Table<UInt32, Allocation>()
    private var allocationOfNode = Table<NodeID, UInt32>()
    private var challenger: BindChallenger
    private var generator: KeyGenerator
    private var shares: TenantShares
    private let limit: Int
    package private(set) var forwardedDatagrams = 0
    package private(set) var forwardedBytes = 0

    /// `bytesPerSecond`: a tenant's share.
    package init(
        using generator: inout KeyGenerator, bytesPerSecond: Int64, allocations limit: Int = Limits.relayAllocations,
        now: Instant
    ) {
        self.generator = generator.split()
        challenger = BindChallenger(using: &self.generator, now: now)
        shares = TenantShares(bytesPerSecond: bytesPerSecond)
        self.limit = limit
    }

    package var allocationCount: Int { allocations.count }

    // MARK: - Allocations

    /// A new allocation for a node, if there is room; returns the message for the node, with a challenge for its address. A
    /// node asks only when it has no allocation. So one that it has bound is from a former life, and an attacker may have
    /// recorded its binds.
    package mutating func allocation(
        for node: NodeID, tenant: String, at address: PathAddress, now: Instant
    ) -> (number: UInt32, key: [UInt8], challenge: [UInt8])? {
        challenger.renew(using: &generator, now: now)
        let allocation: Allocation
        if let number = allocationOfNode[node], let known = allocations[number], known.tenant == tenant,
            known.bind == 0
        {
            allocation = known
        } else {
            release(node)
            guard allocations.count < limit else { return nil }
            var number = generator.uint32()
            while number == 0 || allocations[number] != nil { number = generator.uint32() }
            allocation = Allocation(number: number, tenant: tenant, key: BindKey(using: &generator))
            allocations[number] = allocation
            allocationOfNode[node] = number
        }
        return (allocation.number, allocation.key.bytes, challenge(allocation, at: address))
    }

    /// The node's session is over.
    package mutating func release(_ node: NodeID) {
        guard let number = allocationOfNode[node] else { return }
        allocations.remove(number)
        allocationOfNode.remove(node)
    }

    // MARK: - Binds

    /// The answer to a datagram of kind 8; `nil` for one that was not made with its allocation's key, or that is a
    /// repetition.
    package mutating func bind(_ datagram: [UInt8], from remote: PathAddress, now: Instant) -> [UInt8]? {
        challenger.renew(using: &generator, now: now)
        guard let bind = BindMessage(datagram), let allocation = allocations[bind.allocation],
            allocation.key.isValid(datagram),
            bind.number > allocation.bind
        else {
            return nil
        }
        guard remote.via == nil else { return nil }
        guard
            challenger.knows(
                bind.challenge, allocation: allocation.number, at: remote.remote, allocations: remote.between)
        else {
            return BindMessage(
                allocation: allocation.number, number: bind.number, challenge: challenge(allocation, at: remote)
            ).encoded(.bindAnswer, key: allocation.key)
        }
        allocation.bind = bind.number
        allocation.bind(to: remote, now: now)
        return BindMessage(allocation: allocation.number, number: bind.number, challenge: BindMessage.none)
            .encoded(.bindAnswer, key: allocation.key)
    }

    // MARK: - Datagrams

    private func challenge(_ allocation: Allocation, at address: PathAddress) -> [UInt8] {
        challenger.challenge(allocation: allocation.number, at: address.remote, allocations: address.between)
    }

    /// What to do with a datagram of `count` bytes. `allocations` are the sender's; `isForRelays`: its content is for a relay
    /// and not for a node.
    package mutating func carry(
        _ pair: AllocationPair, count: Int, isForRelays: Bool = false, from remote: PathAddress, now: Instant
    ) -> Verdict {
        guard let near = allocations[pair.near] else { return .dropped(.relayUnknownSender) }
        guard near.accepts(remote, now: now) else {
            guard now - near.challenged >= Relay.challengeEvery, count >= DatagramHeader.bindLength else {
                return .dropped(.relayUnknownSender)
            }
            near.challenged = now
            challenger.renew(using: &generator, now: now)
            return .challenge(
                BindMessage(allocation: near.number, number: 0, challenge: challenge(near, at: remote))
                    .encoded(.bindAnswer, key: near.key))
        }
        guard let far = allocations[pair.far] else { return .dropped(.relayUnknownAllocation) }
        guard let address = far.address, far.isBound(now) else { return .dropped(.relayUnbound) }
        // There is a second relay in the path, or this is the second one.
        let isFar = remote.isRelayed || address.isRelayed
        guard !isFar || (!isForRelays && remote.isRelayed != address.isRelayed) else {
            return .dropped(.relayTooFar)
        }
        guard shares.take(count, of: near.tenant, now: now) else { return .dropped(.relayOverRate) }
        forwardedDatagrams += 1
        forwardedBytes += count
        return .forward(address)
    }

    /// All figures with their names, in a fixed order.
    package var counters: [(name: String, count: Int)] {
        [
            ("relay.allocations", allocations.count), ("relay.forwardedDatagrams", forwardedDatagrams),
            ("relay.forwardedBytes", forwardedBytes),
        ]
    }
}

extension PathAddress {
    /// The allocations at an intermediate relay, for a challenge.
    fileprivate var between: [UInt32] { allocations.map { [$0.near, $0.far] } ?? [] }
}
