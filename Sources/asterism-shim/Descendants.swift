import CLinux
import Glibc

/// # Signalling and killing a tree
///
/// The shim is a subreaper: a descendant that loses its parent becomes the shim's child, so a walk from children to children
/// reaches all of them, and ECHILD from waitpid(2) proves that none is left.
///
/// A tree that forks during a walk can outrun the walk. So every process found is stopped first, and the walk is repeated
/// until it finds no new process; a stopped process does not fork. Then all are killed. The next pass, a few milliseconds
/// later, finds any process that was missed.
///
/// A stop signal goes to the same processes, each of them once, and to none that starts later: a handler may start a program
/// that saves the work, and a second signal would end it. So all are stopped, then signalled, then continued. They are
/// stopped parents first and continued children first; no parent runs while a child of it is stopped, and one that waits for
/// stopped children (waitpid(2) with WUNTRACED: su, sudo, shells with job control) sees none.
///
/// A number read from /proc may belong to an unrelated process by the time it is used. Therefore each process is pinned by a
/// pidfd, and then its parent is read: it must be the parent that it was found under, or the shim. An unrelated process has
/// neither.
struct Descendants {
    let shim = getpid()

    /// One pass: stop, then kill. Returns how many processes were found alive.
    func kill() -> Int {
        stopAll()
        return walk(SIGKILL)
    }

    /// Sends a signal to all that are there and to what else is in a cgroup, and lets those continue that were stopped
    /// before.
    func signal(_ number: Int32, and cgroup: Cgroup?) {
        stopAll()
        var family: [(process: Int32, parent: Int32)] = []
        visit { family.append(($0, $1)) }
        for (process, parent) in family { _ = send(number, to: process, childOf: parent) }
        // Before the descendants continue and start others, which are in the cgroup too.
        cgroup?.signal(number, except: Set(family.map(\.process)))
        for (process, parent) in family.reversed() { _ = send(SIGCONT, to: process, childOf: parent) }
    }

    private func stopAll() {
        var known = 0
        // A process in an uninterruptible call does not stop, and the others do not wait for it forever.
        var waits = Descendants.stopWaits
        // Each round costs a walk; a tree that still grows after these is handled in the next pass.
        for _ in 0..<16 {
            var family: [(process: Int32, parent: Int32)] = []
            visit { family.append(($0, $1)) }
            var found = 0
            for (process, parent) in family where send(SIGSTOP, to: process, childOf: parent) {
                found += 1
                // kill(2) returns before the process has stopped. A parent that still runs would see its child stop.
                while waits > 0, !isStopped(process) {
                    usleep(Descendants.stopWaitMicroseconds)
                    waits -= 1
                }
            }
            if found <= known { break }
            known = found
        }
    }

    private static let stopWaits = 400
    private static let stopWaitMicroseconds: UInt32 = 500

    /// Or gone.
    private func isStopped(_ process: Int32) -> Bool {
        guard let entry = ProcessTable.entry(process) else { return true }
        return [UInt8(ascii: "T"), UInt8(ascii: "t")].contains(entry.state) || entry.isZombie
    }

    /// Those that exist, whatever their state, except those that only wait to be reaped.
    func living() -> [Int32] {
        var all: [Int32] = []
        visit { process, _ in all.append(process) }
        return all
    }

    private func walk(_ signal: Int32) -> Int {
        var family: [(process: Int32, parent: Int32)] = []
        visit { family.append(($0, $1)) }
        var count = 0
        for (process, parent) in family where send(signal, to: process, childOf: parent) { count += 1 }
        return count
    }

    private func send(_ signal: Int32, to process: Int32, childOf parent: Int32) -> Bool {
        let pinned = asterism_pidfd_open(process)
        guard pinned >= 0 else { return false }
        defer { close(pinned) }
        guard let entry = ProcessTable.entry(process), !entry.isZombie,
            entry.parent == parent || entry.parent == shim
        else { return false }
        return asterism_pidfd_signal(pinned, signal) == 0
    }

    /// All descendants with the parent each was found under, parents before children.
    private func visit(_ body: (Int32, Int32) -> Void) {
        guard ProcessTable.children(of: shim) != nil else { return visitByParents(body) }
        var queue = [shim]
        var next = 0
        // No process table is longer than the largest pid_max, 2^22 (proc_sys_kernel(5)).
        while next < queue.count, queue.count < 1 << 22 {
            let parent = queue[next]
            next += 1
            for child in ProcessTable.children(of: parent) ?? [] {
                guard let entry = ProcessTable.entry(child), entry.parent == parent || entry.parent == shim else {
                    continue
                }
                if !entry.isZombie { body(child, parent) }
                queue.append(child)
            }
        }
    }

    /// For kernels without CONFIG_PROC_CHILDREN: one look at every process of the machine.
    private func visitByParents(_ body: (Int32, Int32) -> Void) {
        let everybody = ProcessTable.numbers(in: "/proc").compactMap { process in
            ProcessTable.entry(process).map { (process: process, entry: $0) }
        }
        var queue = [shim]
        var next = 0
        while next < queue.count {
            let parent = queue[next]
            next += 1
            for one in everybody where one.entry.parent == parent {
                if !one.entry.isZombie { body(one.process, parent) }
                queue.append(one.process)
            }
        }
    }
}
