import Base
import EventLoop
import Glibc
import Synchronization
import Testing

extension EventLoopTests {
    @Suite struct LoopTests {
        @Test func `a loop without sources returns at once`() {
            let loop = Loop()
            loop.run()
            #expect(loop.sources.isEmpty)
        }

        @Test func `stop ends a run that has work left`() {
            let loop = Loop(), count = Box(0)
            let timer = Timer(on: loop, "ticks") {
                count.value += 1
                if count.value == 3 { loop.stop() }
            }
            timer.arm(every: .milliseconds(1))
            loop.run()
            #expect(count.value == 3)
            #expect(timer.isOpen)
        }

        @Test func `posts from many threads all run, in each thread's order`() {
            let threads = 8, each = 2000
            let loop = Loop(), seen = Box(Array(repeating: 0, count: threads)), total = Box(0), isInOrder = Box(true)
            struct Order: @unchecked Sendable {
                let seen: Box<[Int]>, total: Box<Int>, isInOrder: Box<Bool>
            }
            let order = Order(seen: seen, total: total, isInOrder: isInOrder)
            let door = loop.door
            var handles: [pthread_t] = []
            for thread in 0..<threads {
                handles.append(
                    startThread {
                        for number in 0..<each {
                            let isPosted = door.post {
                                if order.seen.value[thread] != number { order.isInOrder.value = false }
                                order.seen.value[thread] = number + 1
                                order.total.value += 1
                            }
                            precondition(isPosted)
                        }
                    })
            }
            #expect(drive(loop) { total.value == threads * each })
            for handle in handles { pthread_join(handle, nil) }
            #expect(isInOrder.value)
            #expect(seen.value == Array(repeating: each, count: threads))
        }

        @Test func `a post after the loop has gone is refused and dropped`() {
            final class Witness: Sendable {}
            var loop: Loop? = Loop()
            let door = loop!.door
            #expect(door.post {})
            loop = nil
            weak var witness: Witness?
            do {
                let captured = Witness()
                witness = captured
                #expect(!door.post { _ = captured })
            }
            #expect(witness == nil)
        }

        @Test func `a post from within a post runs after it, and what it starts keeps the loop running`() {
            let loop = Loop(), order = Box<[Int]>([])
            loop.post { [order = UncheckedBox(order), loop = UncheckedBox(loop)] in
                loop.box.post {
                    order.box.value.append(2)
                    let timer = Box<Timer?>(nil)
                    timer.value = Timer(on: loop.box, "third") {
                        order.box.value.append(3)
                        timer.value = nil
                    }
                    timer.value?.arm(after: .milliseconds(1))
                }
                order.box.value.append(1)
            }
            loop.run()
            #expect(order.value == [1, 2, 3])
            loop.stop()
            loop.post { [order = UncheckedBox(order)] in order.box.value.append(4) }
            loop.run()
            #expect(order.value == [1, 2, 3])
            loop.run()
            #expect(order.value == [1, 2, 3, 4])
        }

        @Test func `the loop lists the descriptions of its sources until they are closed`() throws {
            let loop = Loop()
            let timer = Timer(on: loop, "heartbeat") {}
            let signal = try Signal(on: loop, "reload", number: SIGHUP) {}
            #expect(loop.sources == ["heartbeat", "reload"])
            timer.close()
            timer.close()
            #expect(loop.sources == ["reload"])
            #expect(signal.isOpen)
        }

        @Test func `a source used off its loop's thread is a crash (in its own process)`() async {
            await #expect(processExitsWith: .failure) {
                let loop = Loop()
                let timer = UncheckedBox(Timer(on: loop, "wrong thread") {})
                pthread_join(startThread { timer.box.arm(after: .zero) }, nil)
            }
        }

        @Test func `thousands of sources open and close without a trace`() throws {
            let before = descriptorCount(), cycles = 2000
            for cycle in 0..<20 {
                let loop = Loop()
                for index in 0..<cycles / 20 {
                    let timer = Timer(on: loop, "timer") {}
                    timer.arm(after: .seconds(60))
                    let pipe = try FileDescriptor.pipe().ends()
                    let poll = try Poll(on: loop, "poll", owning: FileDescriptor(owning: pipe.read)) { _ in }
                    poll.start(.readable)
                    let stream = try ByteStream(on: loop, "stream", adopting: FileDescriptor(owning: pipe.write))
                    stream.write([1])
                    let signal = try Signal(on: loop, "signal", number: SIGUSR2) {}
                    let socket = try DatagramSocket(
                        on: loop, "socket", bind: SocketAddress(.loopback4, 0)
                    ) { _ in }
                    // Some by hand, some by going out of scope, some before and some after a turn of the loop.
                    if index % 2 == 0 { socket.close() }
                    if index % 3 == 0 { loop.runOnce(nonblocking: true) }
                    if index % 5 == 0 { signal.close() }
                }
                if cycle % 2 == 0 { loop.run() }
            }
            #expect(descriptorCount() < before + cycles / 20)
        }

        @Test func `a loop that goes while work is under way waits for it and drops the result`() {
            let isDone = Box(false)
            do {
                let loop = Loop(), blocking = Blocking(on: loop, "slow")
                blocking.run({ usleep(50_000) }, then: { isDone.value = true })
                loop.runOnce(nonblocking: true)
            }
            #expect(!isDone.value)
        }
    }

    @Suite struct BlockingTests {
        @Test func `the result is delivered on the loop's thread`() {
            let loop = Loop(), blocking = Blocking(on: loop, "sum"), results = Box<[Int]>([]), home = pthread_self()
            let isHome = Box(true), wasAway = Box(true)
            for number in 0..<100 {
                blocking.run(
                    { [home = UncheckedBox(Box(home))] in
                        (number * 2, pthread_equal(home.box.value, pthread_self()) == 0)
                    },
                    then: { result in
                        results.value.append(result.0)
                        if !result.1 { wasAway.value = false }
                        if pthread_equal(home, pthread_self()) == 0 { isHome.value = false }
                    })
            }
            #expect(blocking.pending == 100)
            #expect(drive(loop) { results.value.count == 100 })
            #expect(results.value.sorted() == (0..<100).map { $0 * 2 })
            #expect(isHome.value && wasAway.value)
            #expect(blocking.pending == 0)
        }

        @Test func `closing cancels what waits and drops what runs`() {
            let loop = Loop(), blocking = Blocking(on: loop, "sleepers"), home = Box(0), counter = Counter()
            for _ in 0..<32 {
                blocking.run(
                    {
                        counter.begun.add(1, ordering: .relaxed)
                        usleep(20_000)
                    }, then: { home.value += 1 })
            }
            blocking.close()
            loop.run()
            #expect(counter.begun.load(ordering: .relaxed) < 32)
            #expect(home.value == 0)
        }
    }
}

final class Counter: Sendable {
    let begun = Atomic(0)
}

/// Carries a box to another thread where the test knows that this is safe.
struct UncheckedBox<Value>: @unchecked Sendable {
    let box: Value
    init(_ box: Value) { self.box = box }
}

func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var thread = pthread_t()
    let status = pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, Unmanaged.passRetained(Body(body)).toOpaque())
    precondition(status == 0)
    return thread
}
