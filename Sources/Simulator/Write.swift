import Control

/// What a program writes to its disk.
enum Write {
    case agentRecord([UInt8])
    case membership([UInt8])
    case store([StoreChange])
}
