// swift-tools-version: 6.2
import PackageDescription

// One table of targets; the arrows are those of the picture in README.md, and TidyTests checks them.

/// Settings of every Swift target. Warnings are errors where the CI variable is set.
let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableExperimentalFeature("Lifetimes"),
    ] + (Context.environment["CI"] == nil ? [] : [.treatAllWarnings(as: .error)])

let collections: [Target.Dependency] = [
    .product(name: "DequeModule", package: "swift-collections"),
    .product(name: "HeapModule", package: "swift-collections"),
    .product(name: "OrderedCollections", package: "swift-collections"),
]
let logging: [Target.Dependency] = [.product(name: "Logging", package: "swift-log")]
let protobuf: [Target.Dependency] = [.product(name: "SwiftProtobuf", package: "swift-protobuf")]

func library(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let all: [Target] = [
    .systemLibrary(name: "CLibuv", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .target(name: "CLinux"),

    library("Base", collections),
    library("Noise", ["Base", "CSodium"]),
    library("Wire", ["Base"] + protobuf, exclude: ["Messages/messages.proto"]),
    library("Mesh", ["Base", "Wire", "Noise"] + collections),
    library("Control", ["Base", "Wire", "Noise", "Mesh"] + collections),
    library("EventLoop", ["Base", "CLibuv", "CLinux"]),
    library("Health", ["Base", "Wire"]),
    library("ShimProtocol", ["Base"]),
    library("Daemon", ["Base", "Wire", "Noise", "Mesh", "Control", "EventLoop", "Health", "ShimProtocol", "CLinux"] + logging),

    // A thousand workers have a thousand shims: without shared libraries each is smaller, and starts in half the time.
    .executableTarget(
        name: "asterism-shim", dependencies: ["Base", "CLinux", "ShimProtocol"], swiftSettings: settings,
        linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),

    tests("BaseTests", ["Base"]),
    tests("NoiseTests", ["Noise", "Base"]),
    tests("WireTests", ["Wire", "Base"]),
    tests("MeshTests", ["Mesh", "Noise", "Wire", "Base"] + collections),
    tests("ControlTests", ["Control", "Mesh", "Noise", "Wire", "Base"] + collections),
    tests("EventLoopTests", ["EventLoop", "Base", "CLinux"]),
    tests("HealthTests", ["Health", "Wire", "Base"]),
    tests("DaemonTests", ["Daemon", "Control", "EventLoop", "ShimProtocol", "Wire", "Base", "asterism-shim"]),
    tests("TidyTests", []),
]

let package = Package(
    name: "asterism",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    ],
    targets: all,
    swiftLanguageModes: [.v6]
)
