"""A result as data: one JSON document, or CSV.

Times are in seconds.  JSON; `spread` is {mean, deviation} over the runs of a value (deviation 0 of a single run):

    experiment            the version of this form: 1
    settings              work, engine, threads, processors, concurrency [values], packets, warm_up, arrivals, seed,
                          repeat, time_slice, switch_cost (both null for real threads)
    complete              false when the experiment was interrupted
    interpreter_lock      whether real threads took turns at computing (the GIL); null for the simulation
    knee                  concurrency, limit, cause (a word), sentence
    notes                 [sentence, ...]
    preset                null, or name and claims [sentence, rules, holds]
    points                for each value, by what it means:
      concurrency, limit  the value, and the number of runnable threads that it means (0: the processors)
      throughput          packets per second: spread
      latency, wait, service
                          each mean, p50, p95, p99, longest: spreads; latency = wait in the queue + service
      switches            context switches per packet; null where not known
      processor_use, active, blocked, depth: spreads;  most_active
      runs                for each run: repetition, packets, elapsed, throughput, and
        samples           {time, active, blocked, parked, depth}: lists of equal length

CSV has one line for each run, with the columns of `CSV_COLUMNS`.

Own rules.  What is written depends on nothing but the result: no dates, no names of machines.  A float is written so
that it can be read back exactly, but for the last digits of a mean.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

from .measures import Point, Run, Times
from .presets import Preset
from .results import Result
from .settings import Engine

_NUMBERS = re.compile(r'\[\n([^][{}"]*)\n\s*\]')
"""A list of numbers as `json` breaks it into lines; inside a string there is no line break."""

_TIMES: dict[str, Callable[[Times], float]] = {
    "mean": lambda times: times.mean,
    "p50": lambda times: times.p50,
    "p95": lambda times: times.p95,
    "p99": lambda times: times.p99,
    "longest": lambda times: times.longest,
}
_PARTS: dict[str, Callable[[Run], Times]] = {
    "latency": lambda run: run.latency,
    "wait": lambda run: run.wait,
    "service": lambda run: run.service,
}


def _figure(part: Callable[[Run], Times], figure: Callable[[Times], float]) -> Callable[[Run], float]:
    return lambda run: figure(part(run))


CSV_COLUMNS: dict[str, Callable[[Run], float | int | None]] = {
    "concurrency": lambda run: run.concurrency,
    "limit": lambda run: run.limit,
    "repetition": lambda run: run.repetition,
    "packets": lambda run: run.packets,
    "elapsed_s": lambda run: run.elapsed,
    "throughput_per_s": lambda run: run.throughput,
    **{f"{part}_{name}_s": _figure(_PARTS[part], figure) for part in _PARTS for name, figure in _TIMES.items()},
    "switches_per_packet": lambda run: run.switches,
    "processor_use": lambda run: run.processor_use,
    "active_mean": lambda run: run.active,
    "active_most": lambda run: run.most_active,
    "blocked_mean": lambda run: run.blocked,
    "queue_mean": lambda run: run.depth,
}


def as_document(result: Result, preset: Preset | None = None) -> dict[str, Any]:
    """The result as one document; the keys are described at the head of this file.  O(runs + samples)."""
    settings, knee = result.settings, result.knee
    simulated = settings.engine is Engine.SIMULATION
    return {
        "experiment": 1,
        "settings": {
            "work": str(settings.work),
            "engine": settings.engine.value,
            "threads": settings.threads,
            "processors": settings.processors,
            "concurrency": list(settings.concurrency),
            "packets": settings.packets,
            "warm_up": settings.warm_up,
            "arrivals": str(settings.arrivals),
            "seed": settings.seed,
            "repeat": settings.repeat,
            "time_slice": settings.time_slice if simulated else None,
            "switch_cost": settings.switch_cost if simulated else None,
        },
        "complete": result.is_complete,
        "interpreter_lock": result.interpreter_lock,
        "knee": {
            "concurrency": knee.concurrency,
            "limit": knee.limit,
            "cause": knee.cause.name.lower(),
            "sentence": knee.sentence,
        },
        "notes": list(result.notes),
        "preset": None if preset is None else _preset(result, preset),
        "points": [_point(point) for point in result.points],
    }


def as_json(result: Result, preset: Preset | None = None) -> str:
    """The document as text, ending with a newline; lists of numbers stand in one line each."""
    text = json.dumps(as_document(result, preset), indent=1)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found.group(1).split())}]", text) + "\n"


def as_csv(result: Result) -> str:
    """A line for each run below a line of titles; ends with a newline.  O(runs)."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for point in result.points:
        for run in point.runs:
            writer.writerow(_cell(column(run)) for column in CSV_COLUMNS.values())
    return output.getvalue()


def _cell(value: float | int | None) -> float | int | str:
    return "" if value is None else rounded(value) if isinstance(value, float) else value


def rounded(value: float) -> float:
    """Twelve digits that count: more than any measurement has, and the same on every machine."""
    return float(f"{value:.12g}")


def _preset(result: Result, preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "claims": [
            {"sentence": claim.sentence, "rules": list(claim.rules), "holds": claim.holds(result)}
            for claim in preset.claims
        ],
    }


def _point(point: Point) -> dict[str, Any]:
    def spread(figure: Callable[[Run], float]) -> dict[str, float]:
        value = point.spread(figure)
        return {"mean": rounded(value.mean), "deviation": rounded(value.deviation)}

    def times(part: Callable[[Run], Times]) -> dict[str, dict[str, float]]:
        return {name: spread(_figure(part, figure)) for name, figure in _TIMES.items()}

    return {
        "concurrency": point.concurrency,
        "limit": point.limit,
        "throughput": spread(lambda run: run.throughput),
        **{name: times(part) for name, part in _PARTS.items()},
        "switches": None if point.switches is None else rounded(point.switches),
        "processor_use": spread(lambda run: run.processor_use),
        "active": spread(lambda run: run.active),
        "blocked": spread(lambda run: run.blocked),
        "depth": spread(lambda run: run.depth),
        "most_active": point.most_active,
        "runs": [_run(run) for run in point.runs],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "repetition": run.repetition,
        "packets": run.packets,
        "elapsed": rounded(run.elapsed),
        "throughput": rounded(run.throughput),
        "samples": {
            "time": [rounded(sample.time) for sample in run.samples],
            "active": [sample.active for sample in run.samples],
            "blocked": [sample.blocked for sample in run.samples],
            "parked": [sample.parked for sample in run.samples],
            "depth": [sample.depth for sample in run.samples],
        },
    }
