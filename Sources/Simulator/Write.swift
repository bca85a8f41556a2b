import Control

/// What a program has a disk keep.
enum Write {
    case agentRecord([UInt8])
    case membership([UInt8])
    case store([StoreChange])
}
