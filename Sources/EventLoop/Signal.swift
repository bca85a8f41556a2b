import CLibuv

/// Calls back on a signal to this process. Several sources may watch one signal.
package final class Signal: Source {
    private var onSignal: (() -> Void)?
    package let number: Int32

    package init(on loop: Loop, _ description: String, number: Int32, onSignal: @escaping () -> Void) throws(Errno) {
        self.number = number
        self.onSignal = onSignal
        try super.init(on: loop, description, as: uv_signal_t.self) { uv_signal_init($0, $1) }
        try uv(uv_signal_start(raw(uv_signal_t.self), { handle, _ in Signal.of(handle)?.onSignal?() }, number))
    }

    override func didClose() { onSignal = nil }
}
