"""What a worker does with a packet: bursts of computing and waiting, as data that can be drawn from.

Theory.  A `Work` is a sequence of steps; a step is a burst or another sequence, done so many times, with some
probability.  `compile_work` turns it into a function that draws one packet's bursts, all at once, when a worker takes
the packet.  Packets are taken in the order in which they were queued (Q-06), so with one seed the tenth packet costs
the same whatever the concurrency value is, and a sweep compares like with like.

Rules behind the kinds: a burst of CPU keeps its slot (Q-29), a BLOCK frees it (Q-23, Q-26), a HIDDEN wait keeps it.

Own rules.  Everything is a value, in seconds; drawn durations are whole nanoseconds.  `str` of a work is text that
`grammar.parse_work` reads back as the same work.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Generic, TypeAlias, TypeVar

from ...runtime.chance import Constant, Exponential, LogNormal, Uniform, exponential
from ...runtime.virtual_time import to_nanoseconds

T = TypeVar("T")

Duration: TypeAlias = Constant | Exponential | Uniform | LogNormal
"""A distribution of seconds that the language of works can name."""

MOST_BURSTS = 10_000
"""The most bursts that one packet may come to."""

MOST_SECONDS = 86_400.0
"""The longest duration that can be named: a day."""


class Kind(enum.Enum):
    """What a worker does during a burst; the value is its name in the language of works."""

    CPU = "cpu"
    """Computes: needs a processor and keeps its slot (Q-29)."""

    BLOCK = "block"
    """Waits, and the kernel sees it: the slot is free, and may go beyond the limit on return (Q-23, Q-26)."""

    HIDDEN = "hidden"
    """Waits unseen, as Python code outside `blocking()` does: needs no processor, but keeps its slot."""


@dataclass(frozen=True, slots=True)
class Burst:
    """One uninterrupted stretch of one kind."""

    kind: Kind
    duration: Duration

    def __str__(self) -> str:
        return f"{self.kind.value}={duration_text(self.duration)}"


@dataclass(frozen=True, slots=True)
class Step:
    """A burst or a sequence, done `times` (1 or more) times with `probability` (0 to 1), else not at all."""

    action: Burst | Work
    times: int = 1
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ValueError(f"times must be 1 or more, not {self.times}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, not {self.probability}")

    def __str__(self) -> str:
        text = f"({self.action})" if isinstance(self.action, Work) else str(self.action)
        if self.times > 1:
            text += f"*{self.times}"
        if self.probability < 1:
            text += f":p={number_text(self.probability)}"
        return text


@dataclass(frozen=True, slots=True)
class Work:
    """Steps, one after the other.

    >>> from .grammar import parse_work
    >>> work = parse_work("cpu=5ms,block=20ms:p=.3")
    >>> str(work), work.mean_seconds(Kind.CPU), round(work.mean_seconds(Kind.BLOCK), 9)
    ('cpu=5ms,block=20ms:p=0.3', 0.005, 0.006)
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a work must have a step")
        if self.most_bursts > MOST_BURSTS:
            raise ValueError(f"a packet may come to {MOST_BURSTS:,} bursts at most, not {self.most_bursts:,}")

    def __str__(self) -> str:
        return ",".join(map(str, self.steps))

    @property
    def most_bursts(self) -> int:
        """The bursts of a packet when every step is done.  O(steps)."""
        return sum(step.times * _most_bursts(step.action) for step in self.steps)

    def mean_seconds(self, kind: Kind) -> float:
        """What a packet spends on bursts of `kind` on average, in seconds.  O(steps)."""
        total = 0.0
        for step in self.steps:
            total += step.probability * step.times * _mean_seconds(step.action, kind)
        return total

    def uses(self, kind: Kind) -> bool:
        """Whether a packet can come to a burst of `kind` that takes time."""
        return self.mean_seconds(kind) > 0


def _most_bursts(action: Burst | Work) -> int:
    return action.most_bursts if isinstance(action, Work) else 1


def _mean_seconds(action: Burst | Work, kind: Kind) -> float:
    if isinstance(action, Work):
        return action.mean_seconds(kind)
    return mean_duration(action.duration) if action.kind is kind else 0.0


