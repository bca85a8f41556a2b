// swift-tools-version: 6.2
import PackageDescription

// One table of targets; the arrows are those of the picture in Control.docc/Architecture.md, and TidyTests checks them.

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
let arguments: [Target.Dependency] = [.product(name: "ArgumentParser", package: "swift-argument-parser")]
let logging: [Target.Dependency] = [.product(name: "Logging", package: "swift-log")]
let protobuf: [Target.Dependency] = [.product(name: "SwiftProtobuf", package: "swift-protobuf")]
let store: [Target.Dependency] = [.product(name: "GRDB", package: "GRDB.swift")]

func library(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}
func program(
    _ name: String, _ dependencies: [Target.Dependency], linker: [LinkerSetting] = [], resources: [Resource]? = nil
) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies, resources: resources, swiftSettings: settings, linkerSettings: linker)
}
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

/// The libraries of the toolchain that FoundationEssentials needs where it is linked in; its module does not name them.
let essentials = ["-l_FoundationCShims", "-l_FoundationCollections"]
/// The same for all of Foundation.
let foundation = ["-lCoreFoundation", "-l_FoundationICU"] + essentials
/// A release build runs on machines without a Swift toolchain: everything of Swift is linked in, and what is left are
/// shared libraries of Debian. `systemd/build-deb` checks it.
func portable(_ libraries: [String]) -> [LinkerSetting] {
    [.unsafeFlags(["-static-stdlib"] + libraries, .when(configuration: .release))]
}

let core: [Target.Dependency] = ["Base", "Wire", "Noise", "Mesh", "Control"]
let shell: [Target.Dependency] = core + ["Platform", "EventLoop", "Daemon"]

let all: [Target] = [
    .systemLibrary(name: "CLibuv", pkgConfig: "libuv", providers: [.apt(["libuv1-dev"])]),
    .systemLibrary(name: "CMicrohttpd", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    // No pkg-config, which names the shared library: the programs link libyaml.a.
    .systemLibrary(name: "CLibyaml", providers: [.apt(["libyaml-dev"])]),
    .target(name: "CLinux"),
    // Optimized always: unoptimized, each instruction becomes a call, and tests would try other code than what is used.
    .target(name: "CFastAES", cSettings: [.unsafeFlags(["-O2"], .when(configuration: .debug))]),

    library("Base", collections),
    library("FastAES", ["CFastAES"]),
    library("Noise", ["Base", "FastAES", "CSodium"]),
    library("Wire", ["Base"] + protobuf, exclude: ["Messages/messages.proto"]),
    library("Mesh", ["Base", "Wire", "Noise"] + collections),
    library("Control", ["Base", "Wire", "Noise", "Mesh"] + collections),
    library("Platform", ["Base"]),
    library("EventLoop", ["Base", "Platform", "CLibuv", "CLinux"]),
    library("Health", ["Base", "Wire"]),
    library("ShimProtocol", ["Base"]),
    library("Daemon", core + ["Platform", "EventLoop", "Health", "ShimProtocol", "CLinux"] + logging),
    .target(
        name: "YAML", dependencies: ["Base", "CLibyaml"], swiftSettings: settings,
        linkerSettings: [.linkedLibrary(":libyaml.a")]),
    library("Configuration", ["Base", "Control", "EventLoop", "Daemon", "YAML"] + arguments + logging),
    library("ControllerService", shell + ["CMicrohttpd"] + store + logging),
    library("Simulator", core + collections),
    library("Fuzz", core + collections),

    program(
        "asterism", ["Base", "Wire", "Control", "Platform", "YAML"] + arguments, linker: portable(foundation),
        resources: [.embedInCode("Install/Files")]),
    program("asterism-bench", ["Base", "CLinux", "Wire", "Noise", "Mesh"] + arguments),
    program(
        "asterism-controller",
        ["Base", "Configuration", "Daemon", "EventLoop", "ControllerService"] + arguments + logging,
        linker: portable(foundation)),
    program("asterism-fuzz", ["Base", "Fuzz"] + arguments),
    // A thousand workers have a thousand shims: without shared libraries each is smaller, and starts in half the time.
    program(
        "asterism-shim", ["Base", "CLinux", "Platform", "ShimProtocol"],
        linker: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]),
    program("asterism-sim", ["Base", "Simulator"] + arguments),
    // Mapped libraries are most of what an idle agent holds of a node's memory, so it uses FoundationEssentials alone.
    program("asterismd", shell + ["Configuration", "Health"] + arguments + logging, linker: portable(essentials)),

    tests("BaseTests", ["Base"]),
    tests("FastAESTests", ["FastAES", "Noise", "Base", "Fuzz"]),
    tests("NoiseTests", ["Noise", "FastAES", "Base"]),
    tests("WireTests", ["Wire", "Base"]),
    tests("YAMLTests", ["YAML"]),
    tests("MeshTests", ["Mesh", "Noise", "Wire", "Base", "Fuzz"] + collections),
    tests("ControlTests", core + collections),
    tests("EventLoopTests", ["EventLoop", "Base", "CLinux"]),
    tests("HealthTests", ["Health", "Wire", "Base"]),
    tests(
        "ConfigurationTests",
        core + ["EventLoop", "Daemon", "Configuration", "asterism", "asterismd", "asterism-controller"]),
    tests("DaemonTests", shell + ["ShimProtocol", "asterism-shim"] + logging),
    tests("ControllerServiceTests", shell + ["ControllerService", "asterism-controller"] + store),
    tests("CLITests", ["asterism", "Base", "Wire", "Control"]),
    tests("FleetTests", core + ["asterism", "asterism-controller", "asterism-shim", "asterismd"]),
    tests("SimulatorTests", core + ["Simulator"]),
    tests("SystemdTests", ["Base", "Wire", "Control"], exclude: ["lab"]),
    tests("TidyTests", []),
]

let package = Package(
    name: "asterism",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: all,
    swiftLanguageModes: [.v6]
)
