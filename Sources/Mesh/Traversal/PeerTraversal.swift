import Base
import Wire

/// # The network location of one peer
///
/// Both ends send each other their candidates, with a number that grows with each change, until the other confirms them.
/// From the peer's candidates follow its allocations at relays and its NAT mapping; then a trial begins, which ends when a
/// direct path answers or when nothing has helped (`Traversal.judgeTrial`).
struct PeerTraversal {
    // MARK: - This node's candidates

    /// The number of the candidates that were offered last; 0: none yet.
    private var offeredNumber: UInt64 = 0
    private var isOfferConfirmed = false
    private var offers = 0
    private var offerAt: Instant?

    private static let offersLimit = 6

    /// Whether the candidates of that number are to be offered now.
    mutating func isOfferDue(_ number: UInt64, now: Instant) -> Bool {
        if offeredNumber != number {
            offeredNumber = number
            isOfferConfirmed = false
            offers = 0
            offerAt = now
        }
        guard let at = offerAt, at <= now else { return false }
        offerAt = nil
        return !isOfferConfirmed && offers < PeerTraversal.offersLimit
    }

    /// They were offered; that is repeated unless the peer confirms them.
    mutating func offered(now: Instant) {
        offerAt = now + .milliseconds(250 << Int64(offers))
        offers += 1
    }

    /// The peer has received the candidates of that number. True the first time.
    mutating func confirmOffer(_ number: UInt64) -> Bool {
        guard number == offeredNumber, !isOfferConfirmed else { return false }
        isOfferConfirmed = true
        return true
    }

    // MARK: - The peer's candidates

    /// The number of the candidates that were received last.
    private(set) var remoteNumber: UInt64 = 0
    private(set) var mapping = NATMapping.unknown
    /// The peer's allocations at relays.
    private(set) var relayedAddresses: [RelayedAddress] = []

    /// Candidates have come. False if they are not newer than those before.
    mutating func received(_ number: UInt64, _ mapping: NATMapping) -> Bool {
        guard number > remoteNumber else { return false }
        remoteNumber = number
        self.mapping = mapping
        return true
    }

    mutating func setRelayPlaces(_ places: [RelayedAddress]) {
        relayedAddresses = Array(places.prefix(Limits.homeRelays))
    }

    // MARK: - Trial and port prediction

    private var trial: PunchTrial?
    /// When to predict ports, if nothing else has helped by then; and when that was done last.
    private var predictionAt: Instant?
    private var predictedAt: Instant?
    /// How often ports were predicted since the peer's candidates came.
    private(set) var predictionRound = 0
    /// Sockets other than the first that lead to this peer.
    private(set) var sockets: [UInt16] = []

    var isTrying: Bool { trial != nil }

    mutating func beginTrial(now: Instant) { if trial == nil { trial = PunchTrial(now: now) } }

    /// The trial, if it is over; a next one can begin then. `isDirect`: a direct path answers.
    mutating func endTrial(isDirect: Bool, isPredicting: Bool, now: Instant) -> PunchTrial? {
        if isPredicting { trial?.predicted() }
        guard let over = trial, isDirect || trialEnd(isPredicting).map({ $0 <= now }) ?? false else { return nil }
        trial = nil
        return over
    }

    /// Port prediction has deadlines of its own.
    private func trialEnd(_ isPredicting: Bool) -> Instant? {
        isPredicting || predictionAt != nil ? nil : trial?.until
    }

    /// New candidates: cancels planned predictions.
    mutating func resetPrediction() {
        predictionAt = nil
        predictionRound = 0
    }
    mutating func planPrediction(at time: Instant?) { predictionAt = time }

    /// The last prediction was so long ago that it may be repeated.
    func mayPredict(_ now: Instant) -> Bool { predictedAt.map { now - $0 >= PortPredictor.coolDown } ?? true }

    /// True once, when the planned time has come.
    mutating func isPredictionDue(_ now: Instant) -> Bool {
        guard let at = predictionAt, at <= now else { return false }
        predictionAt = nil
        return true
    }

    mutating func predictionBegan(now: Instant) { predictedAt = now }
    mutating func predictionFailed() { predictionRound += 1 }
    mutating func setSockets(_ sockets: [UInt16]) { self.sockets = sockets }

    // MARK: - Both

    /// The next time at which something is due. `isPredicting`: ports of this peer are being predicted.
    func deadline(isPredicting: Bool) -> Instant? {
        [offerAt, predictionAt, trialEnd(isPredicting)].compactMap { $0 }.min()
    }

    /// The peer has lost its state: it counts its candidates from 1 again, and has not received this node's.
    mutating func reset() {
        remoteNumber = 0
        offeredNumber = 0
    }
}
