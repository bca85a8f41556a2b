/// The version of all of Asterism's programs, which are built and shipped together.
package enum AsterismVersion {
    package static let current = "0.1.0"
}
