"""Programs to step through."""

from __future__ import annotations

from iocp_emu import CompletionPort, spawn


def lost_update(writers: int = 2) -> None:
    """A counter is read before a call and written after it."""
    total = 0

    def writer() -> None:
        nonlocal total
        seen = total
        port.post(key="working")
        total = seen + 1

    with CompletionPort(1) as port:
        for each in [spawn(writer) for _ in range(writers)]:
            each.join()
    assert total == writers


def pool() -> None:
    """Two workers, two jobs, a limit of one."""

    def worker() -> None:
        while port.get().key != "stop":
            pass

    with CompletionPort(1) as port:
        workers = [spawn(worker, name=name) for name in ("one", "two")]
        for number in range(2):
            port.post(key=f"job {number}")
        for _ in workers:
            port.post(key="stop")
        for each in workers:
            each.join()


def stuck() -> None:
    """Waits for a packet that nobody posts."""
    with CompletionPort() as port:
        port.get()


def rude_name() -> None:
    """A thread whose name would clear a terminal, and a key that would."""
    with CompletionPort() as port:
        port.post(key="\x1b[2J")
        other = spawn(port.get, name="evil\x1b[2J")
        other.join()
