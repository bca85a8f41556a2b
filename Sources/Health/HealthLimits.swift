import Base

/// Maxima of what is read on the node itself; those of the wire are in `Limits`.
package enum HealthLimits {
    /// `nvidia-smi -q -x` prints up to 66 kB a card (its list of supported clocks), so 256 cards make 17 MB.
    package static let xmlBytes = 24 << 20
    package static let xmlDepth = 32
    /// One document of the exec contract: 256 devices of a few hundred bytes, and room.
    package static let jsonBytes = 1 << 20
    package static let jsonDepth = 16
    package static let jsonKeysPerObject = 64
    /// Digits, point and exponent of one number.
    package static let numberBytes = 64
    package static let traceBytes = 64 << 20
    /// A day at one sample a second.
    package static let traceSamples = 86_400
    package static let traceDevices = 1 << 20
    /// Names, serial numbers and the like; longer ones are cut (tools) or refused (contract).
    package static let textBytes = 256
    package static let evidenceLines = 16
    /// Processes reported for one device; the rest is left out.
    package static let processesPerDevice = 1024
    /// Of one file under /proc. A host with 4,000 containers has a mount table of about 4 MB.
    package static let procBytes = 8 << 20
    package static let mounts = 65_536
    /// Mounts of block devices among them, before each device is reported once.
    package static let diskMounts = 4096
}
