import Base
import SwiftProtobuf

// What all conversions between values and generated messages share. Protobuf gives no offsets, so the errors of this
// folder name the field, as `messages.proto` does, with offset 0.

func invalid(_ field: String) -> DecodeError { DecodeError(.invalidValue, field, at: 0) }

/// Bytes as the generated code needs them. Their type belongs to Foundation and is not named here.
func blob<Blob: SwiftProtobufContiguousBytes>(_ bytes: [UInt8]) -> Blob { Blob(bytes) }

func blob(_ bytes: some Collection<UInt8>, count: Int, _ field: String) throws(DecodeError) -> [UInt8] {
    guard bytes.count == count else { throw invalid(field) }
    return [UInt8](bytes)
}

func blob(_ bytes: some Collection<UInt8>, limit: Int, _ field: String) throws(DecodeError) -> [UInt8] {
    guard bytes.count <= limit else { throw DecodeError(.tooLong, field, at: 0) }
    return [UInt8](bytes)
}

func text(_ text: String, _ field: String, limit: Int = Limits.textBytes) throws(DecodeError) -> String {
    guard text.utf8.count <= limit else { throw DecodeError(.tooLong, field, at: 0) }
    return text
}

func text(_ value: String, if isPresent: Bool, _ field: String) throws(DecodeError) -> String? {
    isPresent ? try text(value, field) : nil
}

/// A worker's or node's name; what reaches the file system must be one.
func name(_ name: String, _ field: String) throws(DecodeError) -> String {
    guard WorkerSpec.isName(name) else { throw invalid(field) }
    return name
}

func nodeID(_ bytes: some Collection<UInt8>, _ field: String) throws(DecodeError) -> NodeID {
    guard let node = NodeID(bytes) else { throw invalid(field) }
    return node
}

/// 4 or 16 bytes. A mapped IPv4 address would be one address in two forms.
func overlayAddress(_ bytes: some Collection<UInt8>, _ field: String) throws(DecodeError) -> IPAddress {
    guard let address = IPAddress(bytes: bytes), address.bytes.count == bytes.count else { throw invalid(field) }
    return address
}

func overlayNetwork(_ text: String, _ field: String) throws(DecodeError) -> IPPrefix {
    guard let network = IPPrefix(text), network.address.isIPv4 else { throw invalid(field) }
    return network
}

func list<Item, Value>(
    _ items: [Item], limit: Int, _ field: String, _ convert: (Item) throws(DecodeError) -> Value
) throws(DecodeError) -> [Value] {
    guard items.count <= limit else { throw DecodeError(.tooLong, field, at: 0) }
    var values: [Value] = []
    values.reserveCapacity(items.count)
    for item in items { values.append(try convert(item)) }
    return values
}

func addresses(_ texts: [String], _ field: String) throws(DecodeError) -> [SocketAddress] {
    try list(texts, limit: Limits.addressesPerPeer, field) { text throws(DecodeError) in
        guard let address = SocketAddress(text) else { throw invalid(field) }
        return address
    }
}

func ports(_ numbers: [UInt32], _ field: String) throws(DecodeError) -> [UInt16] {
    try list(numbers, limit: Limits.tcpPorts, field) { number throws(DecodeError) in
        guard let port = UInt16(exactly: number), port != 0 else { throw invalid(field) }
        return port
    }
}

func authorities<Blob: Collection<UInt8>>(_ keys: [Blob], _ field: String) throws(DecodeError) -> [[UInt8]] {
    try list(keys, limit: Limits.authorities, field) { key throws(DecodeError) in
        try blob(key, count: 32, field)
    }
}

/// The time of a wall clock, from 1970 to 2200: differences of such times fit into an `Interval`.
func wallClock(_ milliseconds: Int64, _ field: String) throws(DecodeError) -> UnixTime {
    guard (0...7_258_118_400_000).contains(milliseconds) else { throw invalid(field) }
    return UnixTime(milliseconds: milliseconds)
}

func unixTime(_ milliseconds: Int64) -> UnixTime { UnixTime(milliseconds: milliseconds) }
