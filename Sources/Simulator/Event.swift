/// A future event. All its values are small integers, because the heap moves an event many times.
package enum Event: Sendable {
    /// A datagram's slot in the pool; it carries its own destination.
    case arrival(datagram: Int32)
    /// A datagram is at the end of its route, before the receiver's line.
    case line(datagram: Int32, machine: Int32)
    /// What came through a TCP connection.
    case delivery(datagram: Int32, machine: Int32)
    /// A machine detects that a connection that it had made is over.
    case connectionLost(machine: Int32, server: Int32)
    /// A machine's program requested to be woken at this time.
    case wake(machine: Int32)
    /// A process of a worker executes a step of its script.
    case process(machine: Int32, process: Int32, step: ProcessStep)
    /// The disk reports that its write is durable.
    case written(machine: Int32, life: Int32)
    /// A message of the host for the program is ready.
    case informed(machine: Int32, life: Int32, message: Int32)
    /// A machine's program starts.
    case start(machine: Int32)
    /// The next entry of the plan of faults.
    case fault(index: Int32)
    /// The next entry of the operators' plan.
    case command(index: Int32)
    /// The operators check a command that was not answered.
    case patience(command: Int32, attempt: Int32)
    /// The end of a pause.
    case resume(machine: Int32)
    /// An unauthenticated peer sends something.
    case junk
    /// The checkers look at the fleet.
    case look(index: Int32)
    /// A program somewhere sends to an overlay address.
    case overlayRequest
}
