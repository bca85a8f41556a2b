package import Base
import Control
import Daemon
import Wire

/// One member of a schema. A name that ends in `?` may be absent.
private typealias Members = KeyValuePairs<String, JSONValue>

private let text = JSONValue.of(["type": .string("string")])
private let flag = JSONValue.of(["type": .string("boolean")])
private let integer = JSONValue.of(["type": .string("integer")])
private let count = JSONValue.of(["type": .string("integer"), "minimum": .number("0")])
private let time = JSONValue.of(["type": .string("integer"), "description": .string("Milliseconds since 1970")])
private let node = JSONValue.of(["type": .string("string"), "pattern": .string("^[0-9a-f]{64}$")])
private let address = JSONValue.of(["type": .string("string"), "description": .string("IP:PORT or [IPv6]:PORT")])
private let ip = JSONValue.of(["type": .string("string"), "description": .string("An IPv4 or IPv6 address")])
private let texts = OpenAPI.array(of: text)

private func choice(_ values: [String]) -> JSONValue {
    .of(["type": .string("string"), "enum": .array(values.map(JSONValue.string))])
}

private func choice<Value: CaseIterable & RawRepresentable<String>>(_ type: Value.Type) -> JSONValue {
    choice(Value.allCases.map(\.rawValue))
}

private func of(_ schema: String) -> JSONValue { OpenAPI.reference(schema) }
private func list(_ schema: String) -> JSONValue { OpenAPI.array(of: of(schema)) }

/// An object with these members and no others.
private func object(_ members: Members) -> JSONValue {
    let required = members.filter { !$0.key.hasSuffix("?") }.map { JSONValue.string($0.key) }
    let properties = members.map { JSONMember($0.key.hasSuffix("?") ? String($0.key.dropLast()) : $0.key, $0.value) }
    var schema = [JSONMember("type", .string("object")), JSONMember("properties", .object(properties))]
    if !required.isEmpty { schema.append(JSONMember("required", .array(required))) }
    schema.append(JSONMember("additionalProperties", .bool(false)))
    return .object(schema)
}

extension OpenAPI {
    /// Every schema that the document names.
    package static let schemas: [(name: String, value: JSONValue)] =
        failures + parameters + workers + nodes + devices + fleet

    private static let failures: [(name: String, value: JSONValue)] = [
        ("Failure", object(["error": of("Error")])),
        (
            "Error",
            object([
                "code": choice(APIError.Code.self), "message": text, "field?": text, "problems?": list("Problem"),
            ])
        ),
        ("Problem", object(["field": text, "message": text])),
        ("Health", object(["status": choice(["ok"])])),
        ("OpenAPI", .of(["type": .string("object")])),
    ]

    private static let parameters: [(name: String, value: JSONValue)] = [
        ("TokenParameters", object(["ttlSeconds?": integer, "uses?": integer, "name?": text, "isForBeacons?": flag])),
        (
            "RunParameters",
            object(["name?": text, "node?": text, "spec": of("WorkerSpec"), "operation?": text])
        ),
        ("StopParameters", object(["operation?": text, "graceSeconds?": integer])),
    ]

    private static let workers: [(name: String, value: JSONValue)] = [
        (
            "WorkerSpec",
            object([
                "command": texts, "environment?": list("Variable"), "workingDirectory?": text, "user?": text,
                "group?": text, "limits?": of("WorkerLimits"), "restart?": of("RestartPolicy"),
                "stop?": of("StopPolicy"), "log?": of("LogPolicy"), "priority?": choice(WorkerPriority.self),
                "labels?": list("Label"),
            ])
        ),
        ("Variable", object(["name": text, "value": text])),
        ("Label", object(["name": text, "value": text])),
        (
            "WorkerLimits",
            object(["memoryBytes?": integer, "cpuMillicores?": integer, "processes?": integer, "openFiles?": integer])
        ),
        (
            "RestartPolicy",
            object([
                "mode?": choice(RestartPolicy.Mode.self), "maxRestarts?": integer, "windowSeconds?": integer,
                "delaySeconds?": integer, "maxDelaySeconds?": integer,
            ])
        ),
        ("StopPolicy", object(["signal?": text, "graceSeconds?": integer])),
        ("LogPolicy", object(["maxFileBytes?": integer, "maxFiles?": integer])),
        (
            "Worker",
            object([
                "name": text, "generation": count, "node?": node, "nodeName?": text,
                "wish": choice(WorkerView.Wish.self), "state?": choice(WorkerState.self), "isCurrent": flag,
                "command": texts, "operation?": text, "pid?": integer, "startedAt?": time, "restarts": count,
                "lastExit?": of("Exit"), "reason?": text, "containment?": choice(Containment.self), "logBytes": count,
            ])
        ),
        ("Exit", object(["status?": integer, "signal?": integer, "outOfMemory": flag, "at": time])),
        (
            "Log",
            object([
                "worker": text, "offset": count, "nextOffset": count, "isFinal": flag,
                "data": .of(["type": .string("string"), "contentEncoding": .string("base64")]),
            ])
        ),
    ]

