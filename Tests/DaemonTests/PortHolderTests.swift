import Base
import Control
import Daemon
import EventLoop
import Glibc
import Testing

/// Texts as Linux 6.18 writes them.
@Suite struct PortHolderTests {
    private static let udp = """
           sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
         2205: 0100007F:1F0E 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 10001 2 0000000000000000 0
         2206: 0900000A:1F0F 00000000:0000 07 00000000:00000000 00:00000000 00000000   998        0 10002 2 0000000000000000 0
         2207: 00000000:1F0F 00000000:0000 07 00000000:00000000 00:00000000 00000000    33        0 10003 2 0000000000000000 0
        """
    private static let udp6 = """
          sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
         2208: 00000000000000000000000000000000:1F10 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     5        0 10004 2 0000000000000000 0
         2209: B80D0120000000000000000001000000:1F11 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     6        0 10005 2 0000000000000000 0
        """
    private static let tcp = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:1F0F 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 20001 1 0000000000000000 20 0 0 10 -1
           1: 0100007F:1F0F 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 20002 1 0000000000000000 100 0 0 10 0
        """

    @Test func `the kernel's tables are read`() throws {
        let rows = PortHolder.rows(Self.udp)
        #expect(rows.map(\.local).map(\.description) == ["127.0.0.1:7950", "10.0.0.9:7951", "0.0.0.0:7951"])
        #expect(rows.map(\.user) == [0, 998, 33] && rows.map(\.inode) == [10001, 10002, 10003])
        #expect(PortHolder.rows(Self.udp6).map(\.local).map(\.description) == ["[::]:7952", "[2001:db8::1]:7953"])
        #expect(PortHolder.rows(Self.tcp).map(\.state) == [1, 10])
        for text in ["", "\n", "x", "1: 0100007F:1F0E", String(Self.udp.prefix(170)), "1: zz:1 0 07 0 0 0 0 0 1"] {
            #expect(PortHolder.rows(text).isEmpty, "\(text)")
        }
    }

    @Test func `the holder is the socket that is in the way`() throws {
        func user(_ text: String, _ address: String, _ transport: PortHolder.Transport = .udp) throws -> UInt32? {
            PortHolder.holder(of: try #require(SocketAddress(address)), transport, in: PortHolder.rows(text))?.user
        }
        #expect(try user(Self.udp, "127.0.0.1:7950") == 0)
        #expect(try user(Self.udp, "0.0.0.0:7950") == 0)
        #expect(try user(Self.udp, "10.0.0.1:7950") == nil)
        #expect(try user(Self.udp, "10.0.0.9:7951") == 998)
        #expect(try user(Self.udp, "10.0.0.1:7951") == 33)
        #expect(try user(Self.udp, "0.0.0.0:7951") == 33)
        #expect(try user(Self.udp6, "0.0.0.0:7952") == 5)
        #expect(try user(Self.udp, "127.0.0.1:1") == nil)
        // A connection does not hold the port; who listens does.
        #expect(try user(Self.tcp, "127.0.0.1:7951", .tcp) == 1001)
    }

    @Test func `a descriptor names the inode of its socket`() {
        #expect(PortHolder.inode(ofLink: "socket:[10001]") == 10001)
        for text in ["", "socket:[]", "socket:[x]", "pipe:[1]", "socket:[1", "/dev/null"] {
            #expect(PortHolder.inode(ofLink: text) == nil)
        }
    }

    @Test func `this process is found by its port, on IPv4 and on IPv6`() throws {
        for ip in [IPAddress.loopback4, IPAddress("::1")!] {
            let loop = Loop()
            let port = try MeshPort(on: loop, bind: SocketAddress(ip, 0)) { _ in }
            let address = try #require(port.localAddress)
            let holder = try #require(PortHolder.find(.udp, address))
            #expect(holder.hasSuffix(" (pid \(getpid()))"), "\(holder)")
            #expect(PortHolder.message(.udp, address) == "\(address) is in use by \(holder)")
            port.close()
            #expect(PortHolder.find(.udp, address) == nil)
        }
    }
}

/// What the daemons write before there is a log.
@Suite struct ProgramErrorTests {
    @Test func `each error is one line, with a priority for the journal`() {
        let lines = ["a: b", "two\nlines\u{1b}[31m\r\n"]
        #expect(
            ProgramErrors.text(lines, program: "p", isJournal: false)
                == "p: error: a: b\np: error: two lines [31m \n")
        #expect(
            ProgramErrors.text(lines, program: "p", isJournal: true)
                == "<3>p: error: a: b\n<3>p: error: two lines [31m \n")
        #expect(ProgramErrors.text([], program: "p", isJournal: true) == "")
    }

    @Test func `an error of the kernel has the status that fits`() {
        for (code, status) in [
            (EACCES, .refused), (EPERM, .refused), (EROFS, .refused), (ENOSPC, .unavailable), (EDQUOT, .unavailable),
            (EADDRINUSE, .unavailable), (EADDRNOTAVAIL, .unavailable), (EWOULDBLOCK, .unavailable), (ENOENT, .usage),
            (ENOTDIR, .usage),
        ] as [(Int32, Control.ExitStatus)] { #expect(Control.ExitStatus(Errno(code)) == status, "\(Errno(code))") }
    }

    @Test func `a repeated option's fault has its place, and all faults are kept`() {
        var problems = StartProblems()
        let good = problems.each("--x", ["1", "a", "2", "b"]) { text throws(StartError) in
            guard let number = Int(text) else { throw StartError("--x", "'\(text)'") }
            return number
        }
        #expect(good == [1, 2])
        #expect(problems.all.map(\.index) == [1, 3] && problems.all.map(\.description) == ["--x: 'a'", "--x: 'b'"])
        #expect(problems.attempt { () throws(StartError) -> Int in throw StartError("--y", "no", .refused) } == nil)
        #expect(problems.all.count == 3 && problems.all[2].status == .refused)
    }
}
