package import Wire

extension WorkerSpec: SchemaDescribed {
    package static let schema = Schema.object(
        "WorkerSpec",
        [
            "command": .list(.text), "environment?": .list(of: EnvironmentVariable.self), "workingDirectory?": .text,
            "user?": .text, "group?": .text, "limits?": .of(WorkerLimits.self), "restart?": .of(RestartPolicy.self),
            "stop?": .of(StopPolicy.self), "log?": .of(LogPolicy.self), "priority?": .choice(of: WorkerPriority.self),
            "labels?": .list(of: Label.self),
        ])
}

extension EnvironmentVariable: SchemaDescribed {
    package static let schema = Schema.object(
        "Variable",
        ["name": .text, "value": .text])
}

extension WorkerLimits: SchemaDescribed {
    package static let schema = Schema.object(
        "WorkerLimits",
        ["memoryBytes?": .integer, "cpuMillicores?": .integer, "processes?": .integer, "openFiles?": .integer])
}

extension RestartPolicy: SchemaDescribed {
    package static let schema = Schema.object(
        "RestartPolicy",
        [
            "mode?": .choice(of: RestartPolicy.Mode.self), "maxRestarts?": .integer, "windowSeconds?": .integer,
            "delaySeconds?": .integer, "maxDelaySeconds?": .integer,
        ])
}

extension StopPolicy: SchemaDescribed {
    package static let schema = Schema.object(
        "StopPolicy",
        ["signal?": .text, "graceSeconds?": .integer])
}

extension LogPolicy: SchemaDescribed {
    package static let schema = Schema.object(
        "LogPolicy",
        ["maxFileBytes?": .integer, "maxFiles?": .integer])
}
