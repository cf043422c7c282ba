"""L09: how many threads should compute at a time."""

from __future__ import annotations

from ... import CompletionPort, compute
from .attempt import Attempt, expect
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import dismiss, now, start_parked, until

INTERPRETER_LOCK = (
    "CPython's threads share one interpreter lock: eight of them compute no more in a second than one does, whatever "
    "the concurrency value. The simulation has real processors to share."
)


def program(packets: int = 8) -> Facts:
    """Packets of one second of computing; three concurrency values."""

    def measure(concurrency: int) -> tuple[float, float]:
        port = CompletionPort(concurrency)
        seconds: list[float] = []

        def worker(name: str) -> None:
            while True:
                port.get()
                begun = now()
                compute(1.0)
                seconds.append(now() - begun)

        threads = start_parked(port, worker, "ABCDEFGH")
        begun = now()
        for _ in range(packets):
            port.post()
        until(lambda: len(seconds) == packets)
        total = now() - begun
        dismiss(port, threads)
        return round(total, 1), round(sum(seconds) / packets, 1)

    two, four, eight = measure(2), measure(4), measure(8)
    return {
        "with 2: seconds in all, seconds for one packet": two,
        "with 4": four,
        "with 8": eight,
        "8 is done sooner than 4": eight[0] < four[0],
    }


STARTER = """\
# A machine has 6 processors; each packet is half a second of computing, and
# 24 workers wait. Choose the concurrency value: all work done as early as
# possible, and no single packet taking longer than it must.

CONCURRENCY = 24
"""

SOLUTION = "CONCURRENCY = 6\n"


def measure(concurrency: int) -> tuple[float, float]:
    """Seconds in all and the longest of one packet, for the exercise; on the machine of the caller."""
    port = CompletionPort(concurrency)
    seconds: list[float] = []

    def worker(name: str) -> None:
        while True:
            port.get()
            begun = now()
            compute(0.5)
            seconds.append(now() - begun)

    threads = start_parked(port, worker, [f"worker {number}" for number in range(24)])
    begun = now()
    for _ in range(24):
        port.post()
    until(lambda: len(seconds) == 24)
    total = now() - begun
    dismiss(port, threads)
    return total, max(seconds)


def judge(attempt: Attempt) -> None:
    """Within a few percent of the earliest end and of the shortest packet."""
    concurrency = attempt.whole("CONCURRENCY", 0, 0xFFFFFFFF)
    total, longest = attempt.simulate(measure, concurrency, processors=6)
    expect(total < 2.1, f"all done after {total:.1f} seconds; it can be done in 2.0: processors are idle")
    expect(longest < 0.55, f"a packet took {longest:.1f} seconds, of which it computed 0.5: threads share processors")


LESSON = Lesson(
    id="L09",
    name="computation",
    title="Pure computing: as many threads as processors",
    question=Question(
        "Four processors, eight workers, eight packets of one second of pure computing. Is all done sooner with "
        "concurrency value 8 than with 4?",
        "8 is done sooner than 4",
        (
            Choice("No: four processors do not compute more for more threads.", False),
            Choice("Yes: twice as many work at a time.", True),
        ),
    ),
    program=program,
    limits={"packets": (1, 24)},
    explanation=(
        "With 2, half of the machine is idle: four seconds. With 4, each processor has one thread: two seconds. With "
        "8 it is two seconds as well, but eight threads take turns on four processors, so each packet takes two "
        "seconds instead of one. Nothing is won, and every single packet is later.",
        "So for pure computing the best value is the number of processors, and 0 stands for that. The number of "
        "threads is another matter: have more than the value, since a worker that blocks is replaced by one that "
        "waits (L11). Threads that wait cost no computing.",
    ),
    rules=("A-08", "Q-03", "Q-29"),
    sentences=(15,),
    answers={
        7: "Logical ones (Q-03). Raymond Chen's experiment of 2018: ten threads that compute for a second per packet; "
        "with the default, as many are active as there are logical processors (A-11).",
        8: "The value: the number of processors, that is 0. The threads: at least twice that is the rule of thumb, "
        "and more if workers wait much (A-08). The value bounds those that run, the number of threads bounds how many "
        "can wait at the same time. No thread is made for you.",
        10: "Yes, in effect: every thread with a packet runs. You lose the one thing that the port does about "
        "switches: more runnable threads than processors preempt one another (the fact for 8 above), as in any pool. "
        "A small limit is no danger as long as the system sees a worker block; a worker that spins for another's work "
        "is one (A-07).",
    },
    variation=Variation(
        {"packets": 4},
        "Four packets: with 4 and with 8 it is the same, one second each, since no more than four threads have "
        "anything to do.",
    ),
    exercise=Exercise("Choose the value for a machine with 6 processors and pure computing.", STARTER, SOLUTION, judge),
    timeline_rows=0,
    simulation_only=INTERPRETER_LOCK,
)
