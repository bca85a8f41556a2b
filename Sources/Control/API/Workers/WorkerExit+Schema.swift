package import Wire

extension WorkerExit: SchemaDescribed {
    package static let schema = Schema.object(
        "Exit",
        ["status?": .integer, "signal?": .integer, "outOfMemory": .flag, "at": .time])
}
