import Base
import Control
import ControllerService
import Daemon
import EventLoop
import Glibc
import Testing

private let hasPerl = geteuid() == 0 && access("/usr/bin/perl", X_OK) == 0

/// HTTP at a unix socket: owner, group and mode decide who may connect.
@Suite(.serialized) struct HTTPUnixTests {
    private static func server(_ loop: Loop, _ path: String) throws -> HTTPServer {
        let api = HTTPAPI { _, answer in answer(.success(.nodes([]))) }
        return try HTTPServer(
            on: loop, at: .unix(path: path), tooLarge: HTTPAPI.tooLarge, unanswered: HTTPAPI.unanswered
        ) { api.handle($0, answer: $1) }
    }

    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    @Test(arguments: [0o077, 0o022] as [mode_t])
    func `it serves at a path with mode 0660, and the file goes with it`(mask: mode_t) throws {
        try withTemporaryDirectory { directory in
            let old = umask(mask)
            defer { umask(old) }
            let loop = Loop(), path = "\(directory)/http.sock"
            let server = try Self.server(loop, path)
            #expect(server.localEndpoint == .unix(path: path) && Self.mode(path) == 0o660)
            let client = try RawClient(unix: path)
            client.send("GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(drive(loop, [client]) { client.answers.count == 1 })
            #expect(client.answers.first?.status == 200 && client.answers.first?.body == "[]\n")
            server.close()
            #expect(drive(loop, [client]) { client.isEnded })
            #expect(Self.mode(path) == nil)
        }
    }

    @Test func `pages of other sites are refused there too`() throws {
        try withTemporaryDirectory { directory in
            let loop = Loop(), path = "\(directory)/http.sock"
            let server = try Self.server(loop, path)
            let cases = [
                ("Host: localhost", 200), ("Host: evil.example", 403),
                ("Host: localhost\r\nOrigin: http://evil.example", 403),
                ("Host: localhost\r\nOrigin: http://localhost", 200), ("Host: ", 400),
            ]
            for (headers, status) in cases {
                let client = try RawClient(unix: path)
                client.send("GET /v1/nodes HTTP/1.1\r\n\(headers)\r\n\r\n")
                #expect(drive(loop, [client]) { client.answers.count == 1 })
                #expect(client.answers.first?.status == status, "\(headers)")
            }
            server.close()
        }
    }

    @Test func `a stale file is replaced, and a living server's is not`() throws {
        try withTemporaryDirectory { directory in
            let loop = Loop(), path = "\(directory)/http.sock"
            // A socket without a listener, as kill -9 leaves it.
            _ = try SocketFile.bind(path, 0o600)
            #expect(Self.mode(path) == 0o600)
            let server = try Self.server(loop, path)
            #expect(Self.mode(path) == 0o660)
            #expect(throws: Errno(EADDRINUSE)) { try Self.server(loop, path) }
            let client = try RawClient(unix: path)
            client.send("GET /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(drive(loop, [client]) { client.answers.first?.status == 200 })
            server.close()
            // What is not a socket is not removed.
            try FileDescriptor.open(path, O_WRONLY | O_CREAT).writeAll("precious".utf8)
            #expect(throws: Errno(EADDRINUSE)) { try Self.server(loop, path) }
            #expect(Self.mode(path) != nil)
        }
    }

    @Test(.enabled(if: hasPerl, "needs root, to become another user, and perl"))
    func `only owner and group may connect`() throws {
        try withTemporaryDirectory { directory in
            chmod(directory, 0o711)
            let loop = Loop(), path = "\(directory)/http.sock"
            let server = try Self.server(loop, path)
            defer { server.close() }
            /// What connect(2) returns to a user.
            func connectError(_ user: ChildCommand.User) throws -> Int32? {
                var command = ChildCommand(
                    "/usr/bin/perl",
                    [
                        "-MSocket", "-e",
                        "socket(S, PF_UNIX, SOCK_STREAM, 0) or exit 99; connect(S, sockaddr_un($ARGV[0])) or exit $!+0",
                        path,
                    ])
                command.user = user
                var end: ChildExit.Status?
                let child = try ChildProcess(on: loop, "perl", command) { end = $0.status }
                #expect(drive(loop, []) { end != nil })
                guard case .exited(let code)? = end else { return nil }
                return withExtendedLifetime(child) { code }
            }
            #expect(try connectError(.init(uid: 65_534, gid: 65_534)) == EACCES)
            #expect(try connectError(.init(uid: 65_534, gid: getegid())) == 0)
            #expect(try connectError(.init(uid: 0, gid: 0)) == 0)
        }
    }

    @Test func `TCP is refused unless it is accepted that anyone may connect`() throws {
        #expect(try HTTPEndpoint.parse("off", isInsecure: false) == nil)
        #expect(try HTTPEndpoint.parse("unix:/run/x.sock", isInsecure: false) == .unix(path: "/run/x.sock"))
        for text in ["127.0.0.1:7951", "[::1]:7951", "0.0.0.0:0", "192.0.2.1:80"] {
            let error = #expect(throws: StartError.self) { try HTTPEndpoint.parse(text, isInsecure: false) }
            for words in [text, "no authentication", "unix:/PATH", "--http-insecure"] {
                #expect(error?.message.contains(words) == true, "\(error.map { "\($0)" } ?? "none")")
            }
            #expect(error?.option == "--http")
            #expect(try HTTPEndpoint.parse(text, isInsecure: true) == .tcp(try #require(SocketAddress(text))))
        }
        for text in ["", "7951", "localhost:80", "unix:", "unix:relative", "unix:/x/", "unix:@name", "/run/x.sock"] {
            let error = #expect(throws: StartError.self) { try HTTPEndpoint.parse(text, isInsecure: true) }
            #expect(error?.option == "--http" && error?.message.contains("'\(text)'") == true, "\(text)")
        }
    }
}
