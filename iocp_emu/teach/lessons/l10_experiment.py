"""L10: long and short computations; an experiment."""

from __future__ import annotations

from ... import CompletionPort, compute
from .attempt import Attempt, expect
from .l09_computation import INTERPRETER_LOCK
from .lesson import Choice, Exercise, Facts, Lesson, Question, Variation
from .stage import dismiss, now, start_parked, until

SHORT_SECONDS = 0.010


def measure(concurrency: int, long_seconds: float, longs: int = 2, shorts: int = 6) -> tuple[float, float, float]:
    """Milliseconds until the last short one, until the last of all, and for one long one."""
    port = CompletionPort(concurrency)
    ends: dict[str, list[float]] = {"long": [], "short": []}
    longest: list[float] = []

    def worker(name: str) -> None:
        while True:
            packet = port.get()
            begun = now()
            compute(long_seconds if packet.key == "long" else SHORT_SECONDS)
            longest.append(now() - begun)
            ends[packet.key].append(now())

    threads = start_parked(port, worker, "ABCDEFGH")
    begun = now()
    for key in ["long"] * longs + ["short"] * shorts:
        port.post(key=key)
    until(lambda: len(longest) == longs + shorts)
    dismiss(port, threads)
    last_short, last = max(ends["short"]) - begun, max(max(each) for each in ends.values()) - begun
    return 1000 * last_short, 1000 * last, 1000 * max(longest)


def program(long_ms: int = 500) -> Facts:
    """Two long computations come first, then six of 10 ms."""
    table = {value: measure(value, long_ms / 1000) for value in (1, 2, 3, 8)}

    def row(value: int) -> str:
        last_short, last, long = table[value]
        parts = f"shorts after {last_short:.0f}, all after {last:.0f} ms"
        return f"{parts}, a long one takes {long:.0f} ms"

    soonest = min(table, key=lambda value: table[value][0])
    return {
        "the shorts are done soonest with": soonest,
        **{f"with {value}": row(value) for value in table},
    }


STARTER = """\
# Two processors. Two computations of 400 ms come first, then six of 10 ms.
# Experiment: find the smallest concurrency value with which all six short
# ones are done within a quarter of a second.

CONCURRENCY = 2
"""

SOLUTION = "CONCURRENCY = 3\n"


def judge(attempt: Attempt) -> None:
    """The smallest that does it."""
    concurrency = attempt.whole("CONCURRENCY", 1, 1000)
    last_short, _, _ = attempt.simulate(measure, concurrency, 0.4, processors=2)
    expect(last_short <= 250, f"with {concurrency} the last short one is done after {last_short:.0f} ms")
    if concurrency > 1:
        smaller, _, _ = attempt.simulate(measure, concurrency - 1, 0.4, processors=2)
        expect(smaller > 250, f"{concurrency} does it, but so does a smaller one")


LESSON = Lesson(
    id="L10",
    name="experiment",
    title="Long and short computations: experiment",
    question=Question(
        "Two processors. Two computations of half a second come first, then six of 10 milliseconds. With which "
        "concurrency value are the six short ones done soonest?",
        "the shorts are done soonest with",
        (
            Choice("1: one after the other is quickest.", 1),
            Choice("2: one thread for each processor.", 2),
            Choice("8: all of them share the processors.", 8),
        ),
    ),
    program=program,
    limits={"long_ms": (10, 2000)},
    explanation=(
        "With 2, both processors are taken by the long ones, and the short ones wait in the queue for half a second. "
        "With 3, one more thread runs; it shares the two processors with the long ones and takes the short ones in "
        "turn. With 8 all run at the same time, and the short ones are done almost at once.",
        "The price is the other column: the long ones share their processors, so each takes longer. All the work "
        "together takes as long as ever. A larger value buys quick answers for the short ones with the time of the "
        "long ones.",
        "What is best depends on what you want, and on your work; it is one number, so try it. Change it below, or "
        "take your own figures: `iocp-emu experiment` sweeps the value for any work that you describe.",
    ),
    rules=("A-08", "Q-06"),
    sentences=(16, 17, 18),
    answers={},
    variation=Variation(
        {"long_ms": 50},
        "Make the long ones 50 ms: now waiting for them costs little, and a larger value gains little.",
    ),
    exercise=Exercise("Find the smallest value with which the short ones are done in time.", STARTER, SOLUTION, judge),
    processors=2,
    timeline_rows=0,
    simulation_only=INTERPRETER_LOCK,
)
