import Control
import Foundation

enum Program: String {
    case agent, controller
}