    private static let nodes: [(name: String, value: JSONValue)] = [
        (
            "Node",
            object([
                "id": node, "name": text, "site": text, "labels": list("Label"), "roles": texts,
                "state": choice(NodeState.self), "isDraining": flag, "address?": address, "overlay4?": ip,
                "overlay6?": ip, "enrolledAt": time,
                "certificateExpiresAt": time, "lastHeartbeatAt?": time,
                "clockOffsetMilliseconds?": integer, "agentVersion?": text,
                "containment?": choice(Containment.self), "verdict": choice(Verdict.self), "revision": count,
                "desiredRevision": count, "processorLoadPercent?": count, "memoryLoadPercent?": count,
                "acceleratorLoadPercent?": count, "freeSlots?": count, "workersRunning": count, "workersTotal": count,
                "accelerators": count, "host?": of("Host"),
            ])
        ),
        (
            "Host",
            object([
                "hostname?": text, "kernel?": text, "bootID?": text, "architecture?": text, "processors?": count,
                "processorModel?": text, "processorUsePermille?": count, "load1Centi?": count, "load5Centi?": count,
                "load15Centi?": count, "memoryTotalBytes?": count, "memoryAvailableBytes?": count,
                "swapTotalBytes?": count, "swapFreeBytes?": count, "uptimeSeconds?": count,
                "pressure": list("Pressure"), "disks": list("Disk"),
            ])
        ),
        (
            "Pressure",
            object([
                "resource": choice(PressureStatus.Resource.self), "some10Basis?": count, "some60Basis?": count,
                "full10Basis?": count, "full60Basis?": count, "someTotalMicroseconds?": count,
                "fullTotalMicroseconds?": count,
            ])
        ),
        (
            "Disk",
            object([
                "mountPoint": text, "device": text, "fileSystem": text, "sizeBytes?": count, "availableBytes?": count,
                "isReadOnly": flag,
            ])
        ),
    ]

    private static let devices: [(name: String, value: JSONValue)] = [
        ("NodeAccelerator", object(["node": node, "nodeName": text, "accelerator": of("Accelerator")])),
        (
            "Accelerator",
            object([
                "vendor": text, "index": integer, "uuid?": text, "model?": text, "serial?": text, "pciAddress?": text,
                "driverVersion?": text, "memoryTotalBytes?": count, "memoryUsedBytes?": count,
                "utilizationPercent?": count, "memoryUtilizationPercent?": count, "temperatureMilliCelsius?": integer,
                "memoryTemperatureMilliCelsius?": integer, "powerMilliwatts?": count, "powerLimitMilliwatts?": count,
                "uncorrectableErrors?": count, "correctableErrors?": count, "rowRemapPending?": flag,
                "rowRemapFailed?": flag, "retiredPagesPending?": flag, "throttleReasons": texts, "migMode?": flag,
                "processes": list("AcceleratorProcess"), "verdict": choice(Verdict.self), "evidence": texts,
            ])
        ),
        ("AcceleratorProcess", object(["pid": integer, "name?": text, "memoryBytes?": count])),
    ]

    private static let fleet: [(name: String, value: JSONValue)] = [
        (
            "Token",
            object([
                "id": text, "name?": text, "createdAt": time, "expiresAt": time, "uses": count, "used": count,
                "isForBeacons": flag,
                "isRevoked": flag, "token?": text,
            ])
        ),
        (
            "Event",
            object([
                "id": count, "at": time, "kind": choice(EventView.Kind.self), "node?": node, "nodeName?": text,
                "worker?": text, "message": text,
            ])
        ),
        (
            "Peer",
            object([
                "node": node, "name?": text, "isConnected": flag, "address?": address, "isRelayed": flag,
                "relay?": text,
                "overlay4?": ip,
                "overlay6?": ip, "roundTripMicroseconds?": count, "cipher?": text, "keyAgeSeconds?": count,
                "sinceHeardMilliseconds?": count, "bytesReceived": count,
                "bytesSent": count, "openStreams": count, "packetsReceived": count, "packetsSent": count,
                "packetBytesReceived": count, "packetBytesSent": count, "hasRoute": flag, "datagramBytes?": count,
            ])
        ),
        (
            "Status",
            object([
                "program": choice(StatusView.Program.self), "version": text, "node": node, "name?": text,
                "fleet?": text, "phase": text, "incarnation": count, "startedAt": time, "certificateExpiresAt?": time,
                "overlay4?": ip, "overlay6?": ip, "cryptography?": text, "portMapping?": of("PortMapping"),
                "controllers?": list("ControllerPeer"), "joinProblem?": text, "controllerLostAt?": time,
                "descriptionProblem?": text, "clock?": of("Clock"), "nodeClocks?": list("NodeClock"),
                "revision?": count, "workersActive?": count,
                "workersTotal?": count, "containment?": choice(Containment.self), "verdict?": choice(Verdict.self),
                "nodes?": of("NodeCounts"), "counters": list("Counter"),
            ])
        ),
        (
            "PortMapping",
            object([
                "protocol?": text, "externalAddress?": address, "internalPort": count, "lifetimeSeconds?": count,
                "gateway?": ip, "problem?": text,
            ])
        ),
        (
            "ControllerPeer",
            object([
                "node": node, "addresses": OpenAPI.array(of: address), "names": OpenAPI.array(of: text),
                "isConnected": flag,
            ])
        ),
        ("Clock", object(["own": time, "controller": time, "differs": flag])),
        ("NodeClock", object(["node": node, "name": text, "offsetMilliseconds": integer])),
        (
            "NodeCounts",
            object(["online": count, "suspect": count, "offline": count, "left": count, "unknown": count])
        ),
        ("Counter", object(["name": text, "count": count])),
    ]
}
