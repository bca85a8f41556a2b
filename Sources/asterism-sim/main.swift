import ArgumentParser
import Glibc

// Usage errors are 1 here, since the statuses of a run tell what kind of fault it found.
do {
    let options = try Options.parse()
    setvbuf(stdout, nil, _IOLBF, 0)
    exit(options.list == nil ? runOne(options) : runMany(options))
} catch {
    let status = Options.exitCode(for: error)
    let text = Options.fullMessage(for: error)
    if status == .success {
        print(text)
        exit(0)
    }
    fputs(text + "\n", stderr)
    exit(1)
}
