import Base
import EventLoop
import Glibc
import Platform
import ShimProtocol
import Wire

extension WorkerHost {
    /// Finds everything that former agents launched on this node and did not remove. To be called once, before the first
    /// launch.
    ///
    /// A record of the exit has priority. Without one, the lock shows whether a shim lives. If none does, this host takes the
    /// lock, and with it the right to call the generation lost after its last process has ended.
    package func adopt() -> [AdoptedWorker] {
        loop.preconditionOnLoop()
        return WorkerFolder.all(in: settings.stateDirectory).filter { !isKept($0.worker) }.map(adopt)
    }

    private func adopt(_ folder: WorkerFolder) -> AdoptedWorker {
        guard let launch = folder.launchFile else {
            cgroups?.remove(folder.worker)
            discard(folder)
            return AdoptedWorker(worker: folder.worker, state: .neverStarted, operation: "")
        }
        func found(_ state: AdoptedWorker.State) -> AdoptedWorker {
            AdoptedWorker(worker: folder.worker, state: state, operation: launch.operation)
        }
        if let record = folder.exitRecord(launch.nonce) { return found(.init(record, launch)) }
        let lock: FileDescriptor?
        do throws(Errno) { lock = try folder.lock() } catch {
            // The launch file was read a moment ago; without permission to open it again, nothing is known of its lock.
            return found(wait(WorkerKeeper(self, folder, launch)))
        }
        // It may have ended between the two reads.
        if let record = folder.exitRecord(launch.nonce) { return found(.init(record, launch)) }
        let keeper = WorkerKeeper(self, folder, launch)
        guard let lock else { return found(take(keeper)) }
        if !folder.hasBegun {
            // The agent died before the shim started, or the shim died before it did anything. A shim that still starts later
            // finds that the generation is over.
            do throws(Errno) {
                try folder.conclude(ExitRecord(nonce: launch.nonce, outcome: .lost, at: Clock.wall()))
                cgroups?.remove(folder.worker)
                discard(folder)
                return AdoptedWorker(worker: folder.worker, state: .neverStarted, operation: launch.operation)
            } catch {
                // Without that record nothing may start in its place; its processes are killed like those of any other.
            }
        }
        keep(keeper)
        // Not at once: the caller must learn of the worker before it learns that the worker is lost.
        keeper.sweepSoon(holding: lock)
        return found(.vanished)
    }

    /// A living shim: the process that the record names, if it is still that process, or else the process that has the
    /// marker.
    private func take(_ keeper: WorkerKeeper) -> AdoptedWorker.State {
        let record = keeper.folder.startedRecord(keeper.launch.nonce)
        if let record {
            let recorded = ProcessIdentity(bootID: record.bootID, pid: record.shimPID, startTime: record.shimStart)
            if let now = try? ProcessIdentity.read(record.shimPID), now == recorded,
                (try? keeper.adopt(record.shimPID, record)) != nil
            {
                keep(keeper)
                return keeper.start.map { .running($0) } ?? .starting
            }
        }
        let mark = "\(WorkerMarker.shimVariable)=\(keeper.launch.marker)"
        if let process = Leftovers.process(having: mark), (try? keeper.adopt(process, record)) != nil {
            keep(keeper)
            return keeper.start.map { .running($0) } ?? .starting
        }
        return wait(keeper)
    }

    private func wait(_ keeper: WorkerKeeper) -> AdoptedWorker.State {
        keep(keeper)
        keeper.awaitLock()
        return .unknown
    }
}

extension AdoptedWorker.State {
    fileprivate init(_ record: ExitRecord, _ launch: LaunchFile) {
        switch record.outcome {
        case .exited, .signalled: self = .exited(WorkerEnd(record))
        case .launchFailed(let step, let errno): self = .launchFailed(SpecProblem(step, errno: errno, launch))
        case .lost: self = .lost(at: record.at)
        }
    }
}
