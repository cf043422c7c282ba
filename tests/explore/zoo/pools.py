"""Worker pools that are wrong, each beside its right version: stopping, closing, waiting inside, telling everybody."""

from __future__ import annotations

from iocp_emu import CompletionPort, Event, PortClosed, ResetMode, sleep, spawn
from iocp_emu.testing import always

STOP = "stop"


def stop_eaten(workers: int = 2) -> None:
    """A worker that looks for leftovers before it ends takes the stop packet of another."""

    def worker() -> None:
        while port.get().key != STOP:
            pass
        try:
            port.get(timeout=0)
        except TimeoutError:
            pass

    with CompletionPort() as port:
        pool = [spawn(worker) for _ in range(workers)]
        for _ in pool:
            port.post(key=STOP)
        for each in pool:
            each.join()


def stop_eaten_right(workers: int = 2) -> None:
    """It ends at the first stop packet that it gets."""

    def worker() -> None:
        while port.get().key != STOP:
            pass

    with CompletionPort() as port:
        pool = [spawn(worker) for _ in range(workers)]
        for _ in pool:
            port.post(key=STOP)
        for each in pool:
            each.join()


def forgotten_stop(workers: int = 3) -> None:
    """One stop packet too few."""

    def worker() -> None:
        while port.get().key != STOP:
            pass

    with CompletionPort() as port:
        pool = [spawn(worker) for _ in range(workers)]
        for _ in range(workers - 1):
            port.post(key=STOP)
        for each in pool:
            each.join()


def closed_before_drained(jobs: int = 2) -> None:
    """The port is closed while jobs are queued: they are gone (H-05)."""
    done: list[int] = []

    def worker() -> None:
        try:
            while True:
                done.append(port.get().bytes)
        except (PortClosed, ValueError):
            pass

    port = CompletionPort(1)
    each = spawn(worker)
    for number in range(jobs):
        port.post(number)
    port.close()
    each.join()
    assert len(done) == jobs


def closed_before_drained_right(jobs: int = 2) -> None:
    """A stop packet queues behind the jobs; the port is closed when the worker has ended."""
    done: list[int] = []

    def worker() -> None:
        while (packet := port.get()).key != STOP:
            done.append(packet.bytes)

    with CompletionPort(1) as port:
        each = spawn(worker)
        for number in range(jobs):
            port.post(number, "job")
        port.post(key=STOP)
        each.join()
    assert len(done) == jobs


def waits_inside() -> None:
    """The only worker waits for a job that only it could do."""
    done = Event()

    def worker() -> None:
        while (packet := port.get()).key != STOP:
            if packet.key == "outer":
                port.post(key="inner")
                done.wait()
            else:
                done.set()

    with CompletionPort(1) as port:
        each = spawn(worker)
        port.post(key="outer")
        port.post(key=STOP)
        each.join()


def waits_inside_right() -> None:
    """What comes after the inner job is a job of its own."""
    finished = Event()

    def worker() -> None:
        while (packet := port.get()).key != STOP:
            if packet.key == "outer":
                port.post(key="inner")
            else:
                finished.set()

    with CompletionPort(1) as port:
        each = spawn(worker)
        port.post(key="outer")
        finished.wait()
        port.post(key=STOP)
        each.join()


def nested_get() -> None:
    """A get on another port leaves the first one (Q-15): its slot is free, and a second job begins."""
    inside = 0
    always("one job at a time", lambda: inside <= 1)

    def worker() -> None:
        nonlocal inside
        jobs.get()
        inside += 1
        answers.get()
        inside -= 1

    with CompletionPort(1) as jobs, CompletionPort(1) as answers:
        pool = [spawn(worker) for _ in range(2)]
        for _ in pool:
            jobs.post(key="job")
        for _ in pool:
            answers.post(key="answer")
        for each in pool:
            each.join()


