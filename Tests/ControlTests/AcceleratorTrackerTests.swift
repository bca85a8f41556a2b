import Control
import Testing
import Wire

/// What is known of accelerators when the vendor's tool answers, fails, or gives nothing.
@Suite struct AcceleratorTrackerTests {
    private func device(_ verdict: Verdict, _ evidence: [String] = []) -> AcceleratorStatus {
        var device = AcceleratorStatus(vendor: "nvidia", index: 0)
        device.uuid = "GPU-1"
        device.verdict = verdict
        device.evidence = evidence
        return device
    }

    @Test func `readings are kept as they are`() {
        var tracker = AcceleratorTracker()
        #expect(tracker.devices.isEmpty)
        #expect(tracker.apply(.devices([device(.degraded, ["hot"])])) == nil)
        #expect(tracker.devices == [device(.degraded, ["hot"])])
    }

    @Test func `a tool that gives nothing makes known devices unknown, with the reason, and not absent`() {
        var tracker = AcceleratorTracker()
        _ = tracker.apply(.devices([device(.failed, ["lost"])]))
        #expect(tracker.apply(.silent("nvidia-smi was killed by signal 9")) == "nvidia-smi was killed by signal 9")
        #expect(tracker.devices == [device(.unknown, ["nvidia-smi was killed by signal 9"])])
    }

    @Test func `an error leaves what the adapter makes of it`() {
        var tracker = AcceleratorTracker()
        _ = tracker.apply(.devices([device(.healthy)]))
        #expect(tracker.apply(.failed([device(.failed, ["lost"])], "lost")) == "lost")
        #expect(tracker.devices == [device(.failed, ["lost"])])
    }

    @Test func `trouble is reported once, and again after a good reading`() {
        var tracker = AcceleratorTracker()
        #expect(tracker.report("no trace") == "no trace")
        #expect(tracker.apply(.silent("hangs")) == nil)
        #expect(tracker.apply(.failed([], "error")) == nil)
        #expect(tracker.apply(.devices([])) == nil)
        #expect(tracker.apply(.silent("hangs")) == "hangs")
    }
}
