"""What an experiment is to do: work, threads, processors, arrivals, and the concurrency values to try.

Theory.  One experiment changes one thing, the concurrency value; everything else stands here and stays.  How packets
arrive decides what can be learnt: a closed loop (each finished packet brings the next, as clients do that wait for
their answers) shows the throughput; arrivals at a rate of their own show the waiting; a batch shows one busy moment.

Own rules.  Times are in seconds.  Whatever is wrong is a `ValueError` that says what to write instead.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ...runtime.arguments import MAXIMUM_DWORD
from .grammar import suggestion
from .work import Work, number_text

MOST_THREADS = 100_000
MOST_REAL_THREADS = 1_000
MOST_PROCESSORS = 4_096
MOST_PACKETS = 100_000_000
MOST_VALUES = 1_000
MOST_REPEATS = 1_000

DEFAULT_TIME_SLICE = 0.02
DEFAULT_SWITCH_COST = 10e-6


class Engine(enum.Enum):
    """Who does the work; the value is its name on the command line."""

    SIMULATION = "simulation"
    """Virtual threads on virtual processors in virtual time: the same figures everywhere."""

    THREADS = "threads"
    """Real threads of this Python on this machine: repeated, since no two runs are alike."""


class Spacing(enum.Enum):
    """The time between arrivals that have a rate."""

    RANDOM = "rate"
    """Exponential: arrivals that know nothing of each other (Poisson)."""

    EVEN = "steady"
    """Always the same."""

    @property
    def described(self) -> str:
        """In words."""
        return "at random" if self is Spacing.RANDOM else "evenly"


@dataclass(frozen=True, slots=True)
class Closed:
    """`clients` packets in circulation: each that is finished is posted anew.  None: twice the threads."""

    clients: int | None = None

    def __str__(self) -> str:
        return "closed" if self.clients is None else f"closed={self.clients}"


@dataclass(frozen=True, slots=True)
class Open:
    """`rate` packets per second, whatever becomes of them."""

    rate: float
    spacing: Spacing = Spacing.RANDOM

    def __str__(self) -> str:
        return f"{self.spacing.value}={number_text(self.rate)}"


@dataclass(frozen=True, slots=True)
class Batch:
    """All packets at once, at the beginning."""

    def __str__(self) -> str:
        return "batch"


Arrivals: TypeAlias = Closed | Open | Batch


@dataclass(frozen=True, slots=True)
class Settings:
    """One experiment.

    `threads`: in the pool.  `processors`: of the simulated machine, or what the real one has.  `concurrency`: the
    values to try, 0 meaning the number of processors (Q-03).  `packets`: how many each run finishes; the first
    `warm_up` of them stay out of the percentiles.  `repeat`: runs of each value, each with a seed of its own that
    begins at `seed`.  `time_slice` and `switch_cost` are the simulated machine's, in seconds.  Raises `ValueError`.
    """

    work: Work
    threads: int
    processors: int
    concurrency: tuple[int, ...]
    packets: int
    warm_up: int
    arrivals: Arrivals
    seed: int
    repeat: int
    engine: Engine
    time_slice: float = DEFAULT_TIME_SLICE
    switch_cost: float = DEFAULT_SWITCH_COST

    def __post_init__(self) -> None:
        most_threads = MOST_THREADS if self.engine is Engine.SIMULATION else MOST_REAL_THREADS
        _check_range("threads", self.threads, 1, most_threads)
        _check_range("processors", self.processors, 1, MOST_PROCESSORS)
        _check_range("packets", self.packets, 1, MOST_PACKETS)
        _check_range("the packets that warm up", self.warm_up, 0, self.packets - 1)
        _check_range("repeat", self.repeat, 1, MOST_REPEATS)
        if not self.concurrency or len(self.concurrency) > MOST_VALUES:
            raise ValueError(f"between 1 and {MOST_VALUES:,} concurrency values can be tried")
        for value in self.concurrency:
            _check_range("a concurrency value", value, 0, MAXIMUM_DWORD)
        if len(set(self.concurrency)) < len(self.concurrency):
            raise ValueError("each concurrency value can be tried once; use repeat to measure it more often")
        if isinstance(self.arrivals, Closed) and self.arrivals.clients is not None:
            _check_range("clients", self.arrivals.clients, 1, MOST_PACKETS)
        if isinstance(self.arrivals, Open) and not 1e-6 <= self.arrivals.rate <= 1e9:
            raise ValueError(f"a rate is from 1e-6 to 1e9 packets per second, not {self.arrivals.rate}")
        if not 1e-6 <= self.time_slice < math.inf:
            raise ValueError(f"the time slice must be a microsecond or more, not {self.time_slice} s")
        if not 0 <= self.switch_cost <= self.time_slice:
            raise ValueError(f"a context switch costs between nothing and a time slice, not {self.switch_cost} s")

    @property
    def runs(self) -> int:
        """How many runs the experiment has."""
        return len(self.concurrency) * self.repeat

    @property
    def first_packets(self) -> int:
        """How many packets are posted at the beginning."""
        match self.arrivals:
            case Closed(clients):
                return 2 * self.threads if clients is None else clients
            case Batch():
                return self.packets
            case Open():
                return 0

    def limit(self, concurrency: int) -> int:
        """The number of runnable threads that a concurrency value means here (Q-03)."""
        return concurrency or self.processors


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low:,} to {high:,}, not {value:,}")


def parse_arrivals(text: str) -> Arrivals:
    """`closed`, `closed=CLIENTS`, `rate=R`, `steady=R` (packets per second) or `batch`; else `ValueError`.

    >>> parse_arrivals("closed=8"), parse_arrivals("rate=200"), parse_arrivals("batch")
    (Closed(clients=8), Open(rate=200.0, spacing=<Spacing.RANDOM: 'rate'>), Batch())
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if name == "batch" and not equals:
        return Batch()
    if name == "closed":
        if not equals:
            return Closed()
        if not (value.isascii() and value.isdecimal()):
            raise ValueError(f"closed=CLIENTS takes a whole number of clients, not {value!r}")
        return Closed(int(value[:12]))
    if name in {each.value for each in Spacing}:
        try:
            return Open(float(value), Spacing(name))
        except ValueError:
            raise ValueError(f"{name}=R takes packets per second, such as {name}=200, not {value!r}") from None
    known = ["closed", "rate", "steady", "batch"]
    raise ValueError(
        f"{text!r} is no way to arrive: use closed, closed=CLIENTS, rate=R, steady=R or batch{suggestion(name, known)}"
    )


