import Base
import Testing

@Suite struct HostPortTests {
    @Test(arguments: [
        ("controller.example.org:7950", "controller.example.org", 7950), ("CONTROLLER:1", "controller", 1),
        ("my_host.lab:65535", "my_host.lab", 65535), ("a.b.:53", "a.b.", 53), ("1a:80", "1a", 80),
        ("10.0.0.x:80", "10.0.0.x", 80),
    ])
    func `a name with a port is read`(text: String, host: String, port: UInt16) throws {
        let read = try #require(HostPort(text))
        #expect(read.host == host && read.port == port)
        #expect(HostPort(read.description) == read)
    }

    @Test(arguments: [
        "", ":", "host", "host:", ":80", "host:0", "host:65536", "host:+1", "host:80 ", " host:80", "10.0.0.300:80",
        "10.0.0.1:80", "[::1]:80", "::1:80", "-host:80", "host-:80", "a..b:80", ".a:80", "h\u{f6}st:80", "a b:80",
        "\(String(repeating: "a", count: 64)):80", "\(String(repeating: "a.", count: 127)):80", "http://host:80",
    ])
    func `what is no name with a port is not`(text: String) {
        #expect(HostPort(text) == nil)
    }
}
