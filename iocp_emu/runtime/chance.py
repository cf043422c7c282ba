"""Chance that is the same everywhere: distributions drawn from a seed, equal on every system and Python version.

Theory.  `random.Random(seed).random()` is guaranteed to give the same sequence for ever; other methods of it are not,
and the host's `log` and `exp` may differ in the last digit from one C library to the next.  So everything here is made
of `random()`, the four operations, and `sqrt`, which IEEE 754 defines to the last bit.

Own rule.  A distribution is a value: it keeps no state, and is drawn from with the `Random` of whoever draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, ldexp, sqrt
from random import Random
from typing import Protocol

_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476


def logarithm(value: float) -> float:
    """The natural logarithm of a positive number, to about one unit in the last place.

    >>> logarithm(1.0), round(logarithm(10.0), 12)
    (0.0, 2.302585092994)
    """
    mantissa, exponent = frexp(value)
    if mantissa < _SQRT_HALF:
        mantissa *= 2
        exponent -= 1
    # ln m = 2 artanh((m - 1) / (m + 1)), and |quotient| <= 0.172: twelve terms leave less than 1e-20.
    quotient = (mantissa - 1) / (mantissa + 1)
    square = quotient * quotient
    total = 0.0
    for odd in range(23, 0, -2):
        total = total * square + 1 / odd
    return exponent * _LN2 + 2 * quotient * total


def exponential(value: float) -> float:
    """e to the power of `value`, to about one unit in the last place.

    >>> exponential(0.0), round(exponential(1.0), 12)
    (1.0, 2.718281828459)
    """
    exponent = int(value / _LN2 + (0.5 if value > 0 else -0.5))
    rest = value - exponent * _LN2
    total = 1.0
    for factor in range(18, 0, -1):
        total = 1.0 + rest * total / factor
    return ldexp(total, exponent)


def normal(random: Random) -> float:
    """A number of the standard normal distribution (Marsaglia's polar method; the second number is not kept)."""
    while True:
        x = 2 * random.random() - 1
        y = 2 * random.random() - 1
        square = x * x + y * y
        if 0 < square < 1:
            return x * sqrt(-2 * logarithm(square) / square)


class Distribution(Protocol):
    """Durations in seconds, 0 or more."""

    def draw(self, random: Random) -> float:
        """One duration."""
        ...


def _check(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name} must be 0 or more and finite, not {value}")


@dataclass(frozen=True, slots=True)
class Constant:
    """Always `seconds`."""

    seconds: float

    def __post_init__(self) -> None:
        _check(seconds=self.seconds)

    def draw(self, random: Random) -> float:
        """`seconds`; draws nothing."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Between `low` and `high` seconds, each alike."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check(low=self.low, high=self.high)
        if self.low > self.high:
            raise ValueError(f"low must not be above high, and {self.low} is above {self.high}")

    def draw(self, random: Random) -> float:
        """One duration."""
        return self.low + (self.high - self.low) * random.random()


@dataclass(frozen=True, slots=True)
class Exponential:
    """Without memory, `mean` seconds on average."""

    mean: float

    def __post_init__(self) -> None:
        _check(mean=self.mean)

    def draw(self, random: Random) -> float:
        """One duration."""
        return -self.mean * logarithm(1 - random.random())


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Half of them below `median` seconds, with a long tail: `sigma` is the deviation of the logarithm."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _check(median=self.median, sigma=self.sigma)

    def draw(self, random: Random) -> float:
        """One duration."""
        return self.median * exponential(self.sigma * normal(random))


def as_distribution(latency: float | Distribution) -> Distribution:
    """A number of seconds stands for itself, always."""
    return Constant(latency) if isinstance(latency, (int, float)) else latency
