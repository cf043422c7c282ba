"""Programs that never get anywhere, or only sometimes, each beside its right version."""

from __future__ import annotations

from itertools import count

from iocp_emu import CompletionPort, Event, sleep, spawn
from iocp_emu.testing import eventually, sometimes

STOP = "stop"


def hidden_wait() -> None:
    """A worker waits by polling: the port takes it for busy, and the packet that would help stays queued (Q-13)."""
    helped: list[bool] = []

    def worker() -> None:
        while (packet := port.get()).key != STOP:
            if packet.key == "help":
                helped.append(True)
            else:
                while not helped:
                    sleep(0)

    with CompletionPort(1) as port:
        pool = [spawn(worker) for _ in range(2)]
        for key in ("needs help", "help", STOP, STOP):
            port.post(key=key)
        for each in pool:
            each.join()


def hidden_wait_right() -> None:
    """It waits for an event, and its slot is free meanwhile (Q-23)."""
    helped = Event()

    def worker() -> None:
        while (packet := port.get()).key != STOP:
            if packet.key == "help":
                helped.set()
            else:
                helped.wait()

    with CompletionPort(1) as port:
        pool = [spawn(worker) for _ in range(2)]
        for key in ("needs help", "help", STOP, STOP):
            port.post(key=key)
        for each in pool:
            each.join()


def addressed_packets() -> None:
    """A packet that is meant for one worker is posted again by the other, who gets it again (Q-14)."""

    def worker(name: str) -> None:
        while port.get().key != name:
            port.post(key="right")

    with CompletionPort(1) as port:
        pool = [spawn(worker, "left", name="left"), spawn(worker, "right", name="right")]
        port.post(key="right")
        pool[1].join()
        port.post(key="left")
        pool[0].join()


def addressed_packets_right() -> None:
    """Each has a port of its own."""

    def worker(port: CompletionPort, name: str) -> None:
        assert port.get().key == name

    with CompletionPort(1) as left, CompletionPort(1) as right:
        pool = [spawn(worker, left, "left", name="left"), spawn(worker, right, "right", name="right")]
        right.post(key="right")
        pool[1].join()
        left.post(key="left")
        pool[0].join()


def polling_consumer() -> None:
    """A consumer polls and never lets anybody know; its producer has given up before."""
    with CompletionPort() as port:
        while True:
            try:
                port.get(timeout=0)
                break
            except TimeoutError:
                pass


def polling_consumer_right() -> None:
    """There is a producer, and the consumer waits."""
    with CompletionPort() as port:
        each = spawn(port.post)
        port.get()
        each.join()


def heartbeat() -> None:
    """Time passes, and nothing else: a timer that nobody stops."""
    stopped: list[bool] = []

    def beat() -> None:
        while not stopped:
            sleep(1)

    spawn(beat).join()


def heartbeat_right() -> None:
    """Somebody does."""
    stopped: list[bool] = []

    def beat() -> None:
        while not stopped:
            sleep(1)

    each = spawn(beat)
    sleep(3)
    stopped.append(True)
    each.join()


def never_answers() -> None:
    """A request is dropped when the server is asked to stop first."""
    asked: list[bool] = []
    answered: list[bool] = []
    eventually("the request is answered", lambda: answered, when=lambda: asked)

    def server() -> None:
        if port.get().key != STOP:
            answered.append(True)

    def client() -> None:
        asked.append(True)
        port.post(key="request")

    with CompletionPort() as port:
        pool = [spawn(server), spawn(client)]
        port.post(key=STOP)
        for each in pool:
            each.join()


def never_answers_right() -> None:
    """It is asked to stop when the client has got its answer."""
    asked: list[bool] = []
    answered: list[bool] = []
    eventually("the request is answered", lambda: answered, when=lambda: asked)

    def server() -> None:
        while port.get().key != STOP:
            answered.append(True)

    def client() -> None:
        asked.append(True)
        port.post(key="request")

    with CompletionPort() as port:
        pool = [spawn(server), spawn(client)]
        pool[1].join()
        port.post(key=STOP)
        pool[0].join()


def never_together() -> None:
    """A pool of two that is meant to work side by side: the limit of 1 does not let it."""
    working: set[int] = set()
    sometimes("two work at the same time", lambda: len(working) == 2)

    def worker(number: int) -> None:
        port.get()
        working.add(number)
        log.post(key="working")
        working.discard(number)

    with CompletionPort(1) as port, CompletionPort() as log:
        pool = [spawn(worker, number) for number in range(2)]
        port.post(key="job")
        port.post(key="job")
        for each in pool:
            each.join()


def never_together_right() -> None:
    """The limit is 2."""
    working: set[int] = set()
    sometimes("two work at the same time", lambda: len(working) == 2)

    def worker(number: int) -> None:
        port.get()
        working.add(number)
        log.post(key="working")
        working.discard(number)

    with CompletionPort(2) as port, CompletionPort() as log:
        pool = [spawn(worker, number) for number in range(2)]
        port.post(key="job")
        port.post(key="job")
        for each in pool:
            each.join()


_calls = count()


def remembers_runs() -> None:
    """What it does depends on how often it ran before."""
    assert next(_calls) % 2, "every other time"
