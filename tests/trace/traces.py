"""Traces for tests: three small ones whose every export is kept, and any number of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from iocp_emu import CompletionPort, Event, compute, sleep
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.trace import PortStep, Trace, TracedSimulation


def three_waiters(carrier: Carrier = Carrier.AUTO) -> Trace:
    """Q-06, Q-07: three threads park one after the other; packets find them in the opposite order."""

    def worker(port: CompletionPort) -> None:
        while port.get().key != "stop":
            compute(0.001)

    def producer(port: CompletionPort) -> None:
        for key in ("first", "second", "third"):
            sleep(0.01)
            port.post(key=key, bytes=len(key))
        sleep(0.01)
        for _ in range(3):
            port.post(key="stop")

    with TracedSimulation(processors=1, seed=1, title="three waiters", carrier=carrier) as simulation:
        port = CompletionPort(1)
        for name in ("ann", "bob", "cleo"):
            simulation.spawn(worker, port, name=name)
        simulation.spawn(producer, port, name="producer")
        simulation.run()
    return simulation.trace


def blocked_worker(carrier: Carrier = Carrier.AUTO) -> Trace:
    """Q-23, Q-25, Q-26, Q-32: a worker blocks, another is released, and the count exceeds the limit afterwards."""

    def worker(port: CompletionPort, event: Event) -> None:
        while (packet := port.get()).key != "stop":
            if packet.key == "wait":
                event.wait()
            compute(0.01)

    def main() -> None:
        port, event = CompletionPort(1), Event()
        for name in ("ann", "bob"):
            simulation.spawn(worker, port, event, name=name)
        sleep(0.001)
        for key in ("wait", "work", "more"):
            port.post(key=key)
        sleep(0.005)
        event.set()
        sleep(0.1)
        for _ in range(2):
            port.post(key="stop")

    with TracedSimulation(processors=2, seed=1, title="a worker blocks", carrier=carrier) as simulation:
        simulation.spawn(main, name="main")
        simulation.run()
    return simulation.trace


def closed_port(carrier: Carrier = Carrier.AUTO) -> Trace:
    """O-21, Q-15, Q-24, Q-30: two ports, timeouts, a thread that changes over, and a port that is closed."""
    with TracedSimulation(processors=2, seed=1, title="<two> ports & an end", carrier=carrier) as simulation:
        left, right = CompletionPort(1), CompletionPort(2)

        def wanderer() -> None:
            for port, timeout in ((left, 0), (left, 0.01), (right, 0)):
                try:
                    port.get(timeout)
                except TimeoutError:
                    pass
            left.post(key=("a", "tuple"))
            right.post(key=7)

        def waiter() -> None:
            try:
                right.get()
                right.get()
            except OSError:
                pass

        def closer() -> None:
            sleep(0.05)
            left.close()
            right.close()

        for function in (wanderer, waiter, closer):
            simulation.spawn(function)
        simulation.run()
    return simulation.trace


SMALL: dict[str, Callable[[Carrier], Trace]] = {
    "three_waiters": three_waiters,
    "blocked_worker": blocked_worker,
    "closed_port": closed_port,
}


def busy(packets: int, workers: int = 8) -> Trace:
    """About seven events for each packet: some workers block, the others compute."""

    def worker(port: CompletionPort) -> None:
        while (packet := port.get()).key != "stop":
            compute(0.001)
            if packet.key % 3 == 0:
                sleep(0.004)

    def producer(port: CompletionPort) -> None:
        for number in range(packets):
            port.post(key=number)
            if number % 4 == 0:
                sleep(0.002)
        for _ in range(workers):
            port.post(key="stop")

    with TracedSimulation(processors=4, seed=1, title=f"{packets} packets") as simulation:
        port = CompletionPort(4)
        for number in range(workers):
            simulation.spawn(worker, port, name=f"worker {number + 1}")
        simulation.spawn(producer, port, name="producer")
        simulation.run()
    return simulation.trace


def repeated(trace: Trace, times: int) -> Trace:
    """The trace several times over, one after the other: a long one, soon made."""
    whole = Trace(trace.title, trace.engine, trace.processors, trace.threads, trace.ports)
    for _ in range(times):
        events, packets, seconds = len(whole.events), len(whole.packets), whole.seconds
        whole.packets.extend(replace(each, number=each.number + packets) for each in trace.packets)
        for event in trace.events:
            moved = replace(event, number=event.number + events, time_seconds=event.time_seconds + seconds)
            if isinstance(moved, PortStep):
                cause = None if moved.cause is None else moved.cause + events
                moved = replace(moved, packets=tuple(each + packets for each in moved.packets), cause=cause)
            whole.events.append(moved)
    return whole
