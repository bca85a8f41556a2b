import Base
import SwiftProtobuf

extension WorkerRef: Convertible {
    init(_ proto: ProtoWorkerRef) throws(DecodeError) {
        self.init(try Wire.name(proto.name, "worker.name"), generation: proto.generation)
    }
    var proto: ProtoWorkerRef {
        .with {
            $0.name = name
            $0.generation = generation
        }
    }
}
