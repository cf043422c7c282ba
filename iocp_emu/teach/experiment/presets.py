"""Experiments with a name: what the classic page says of the concurrency value (S15 to S18), and more, as claims.

Theory.  A preset is a set of settings and the claims that they are to show.  A claim is a sentence and a check of what
was measured; the report says whether it holds.  Settings given beside the preset's name replace its own, so one may
look where a claim stops holding.

Own rule.  The check knows nothing that the reader of the table does not see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from ..arguments import unknown
from .measures import Point
from .results import Result
from .sweep import Options


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence, the ids of the sentences and rules that it is about, and whether a result bears it out."""

    sentence: str
    rules: tuple[str, ...]
    holds: Callable[[Result], bool]


@dataclass(frozen=True, slots=True)
class Preset:
    """An experiment with a name: one line on it, what `make_settings` takes, and what it is to show."""

    name: str
    summary: str
    work: str
    options: Options
    claims: tuple[Claim, ...]


def _knee_is_processors(result: Result) -> bool:
    return result.knee.limit == result.settings.processors


def _knee_is_above_processors(result: Result) -> bool:
    return result.knee.limit > result.settings.processors


def _rises(result: Result, figure: Callable[[Point], float]) -> bool:
    """Whether each larger value has a larger figure; two values that mean the same count as one."""
    by_limit = {point.limit: figure(point) for point in result.points}
    figures = [by_limit[limit] for limit in sorted(by_limit)]
    return len(figures) > 1 and all(low < high for low, high in pairwise(figures))


def _in_progress(point: Point) -> float:
    return point.mean(lambda run: run.active + run.blocked)


def _service(point: Point) -> float:
    return point.mean(lambda run: run.service.mean)


def _throughput_is_level(result: Result) -> bool:
    figures = [point.throughput for point in result.points if point.limit >= result.settings.processors]
    return bool(figures) and min(figures) >= 0.95 * max(figures)


def _latency_grows_past_the_processors(result: Result) -> bool:
    figures = [
        point.mean(lambda run: run.service.p95) for point in result.points if point.limit >= result.settings.processors
    ]
    return len(figures) > 1 and all(figures[0] < later for later in figures[1:])


def _default_is_processors(result: Result) -> bool:
    defaults = [point.most_active for point in result.points if point.concurrency == 0]
    expected = min(result.settings.processors, result.settings.threads, result.settings.packets)
    return bool(defaults) and all(most == expected for most in defaults)


def _goes_beyond_the_limit(result: Result) -> bool:
    return any(point.most_active > point.limit for point in result.points)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "processors",
            "pure computation: the best value is that of the processors (S15)",
            "cpu=5ms",
            {"threads": 16, "concurrency": "1..12"},
            (
                Claim("The best concurrency value is the number of processors.", ("S15", "A-08"), _knee_is_processors),
                Claim(
                    "Beyond it each packet takes longer, and no more are finished.",
                    ("A-08",),
                    lambda result: _latency_grows_past_the_processors(result) and _throughput_is_level(result),
                ),
            ),
        ),
        Preset(
            "lengthy",
            "long computations: more of them are in progress at once (S16, S17)",
            "cpu=200ms",
            {"threads": 32, "concurrency": "4..16/4", "packets": 1000},
            (
                Claim(
                    "A larger value lets more threads work on packets at the same time.",
                    ("S16", "A-08"),
                    lambda result: _rises(result, _in_progress),
                ),
                Claim(
                    "Each packet takes longer then, and as many are finished per second.",
                    ("S17", "A-08"),
                    lambda result: _rises(result, _service) and _throughput_is_level(result),
                ),
            ),
        ),
        Preset(
            "mixed",
            "short packets behind long ones: only trying tells the value (S18)",
            "cpu=1ms,cpu=200ms:p=.05",
            {
                "threads": 64,
                "concurrency": "4..24/4",
                "arrivals": "rate=250",
                "packets": 20_000,
            },
            (
                Claim(
                    "The best value is not the number of processors here, but a larger one that only trying finds.",
                    ("S18", "A-08"),
                    _knee_is_above_processors,
                ),
            ),
        ),
        Preset(
            "blocking",
            "workers that block: the best value stays the processors (A-08)",
            "cpu=5ms,block=20ms:p=.3",
            {"threads": 16, "concurrency": "1..12"},
            (
                Claim(
                    "Blocked workers are replaced, so the best value is still the number of processors.",
                    ("A-08", "Q-23", "Q-25"),
                    _knee_is_processors,
                ),
                Claim(
                    "Workers that come back from blocking take the count beyond the limit.",
                    ("Q-26",),
                    _goes_beyond_the_limit,
                ),
            ),
        ),
        Preset(
            "hidden",
            "waits unseen, as in Python without blocking(): a larger value",
            "cpu=5ms,hidden=20ms:p=.3",
            {"threads": 24, "concurrency": "1..20"},
            (
                Claim(
                    "A slot that is kept while its worker waits is missed: the best value is above the processors.",
                    ("Q-23", "Q-29"),
                    _knee_is_above_processors,
                ),
            ),
        ),
        Preset(
            "chen-2018",
            "Raymond Chen, 2018-11-23: ten threads, a second of busy loop (A-11)",
            "cpu=1s",
            {
                "threads": 10,
                "packets": 10,
                "arrivals": "batch",
                "concurrency": "0..10/2",
                "repeat": 1,
            },
            (
                Claim(
                    "With the default value 0 as many threads are active as there are logical processors, no more.",
                    ("A-11", "Q-03"),
                    _default_is_processors,
                ),
            ),
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of this name; `ValueError` with a suggestion when there is none.

    >>> find_preset("lenghty")
    Traceback (most recent call last):
        ...
    ValueError: there is no preset 'lenghty': did you mean 'lengthy'?
    """
    if name not in PRESETS:
        raise ValueError(unknown("preset", name, PRESETS))
    return PRESETS[name]
