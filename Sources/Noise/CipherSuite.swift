/// The functions a handshake runs on; its curve is always 25519.
package struct CipherSuite: Hashable, Sendable {
    package var cipher: Cipher
    package var hash: HashFunction

    package init(_ cipher: Cipher, _ hash: HashFunction) {
        self.cipher = cipher
        self.hash = hash
    }
}