def nested_get_right() -> None:
    """What must happen one at a time has one worker."""
    inside = 0
    always("one job at a time", lambda: inside <= 1)

    def worker() -> None:
        nonlocal inside
        for _ in range(2):
            jobs.get()
            inside += 1
            answers.get()
            inside -= 1

    with CompletionPort(1) as jobs, CompletionPort(1) as answers:
        each = spawn(worker)
        for _ in range(2):
            jobs.post(key="job")
            answers.post(key="answer")
        each.join()


def tells_everybody(workers: int = 2) -> None:
    """One packet for each worker: but one worker may take them all (Q-07, Q-14)."""
    told: set[str] = set()

    def worker(name: str) -> None:
        while port.get().key != STOP:
            told.add(name)

    with CompletionPort() as port:
        pool = [spawn(worker, f"worker {number}") for number in range(workers)]
        for _ in pool:
            port.post(key="news")
        for _ in pool:
            port.post(key=STOP)
        for each in pool:
            each.join()
    assert len(told) == workers


def tells_everybody_right(workers: int = 2) -> None:
    """A manual-reset event tells everybody."""
    told: set[str] = set()
    news = Event()

    def worker(name: str) -> None:
        news.wait()
        told.add(name)

    pool = [spawn(worker, f"worker {number}") for number in range(workers)]
    news.set()
    for each in pool:
        each.join()
    assert len(told) == workers


def limit_assumed() -> None:
    """It assumes that never more run than the concurrency value says; who wakes up is counted at once (Q-26)."""
    def worker() -> None:
        while port.get().key != STOP:
            sleep(1)

    with CompletionPort(1) as port:
        always("at most one worker is active", lambda: port.active <= 1)
        pool = [spawn(worker) for _ in range(2)]
        for key in ("job", "job", STOP, STOP):
            port.post(key=key)
        for each in pool:
            each.join()


def limit_assumed_right() -> None:
    """An event that is spent on one worker keeps the others out of what one may do at a time."""
    inside = 0
    turn = Event(ResetMode.AUTO)
    turn.set()
    always("at most one worker is inside", lambda: inside <= 1)

    def worker() -> None:
        nonlocal inside
        while port.get().key != STOP:
            turn.wait()
            inside += 1
            sleep(1)
            inside -= 1
            turn.set()

    with CompletionPort(1) as port:
        pool = [spawn(worker) for _ in range(2)]
        for key in ("job", "job", STOP, STOP):
            port.post(key=key)
        for each in pool:
            each.join()


def closed_in_a_get() -> None:
    """The port is closed while a worker waits, and the worker does not expect that (O-21)."""

    def worker() -> None:
        port.get()

    port = CompletionPort()
    each = spawn(worker)
    sleep(1)
    port.close()
    each.join()


def closed_in_a_get_right() -> None:
    """It does."""

    def worker() -> None:
        try:
            port.get()
        except PortClosed:
            pass

    port = CompletionPort()
    each = spawn(worker)
    sleep(1)
    port.close()
    each.join()


def posts_after_close() -> None:
    """A producer is still at work when the port is closed."""

    def producer() -> None:
        port.post(key="late")

    port = CompletionPort()
    each = spawn(producer)
    port.close()
    each.join()


def posts_after_close_right() -> None:
    """The port is closed when the producer has ended."""

    def producer() -> None:
        port.post(key="in time")

    port = CompletionPort()
    each = spawn(producer)
    each.join()
    port.close()


def dies_with_the_job() -> None:
    """A worker that raises takes its answer along, and the client waits for ever."""

    def worker() -> None:
        packet = jobs.get()
        answers.post(10 // packet.bytes)

    with CompletionPort() as jobs, CompletionPort() as answers:
        spawn(worker)
        jobs.post(0)
        answers.get()


def dies_with_the_job_right() -> None:
    """It answers with the error."""

    def worker() -> None:
        packet = jobs.get()
        try:
            answers.post(10 // packet.bytes, "result")
        except ZeroDivisionError as error:
            answers.post(key=str(error))

    with CompletionPort() as jobs, CompletionPort() as answers:
        each = spawn(worker)
        jobs.post(0)
        assert "zero" in answers.get().key
        each.join()
