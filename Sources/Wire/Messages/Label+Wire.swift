import Base
import SwiftProtobuf

extension Label: Convertible {
    init(_ proto: ProtoLabel) throws(DecodeError) {
        self.init(
            try text(proto.name, "label.name", limit: Limits.labelBytes),
            try text(proto.value, "label.value", limit: Limits.labelBytes))
    }
    var proto: ProtoLabel {
        .with {
            $0.name = name
            $0.value = value
        }
    }
}

extension EnvironmentVariable: Convertible {
    init(_ proto: ProtoLabel) throws(DecodeError) {
        self.init(
            try text(proto.name, "environment.name"),
            try text(proto.value, "environment.value", limit: Limits.workerCommandBytes))
    }
    var proto: ProtoLabel {
        .with {
            $0.name = name
            $0.value = value
        }
    }
}
