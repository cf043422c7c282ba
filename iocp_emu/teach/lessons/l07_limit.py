"""L07: what the concurrency value limits."""

from __future__ import annotations

from ... import CompletionPort, Event, spawn
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import busy_until, dismiss, poll, start_parked, until


def program(concurrency: int = 2) -> Facts:
    """Four workers wait, three packets come."""
    port = CompletionPort(concurrency)
    running: list[str] = []
    ask, done = Event(), Event()
    answers: list[str] = []

    def worker(name: str) -> None:
        port.get()
        running.append(name)
        if name == "D":  # the first to be released asks for more
            busy_until(ask.is_set)
            answers.append(poll(port))
        busy_until(done.is_set)

    threads = start_parked(port, worker, "ABCD")
    for number in (1, 2, 3):
        port.post(key=number)
    until(lambda: len(running) + port.depth == 3)
    seen = f"{len(running)} run, {port.depth} queued, {port.waiting} wait"

    stranger = spawn(poll, port, name="stranger").join()
    ask.set()
    until(lambda: answers)
    done.set()
    dismiss(port, threads)
    return {
        "after three packets": seen,
        "a fifth thread polls": stranger,
        "D, which runs, polls": answers[0],
    }


STARTER = """\
# A port has concurrency value 3. Five workers wait; then seven packets are
# posted, and no worker comes back yet. How many workers run, how many
# packets are queued, how many workers still wait?

RUNNING = 5
QUEUED = 2
WAITING = 0
"""

SOLUTION = "RUNNING = 3\nQUEUED = 4\nWAITING = 2\n"


def judge(attempt: Attempt) -> None:
    """The guesses against a run."""
    running, queued, waiting = (attempt.whole(name, 0, 10) for name in ("RUNNING", "QUEUED", "WAITING"))

    def look() -> tuple[int, int, int]:
        port = CompletionPort(concurrency=3)
        at_work: list[str] = []

        def worker(name: str) -> None:
            port.get()
            at_work.append(name)
            busy_until(lambda: port.closed)

        threads = start_parked(port, worker, "ABCDE")
        for _ in range(7):
            port.post()
        until(lambda: len(at_work) + port.depth == 7)
        seen = len(at_work), port.depth, port.waiting
        dismiss(port, threads)
        return seen

    right = attempt.simulate(look)
    expect(running + queued == 7, "seven packets: each is with a worker or in the queue")
    expect(running + waiting == 5, "five workers: each runs or waits")
    expect((running, queued, waiting) == right, "how many threads run at most when the port hands out packets?")


LESSON = Lesson(
    id="L07",
    name="limit",
    title="What the concurrency value limits",
    question=Question(
        "A port has concurrency value 2. Four workers wait in get. Three packets are posted, and the workers that get "
        "one compute for a while. What is to be seen then?",
        "after three packets",
        (
            Choice("Three workers run, one waits.", "3 run, 0 queued, 1 wait"),
            Choice("Four workers run: the limit counts threads that wait, too.", "4 run, 0 queued, 0 wait"),
            Choice("Two workers run, one packet is queued, two workers wait.", "2 run, 1 queued, 2 wait"),
        ),
    ),
    program=program,
    limits={"concurrency": (1, 100)},
    explanation=(
        "The port counts its runnable threads: those that have called get on it and are not waiting for anything. It "
        "hands out a packet only while that count is below the concurrency value. So two packets went to two workers, "
        "and the third stays in the queue, although two workers wait and would like to have it.",
        "The same holds for whoever asks. A fifth thread, with a timeout of 0, is told that there is nothing: a "
        "packet is queued, but the limit is reached, and it would be one more. D is one of the two that run. When it "
        "asks it gives up its own slot first; so there is room for one, and it gets the packet.",
        "No packet is processed twice or by two threads. Concurrently means: different packets at the same time.",
    ),
    rules=("A-06", "Q-10", "Q-13", "Q-11"),
    sentences=(10, 11),
    simplifications={
        10: "It limits what is handed out, not who may run. A thread that comes back from another wait is counted "
        "whatever the limit says, so more can be runnable than the value (Q-26, L11).",
        11: "The strongest simplification of the page. No running thread is ever stopped: the only threads that wait "
        "are those that ask for a packet (Q-13, Q-32).",
    },
    answers={
        1: "Different packets are processed at the same time, each by one thread, on as many threads as the value "
        "says; on more only for a while, when one comes back from another wait (L11). More threads than that may call "
        "get; those beyond wait until one of the others asks again, blocks or ends (Q-10, Q-25, Q-28).",
        9: "Only of those threads that have called get on this port, and none of them is ever stopped: the port "
        "merely hands out no further packet (A-06). Under CPython's lock one thread at a time executes Python code "
        "anyway; the limit then decides how many take turns at it.",
    },
    variation=Variation(
        {"concurrency": 3},
        "With 3 all packets are out, nothing is queued, and both who poll find nothing, for want of a packet this "
        "time.",
    ),
    exercise=Exercise("Three may run, five wait, seven packets come: count.", STARTER, SOLUTION, judge),
)
