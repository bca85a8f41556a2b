import Base
import DequeModule
import Noise
import Wire

/// One computer of the fleet: its clocks, its disk, its workers, and the program that runs on it, if one does. Machine 0
/// is the controller's.
final class Machine {
    let index: Int
    let name: String
    let keySeed: Seed
    let nodeID: NodeID
    let host: SimulatedHost
    /// Enrolment token for the next start, as text.
    private(set) var token: String?
    /// It gets a good token.
    let isWelcome: Bool

    /// Draws for this machine only, so that the random choices of one machine do not depend on another's.
    var random: Random
    var clock: MachineClock
    var disk = MachineDisk()
    var timer = MachineTimer()
    var pause = MachinePause()

    private(set) var program: (any Program)?
    /// Rises with each start and each end of a program, so that events for an earlier life are recognised.
    private(set) var life: Int32 = 0
    /// No longer meant to run: it has left, or stays down.
    private(set) var isRetired = false

    /// Messages of the host that the program has not received yet.
    private var messages = Deque<SimulatedHost.Message>()
    private var lastMessageAt = Instant.origin
    /// Nothing from the machine can be received.
    private(set) var isSilenced = false
    /// When the controller last received anything from this machine.
    private(set) var lastReceived = Instant.origin

    init(index: Int, seed: Seed, bootedAt: Instant, isWelcome: Bool, mutation: Scenario.Mutation?) {
        self.index = index
        name = index == 0 ? "controller" : "node-\(index)"
        var random = Random(seed)
        keySeed = Seed(random.next(), random.next(), random.next(), random.next())
        self.random = random
        clock = MachineClock(bootedAt: bootedAt)
        var generator = KeyGenerator(keySeed)
        let key = generator.secretKey()
        nodeID = key.publicKey
        self.isWelcome = isWelcome
        host = SimulatedHost(machine: index, mutation: mutation)
    }

    var isUp: Bool { program != nil && pause.until == nil }
    /// The agent or the controller that runs here, if it does.
    var agent: AgentProcess? { program as? AgentProcess }
    var controller: ControllerProcess? { program as? ControllerProcess }

    func local(_ now: Instant) -> Instant { clock.local(now) }
    func wall(_ now: Instant) -> UnixTime { clock.wall(now) }

    // MARK: - The program's life

    func beginLife() { life += 1 }
    func run(_ program: any Program) { self.program = program }

    /// Discards everything that is in memory only.
    func clear() {
        program = nil
        life += 1
        _ = pause.end()
        timer.cancel()
        disk.forgetUnwritten()
        messages = []
    }

    func retire() { isRetired = true }

    // MARK: - What others do

    func giveToken(_ text: String) { token = text }
    func setSilenced(_ isSilenced: Bool) { self.isSilenced = isSilenced }
    func wasReceived(_ now: Instant) { lastReceived = now }

    /// Queues a message of the host. Returns when it arrives: not before the last one, since a shim's messages arrive in
    /// order.
    func queue(_ message: SimulatedHost.Message, at time: Instant) -> Instant {
        lastMessageAt = max(time, lastMessageAt)
        messages.append(message)
        return lastMessageAt
    }
    func nextMessage() -> SimulatedHost.Message? { messages.popFirst() }
}
