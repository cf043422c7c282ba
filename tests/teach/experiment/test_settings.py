"""Settings: the text of values and arrivals, what is filled in, and what is refused."""

from __future__ import annotations

import pytest

from iocp_emu.runtime.host import available_processors
from iocp_emu.teach.experiment import Batch, Closed, Engine, Open, Spacing, make_settings, run
from iocp_emu.teach.experiment.settings import parse_arrivals, parse_concurrency


def test_values_and_ranges() -> None:
    """Single ones, ranges, steps, and mixtures; ascending, each once."""
    assert parse_concurrency("1..12") == tuple(range(1, 13))
    assert parse_concurrency(" 8, 1..3 ,2, 0..64/32") == (0, 1, 2, 3, 8, 32, 64)
    assert parse_concurrency("4294967295") == (0xFFFFFFFF,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' in '' is no concurrency value: write 4, or 1..12"),
        ("1...3", "is no concurrency value"),
        ("-1", "is no concurrency value"),
        ("3..1", "runs backwards: write 1..3"),
        ("1..9/0", "must be 1 or more"),
        ("0..4294967296", "at most 4,294,967,295"),
        ("1..4294967295", "more than 1,000"),
        (",".join(f"{start}..{start + 900}" for start in (0, 1000)), "more than 1,000"),
    ],
)
def test_values_that_are_none(text: str, complaint: str) -> None:
    """A clear error that says what to write."""
    with pytest.raises(ValueError, match=complaint.replace(".", r"\.")):
        parse_concurrency(text)


def test_arrivals() -> None:
    """Each way to arrive reads back what it writes."""
    for arrivals in (Closed(), Closed(7), Open(12.5), Open(3.0, Spacing.EVEN), Batch()):
        assert parse_arrivals(str(arrivals)) == arrivals
    for text, complaint in (
        ("ratee=3", "did you mean 'rate'?"),
        ("rate=fast", "such as rate=200, not 'fast'"),
        ("closed=x", "a whole number of clients"),
        ("batch=3", "is no way to arrive"),
    ):
        with pytest.raises(ValueError, match=complaint.replace("?", r"\?")):
            parse_arrivals(text)


def test_what_is_filled_in() -> None:
    """The defaults of each engine."""
    simulated = make_settings("cpu=1ms")
    assert (simulated.threads, simulated.processors, simulated.concurrency) == (16, 4, tuple(range(1, 13)))
    assert (simulated.packets, simulated.warm_up, simulated.repeat, simulated.first_packets) == (10_000, 1000, 1, 32)
    real = make_settings("cpu=1ms", engine="threads")
    assert (real.processors, real.packets, real.repeat) == (available_processors(), 200, 3)
    assert make_settings("cpu=1ms", arrivals="batch", packets=50).warm_up == 0
    assert make_settings("cpu=1ms", processors=32).concurrency[-1] == 96


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"threads": 0}, "threads must be from 1 to 100,000, not 0"),
        ({"threads": 5000, "engine": "threads"}, "threads must be from 1 to 1,000"),
        ({"processors": available_processors() + 1, "engine": "threads"}, "only the simulation can choose"),
        ({"packets": 10, "warm_up": 10}, "the packets that warm up must be from 0 to 9"),
        ({"concurrency": ()}, "between 1 and 1,000"),
        ({"concurrency": (2, 2)}, "can be tried once"),
        ({"concurrency": -1}, "a concurrency value must be from 0"),
        ({"arrivals": "rate=0"}, "a rate is from 1e-6"),
        ({"arrivals": "rate=nan"}, "a rate is from 1e-6"),
        ({"arrivals": "closed=0"}, "clients must be from 1"),
        ({"time_slice": 0.0}, "a microsecond or more"),
        ({"switch_cost": 1.0}, "between nothing and a time slice"),
        ({"repeat": 0}, "repeat must be from 1"),
        ({"engine": "magic"}, "'magic' is not a valid Engine"),
        ({"work": "cpu=1"}, "1 has no unit"),
    ],
)
def test_what_is_refused(changes: dict[str, object], complaint: str) -> None:
    """Before anything is done, with a sentence that says what may be."""
    with pytest.raises(ValueError, match=complaint):
        run(**({"work": "cpu=1ms"} | changes))  # type: ignore[arg-type]


def test_engines_are_named() -> None:
    """By object or by name."""
    assert make_settings("cpu=1ms", engine=Engine.SIMULATION) == make_settings("cpu=1ms", engine="simulation")
