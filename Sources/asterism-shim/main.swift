import Glibc

// Usage: asterism-shim FOLDER, with FOLDER one generation of a worker; see ShimProtocol/GenerationDirectory.swift.
// The agent starts this program, with the pipe for reports as its standard output. People do not start it.

guard CommandLine.arguments.count == 2 else {
    _ = "usage: asterism-shim FOLDER (started by asterismd)\n".withCString { write(2, $0, strlen($0)) }
    exit(2)
}
exit(supervise(CommandLine.arguments[1]))
