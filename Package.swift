// swift-tools-version: 6.2
import Foundation
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
let protobuf: [Target.Dependency] = [.product(name: "SwiftProtobuf", package: "swift-protobuf")]

func library(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
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
    library("Wire", ["Base"] + protobuf),
    library("Mesh", ["Base", "Wire", "Noise"] + collections),
    library("Control", ["Base", "Wire", "Noise", "Mesh"] + collections),
    library("EventLoop", ["Base", "CLibuv", "CLinux"]),
    library("ShimProtocol", ["Base"]),
    // A thousand workers have a thousand shims: without shared libraries each is smaller, and starts in half the time.
    .executableTarget(
        name: "asterism-shim", dependencies: ["Base", "CLinux", "ShimProtocol"], swiftSettings: settings,
        linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),
    library("Health", ["Base", "Wire", "CLinux"]),
    library("Daemon", ["Base", "Wire", "EventLoop", "CLinux", "ShimProtocol"]),

    tests("BaseTests", ["Base"]),
    tests("NoiseTests", ["Noise", "Base"]),
    tests("WireTests", ["Wire", "Base"]),
    tests("MeshTests", ["Mesh", "Noise", "Wire", "Base"]),
    tests("ControlTests", ["Control", "Mesh", "Noise", "Wire", "Base"]),
    tests("EventLoopTests", ["EventLoop", "Base"]),
    tests("HealthTests", ["Health", "Wire", "Base"]),
    tests("DaemonTests", ["Daemon", "ShimProtocol", "asterism-shim", "EventLoop", "Wire", "Base"]),
]

let package = Package(
    name: "asterism",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    ],
    targets: all.filter { target in
        let folder = target.type == .test ? "Tests" : "Sources"
        return FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(folder)/\(target.name)")
    },
    swiftLanguageModes: [.v6]
)
