"""The knee: its definition on curves made by hand, and the sentence that says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iocp_emu.teach.experiment import Cause, Result, Times
from iocp_emu.teach.experiment.results import tolerance_of
from tests.teach.experiment.laws import made_result, made_run


@pytest.mark.parametrize(
    ("throughputs", "knee"),
    [
        ([100, 200, 300, 400, 400, 400], 4),
        ([100, 200, 300, 381, 400, 399], 4),  # within 5 % of the best
        ([100, 200, 300, 379, 400, 399], 5),  # not within 5 %
        ([400, 390, 380, 300], 1),
        ([100, 200, 300], 3),
        ([100, 100, 100], 1),
    ],
)
def test_the_smallest_value_within_five_percent_of_the_best(throughputs: list[float], knee: int) -> None:
    """With 4 processors the tolerance is 5 %."""
    assert made_result(throughputs).knee.concurrency == knee


def test_with_many_processors_the_tolerance_is_half_of_what_one_adds() -> None:
    """At 64 processors 63 are within 2 % of the best, and still not the knee."""
    result = made_result([10.0 * min(value, 64) for value in range(1, 80)], processors=64)
    assert tolerance_of(result) == 0.5 / 64
    assert result.knee.concurrency == 64


def test_runs_that_differ_much_widen_the_tolerance() -> None:
    """Twice the standard error: what cannot be told apart counts as equal; half at most."""
    result = made_result([80, 90], repeat=4)
    runs = [made_run(1, 1, each, repetition=index) for index, each in enumerate((60, 70, 90, 100))]
    runs += [made_run(2, 2, each, repetition=index) for index, each in enumerate((90, 90, 90, 90))]
    spread = Result.of(result.settings, runs)
    assert 0.2 < tolerance_of(spread) < 0.3
    assert spread.knee.concurrency == 1
    assert made_result([80, 90]).knee.concurrency == 2


def test_at_a_rate_the_latencies_of_the_runs_count() -> None:
    """Where latency decides, it is its spread that widens the tolerance, and not the throughput's."""
    made = made_result([100], arrivals="rate=100", repeat=2)
    runs = [
        replace(made.points[0].runs[0], repetition=index, latency=Times(mean, mean, mean, mean, mean))
        for index, mean in enumerate((1.0, 1.2))
    ]
    assert tolerance_of(Result.of(made.settings, runs)) == pytest.approx(2 * 0.1 / 1.1)


def test_at_a_rate_the_latency_decides() -> None:
    """The throughput is given then; a larger value with half the mean latency is the knee."""
    result = made_result([100, 100, 100], arrivals="rate=100")
    fast = made_run(3, 3, 100)
    runs = [made_run(value, value, 100, latency=Times(2, 2, 2, 2, 2)) for value in (1, 2)]
    assert Result.of(result.settings, [*runs, fast]).knee.concurrency == 3


@pytest.mark.parametrize(
    ("result", "cause", "words"),
    [
        (made_result([100, 200, 300, 400, 400], use=1.0), Cause.PROCESSORS, "4 = the processors: there they are 100%"),
        (made_result([400, 400, 400], use=0.99), Cause.REPLACED, "come back beyond the limit (Q-26)"),
        (made_result([100, 200, 300, 300]), Cause.OTHER, "larger values gain nothing here"),
        (made_result([100, 200, 300]), Cause.RISING, "try larger ones"),
        (made_result([100]), Cause.ALONE, "only this value was measured"),
        (made_result([1, 2, 2], threads=2), Cause.THREADS, "all 2 threads are in use"),
        (made_result([1, 2, 3, 4, 5, 6, 6], work="hidden=1s"), Cause.HIDDEN, "waits that the port cannot see"),
        (made_result([1, 2, 3, 4, 5, 6, 6], arrivals="batch", packets=7), Cause.TAIL, "the last packets of the batch"),
        (made_result([100, 100], arrivals="rate=100"), Cause.PACKETS, "packets come at 100 per second"),
    ],
)
def test_the_sentence_says_what_was_measured(result: Result, cause: Cause, words: str) -> None:
    """Each cause has its state of the machine, and its sentence."""
    assert result.knee.cause is cause
    assert words in result.knee.sentence


def test_the_lock_of_the_interpreter_is_named() -> None:
    """When all threads together keep one processor busy, that is the GIL, in the sentence and in a note."""
    made = made_result([100, 100, 100], use=0.24)
    locked = Result.of(made.settings, [run for point in made.points for run in point.runs], interpreter_lock=True)
    assert locked.knee.cause is Cause.LOCK
    assert "one thread at a time computes, because of the interpreter's lock (the GIL)" in locked.knee.sentence
    assert any("0.96 of 4 were measured" in note for note in locked.notes)
    waiting = made_result([100, 200, 200], use=0.24, work="cpu=5ms,block=5ms")
    runs = [run for point in waiting.points for run in point.runs]
    assert Result.of(waiting.settings, runs, interpreter_lock=True).knee.cause is Cause.LOCK
    slow = Result.of(waiting.settings, [replace(run, processor_use=0.1) for run in runs], interpreter_lock=True)
    assert slow.knee.cause is Cause.OTHER
    free = Result.of(made.settings, [run for point in made.points for run in point.runs], interpreter_lock=False)
    assert free.notes == (
        "This Python runs without the GIL: its threads compute side by side, as the port's rules assume.",
    )


def test_zero_stands_where_its_meaning_does() -> None:
    """0 means the processors (Q-03): it is sorted there, and the sentence says what it means."""
    settings = made_result([1, 2], concurrency=(0, 2, 8)).settings
    runs = [made_run(8, 8, 400), made_run(0, 4, 400, processor_use=1.0), made_run(2, 2, 200)]
    result = Result.of(settings, runs)
    assert [point.concurrency for point in result.points] == [2, 0, 8]
    assert result.knee.sentence.startswith("0 (which means 4) = the processors")
    with pytest.raises(KeyError):
        result.at(4)
