import ArgumentParser
import Base
import Control
import Wire

struct NodeDetail: Verb {
    static let configuration = CommandConfiguration(commandName: "node", abstract: "Shows one node in detail.")

    @OptionGroup var common: Common
    @Argument(help: "A node's name, id, or the first digits of its id.") var name: String

    func perform() throws { try NodeText.show(name, self) }
}