def parse_concurrency(text: str) -> tuple[int, ...]:
    """Values and ranges, ascending: `4`, `1,2,4,8`, `1..12`, `0..64/8` (every 8th); else `ValueError`.

    >>> parse_concurrency("1..4"), parse_concurrency("0..16/8,4"), parse_concurrency("0")
    ((1, 2, 3, 4), (0, 4, 8, 16), (0,))
    """
    values: set[int] = set()
    for part in text.split(","):
        values.update(_range_of(part.strip(), text))
        if len(values) > MOST_VALUES:
            raise ValueError(f"{text!r} is more than {MOST_VALUES:,} concurrency values")
    return tuple(sorted(values))


def _range_of(part: str, text: str) -> Sequence[int]:
    low, dots, rest = part.partition("..")
    high, slash, step = rest.partition("/")
    numbers = [low, *([high] if dots else []), *([step] if slash else [])]
    if not all(number.isascii() and number.isdecimal() and len(number) <= 10 for number in numbers):
        raise ValueError(
            f"{part!r} in {text!r} is no concurrency value: write 4, or 1..12, or 0..64/8 for every 8th, or 1,2,4,8"
        )
    first, last = int(low), int(high) if dots else int(low)
    if last < first:
        raise ValueError(f"{part!r} runs backwards: write {last}..{first}")
    if last > MAXIMUM_DWORD:
        raise ValueError(f"a concurrency value is at most {MAXIMUM_DWORD:,}, not {last:,}")
    if slash and int(step) == 0:
        raise ValueError(f"the step in {part!r} must be 1 or more")
    values = range(first, last + 1, int(step) if slash else 1)
    if len(values) > MOST_VALUES:
        raise ValueError(f"{part!r} is more than {MOST_VALUES:,} concurrency values")
    return values
