package import Wire

extension AcceleratorStatus: SchemaDescribed {
    package static let schema = Schema.object(
        "Accelerator",
        [
            "vendor": .text, "index": .integer, "uuid?": .text, "model?": .text, "serial?": .text, "pciAddress?": .text,
            "driverVersion?": .text, "memoryTotalBytes?": .count, "memoryUsedBytes?": .count,
            "utilizationPercent?": .count, "memoryUtilizationPercent?": .count, "temperatureMilliCelsius?": .integer,
            "memoryTemperatureMilliCelsius?": .integer, "powerMilliwatts?": .count, "powerLimitMilliwatts?": .count,
            "uncorrectableErrors?": .count, "correctableErrors?": .count, "rowRemapPending?": .flag,
            "rowRemapFailed?": .flag, "retiredPagesPending?": .flag, "throttleReasons": .list(.text), "migMode?": .flag,
            "processes": .list(of: AcceleratorProcess.self), "verdict": .choice(of: Verdict.self),
            "evidence": .list(.text),
        ])
}

extension AcceleratorProcess: SchemaDescribed {
    package static let schema = Schema.object(
        "AcceleratorProcess",
        ["pid": .integer, "name?": .text, "memoryBytes?": .count])
}