def mean_duration(duration: Duration) -> float:
    """The mean of a distribution, in seconds."""
    match duration:
        case Constant(seconds):
            return seconds
        case Exponential(mean):
            return mean
        case Uniform(low, high):
            return (low + high) / 2
        case LogNormal(median, sigma):
            return median * exponential(sigma * sigma / 2)


# -- drawing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draw(Generic[T]):
    """How to draw some bursts; when chance plays no part, `fixed` is what comes out every time."""

    draw: Callable[[Random], list[T]]
    fixed: list[T] | None


def compile_work(work: Work, make: Callable[[Kind, int], T]) -> Callable[[Random], list[T]]:
    """A function that draws the bursts of one packet, each made by `make` from its kind and nanoseconds.

    A burst of constant duration is made once and used again.  When nothing is left to chance the same list comes back
    every time: do not change it.
    """
    return _compile_work(work, make).draw


def _compile_work(work: Work, make: Callable[[Kind, int], T]) -> _Draw[T]:
    parts = [_compile_step(step, make) for step in work.steps]
    fixed = [made for part in parts if part.fixed is not None for made in part.fixed]
    if all(part.fixed is not None for part in parts):
        return _always(fixed)
    if len(parts) == 1:
        return parts[0]
    draws = [part.draw for part in parts]
    return _Draw(lambda random: [made for draw in draws for made in draw(random)], None)


def _compile_step(step: Step, make: Callable[[Kind, int], T]) -> _Draw[T]:
    once = _compile_action(step.action, make)
    times, probability = step.times, step.probability
    if once.fixed is not None:
        repeated = once.fixed * times
        if probability >= 1:
            return _always(repeated)
        none: list[T] = []
        return _Draw(lambda random: repeated if random.random() < probability else none, None)
    draw = once.draw
    if times == 1 and probability >= 1:
        return once

    def draw_step(random: Random) -> list[T]:
        if probability < 1 and random.random() >= probability:
            return []
        return [made for _ in range(times) for made in draw(random)]

    return _Draw(draw_step, None)


def _compile_action(action: Burst | Work, make: Callable[[Kind, int], T]) -> _Draw[T]:
    if isinstance(action, Work):
        return _compile_work(action, make)
    kind, duration = action.kind, action.duration
    if isinstance(duration, Constant):
        return _always([make(kind, to_nanoseconds(duration.seconds))])
    return _Draw(lambda random: [make(kind, to_nanoseconds(duration.draw(random)))], None)


def _always(fixed: list[T]) -> _Draw[T]:
    return _Draw(lambda _: fixed, fixed)


# -- text ------------------------------------------------------------------------------------------------------


def duration_text(duration: Duration) -> str:
    """A distribution as the language writes it.

    >>> duration_text(Constant(0.0003)), duration_text(Uniform(0, 1.5)), duration_text(LogNormal(0.02, 1))
    ('300us', 'uniform(0s,1.5s)', 'lognormal(20ms,1)')
    """
    match duration:
        case Constant(seconds):
            return seconds_text(seconds)
        case Exponential(mean):
            return f"exp({seconds_text(mean)})"
        case Uniform(low, high):
            return f"uniform({seconds_text(low)},{seconds_text(high)})"
        case LogNormal(median, sigma):
            return f"lognormal({seconds_text(median)},{number_text(sigma)})"


UNITS = {"s": Decimal(1), "ms": Decimal("0.001"), "us": Decimal("0.000001"), "ns": Decimal("0.000000001")}
"""What the language measures in: seconds to the unit."""


def seconds_text(seconds: float) -> str:
    """A number of seconds in the unit that suits it; exact.

    >>> seconds_text(0.005), seconds_text(2), seconds_text(0), seconds_text(0.0125)
    ('5ms', '2s', '0s', '12.5ms')
    """
    exact = Decimal(repr(float(seconds)))
    unit = next((name for name, size in UNITS.items() if exact >= size), "ns" if exact else "s")
    return f"{_plain(exact / UNITS[unit])}{unit}"


def number_text(number: float) -> str:
    """A number in plain digits; exact.

    >>> number_text(0.3), number_text(2.0), number_text(1e-7)
    ('0.3', '2', '0.0000001')
    """
    return _plain(Decimal(repr(float(number))))


def _plain(exact: Decimal) -> str:
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
