"""Programs that several tests run: plain functions, as they would be written for real threads."""

from __future__ import annotations

from typing import Any

from iocp_emu import CompletionPort, blocking, compute, sleep, spawn

STOP = "stop"


def first_program() -> int:
    """The README's first program; its wait is `sleep`, which is virtual in a simulation and real outside."""

    def worker(port: CompletionPort) -> int:
        served = 0
        while port.get().key != STOP:
            with blocking():
                sleep(0.001)
            served += 1
        return served

    with CompletionPort(concurrency=2) as port:
        workers = [spawn(worker, port) for _ in range(4)]
        for number in range(20):
            port.post(bytes=number, key="work")
        for _ in workers:
            port.post(key=STOP)
        return sum(thread.join() for thread in workers)


def pipeline(count: int = 25) -> list[int]:
    """Two stages with a port each; what comes out, sorted."""

    def stage(source: CompletionPort, target: CompletionPort, add: int) -> None:
        while (packet := source.get()).key != STOP:
            compute(0.0001)
            target.post(packet.bytes + add, "work")
        source.post(key=STOP)

    with CompletionPort(2) as first, CompletionPort(1) as second, CompletionPort() as results:
        stages = [spawn(stage, first, second, 100, name="double") for _ in range(3)]
        stages += [spawn(stage, second, results, 1000, name="finish") for _ in range(2)]
        for number in range(count):
            first.post(number, "work")
        found = sorted(results.get().bytes for _ in range(count))
        first.post(key=STOP)
        second.post(key=STOP)
        for each in stages:
            each.join()
        return found


def mixed(log: list[Any], now: Any) -> None:
    """A bit of everything, with what happened in `log`."""

    def worker(port: CompletionPort, name: str) -> None:
        while True:
            try:
                packet = port.get(timeout=0.004)
            except TimeoutError:
                log.append((now(), name, "timeout"))
                return
            log.append((now(), name, packet.bytes))
            if packet.bytes % 3 == 0:
                sleep(0.001)
            else:
                compute(0.0015)

    port = CompletionPort(2)
    workers = [spawn(worker, port, f"w{number}") for number in range(4)]
    for number in range(12):
        port.post(number)
        if number % 4 == 3:
            sleep(0.002)
    for each in workers:
        each.join()
    log.append(now())
