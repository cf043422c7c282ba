"""What the tests of the experiment share: queueing theory, and results made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from iocp_emu.teach.experiment import Result, Run, Times, make_settings


def erlang_c(servers: int, load: float) -> float:
    """The probability that a customer of M/M/c has to wait; `load` is arrivals times service, below `servers`."""
    term, total = 1.0, 1.0
    for number in range(1, servers):
        term *= load / number
        total += term
    term *= load / servers * servers / (servers - load)
    return term / (total + term)


def made_run(concurrency: int, limit: int, throughput: float, *, repetition: int = 0, **changes: object) -> Run:
    """A run with this throughput, and otherwise nothing remarkable."""
    times = Times(0.01, 0.01, 0.02, 0.03, 0.04)
    figures: dict[str, object] = {
        "concurrency": concurrency,
        "limit": limit,
        "repetition": repetition,
        "packets": 100,
        "elapsed": 100 / throughput,
        "throughput": throughput,
        "latency": times,
        "wait": times,
        "service": times,
        "switches": 0.5,
        "processor_use": 0.5,
        "active": 1.0,
        "blocked": 0.0,
        "depth": 5.0,
        "most_active": limit,
        "samples": (),
    }
    return Run(**(figures | changes))  # type: ignore[arg-type]


def made_result(throughputs: Sequence[float], *, use: float = 0.5, **settings: object) -> Result:
    """A result with these throughputs for the values 1, 2, ..."""
    chosen: dict[str, object] = {"work": "cpu=5ms", "concurrency": range(1, len(throughputs) + 1)}
    made = make_settings(**(chosen | settings))  # type: ignore[arg-type]
    runs = [made_run(value, value, each, processor_use=use) for value, each in enumerate(throughputs, start=1)]
    return Result.of(made, runs)
