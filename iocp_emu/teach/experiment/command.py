"""`iocp-emu experiment` on the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ..arguments import unknown, whole
from .console import UNUSABLE, Form, Look, show_experiment
from .grammar import parse_time, parse_work
from .presets import PRESETS, find_preset
from .settings import (
    MOST_PACKETS,
    MOST_PROCESSORS,
    MOST_REPEATS,
    MOST_THREADS,
    Engine,
    parse_arrivals,
    parse_concurrency,
)
from .sweep import make_settings

T = TypeVar("T")

LARGEST_SEED = 2**63 - 1

DESCRIPTION = """\
Do the same work with one concurrency value after the other, and show what it
does to throughput, latency, context switches, threads, queue and processors;
name the value to choose, and why.
"""

EPILOG = """\
the work of a packet:
  cpu=5ms                   computes: needs a processor, keeps its slot
  block=20ms                waits, and the port sees it: the slot is free
  hidden=20ms               waits unseen, as Python outside blocking() does
  cpu=1ms,block=5ms         one after the other
  cpu=5ms:p=.3              with this probability, else not at all
  (cpu=1ms,block=5ms)*3     so many times
  exp(5ms) uniform(1ms,9ms) lognormal(5ms,0.5)     in place of a time: at random
  units: ns us ms s

examples:
  iocp-emu experiment --work cpu=5ms,block=20ms:p=.3 --threads 16 \\
      --processors 4 --concurrency 1..12
  iocp-emu experiment --preset lengthy --html lengthy.html
  iocp-emu experiment --work cpu=5ms --engine threads --packets 100

The knee is the smallest value within 5 % of the best throughput (of the best
mean latency when packets arrive at a rate).  Exit status: 0; 1 when a preset's
claim does not hold or a file could not be written; 2 for a bad command line;
130 after Ctrl-C, with what was measured until then.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.usage = "iocp-emu experiment (--work WORK | --preset NAME) [OPTION ...]"
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--work", type=_parsed(parse_work), metavar="WORK", help="what a worker does with a packet; see below")
    add("--preset", type=_parsed(find_preset), metavar="NAME", help="an experiment with a name, and what it shows")
    add("--list-presets", action="store_true", help="list them")
    add("--threads", type=whole(1, MOST_THREADS), metavar="N", help="threads in the pool (default: 16)")
    add(
        "--processors",
        type=whole(1, MOST_PROCESSORS),
        metavar="N",
        help="of the simulated machine (default: 4)",
    )
    add(
        "--concurrency",
        type=_parsed(parse_concurrency),
        metavar="VALUES",
        help="1..12, 0..64/8 (every 8th) or 1,2,4,8; 0 means the processors (default: 1..12)",
    )
    add(
        "--packets",
        type=whole(1, MOST_PACKETS),
        metavar="N",
        help="in each run (default: 10000; 200 on real threads)",
    )
    add(
        "--warm-up",
        type=whole(0, MOST_PACKETS),
        metavar="N",
        help="the first N packets stay out of the latencies (default: a tenth)",
    )
    add(
        "--arrivals",
        type=_parsed(parse_arrivals),
        metavar="HOW",
        help="closed[=CLIENTS]: each finished packet brings the next (default; twice the threads); rate=R: so many per "
        "second, at random; steady=R: evenly; batch: all at once",
    )
    add("--seed", type=whole(0, LARGEST_SEED), metavar="N", help="of what is left to chance (default: 0)")
    add(
        "--repeat",
        type=whole(1, MOST_REPEATS),
        metavar="N",
        help="runs of each value (default: 1; 3 on real threads)",
    )
    add(
        "--engine",
        type=_parsed(_engine),
        metavar="ENGINE",
        help="simulation: the same figures everywhere (default); threads: real threads, here and now",
    )
    add("--time-slice", type=_parsed(parse_time), metavar="TIME", help="of the simulated machine (default: 20ms)")
    add(
        "--switch-cost",
        type=_parsed(parse_time),
        metavar="TIME",
        help="of a context switch of the simulated machine (default: 10us)",
    )
    for form in Form:
        add(f"--{form.value}", metavar="FILE", help=_FILES[form])
    add("--plain", action="store_true", help="plain ASCII, also on a terminal")
    parser.set_defaults(run=_run)


_FILES = {
    Form.CSV: "a line for each run (- for the standard output, in place of the report)",
    Form.JSON: "everything, samples over time too (or -)",
    Form.PNG: "four panels, by matplotlib: the extra plot",
    Form.SVG: "the same, to be scaled",
    Form.HTML: "a page that needs nothing else (or -)",
}


def _parsed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A type for `add_argument` that lets a `ValueError` speak."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _engine(name: str) -> Engine:
    names = [each.value for each in Engine]
    if name not in names:
        raise ValueError(unknown("engine", name, names))
    return Engine(name)


_SETTINGS = (
    "work",
    "threads",
    "processors",
    "concurrency",
    "packets",
    "warm_up",
    "arrivals",
    "seed",
    "repeat",
    "engine",
    "time_slice",
    "switch_cost",
)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list_presets:
        for preset in PRESETS.values():
            print(f"{preset.name:<11} {preset.summary}")
        return 0
    preset = arguments.preset
    chosen: dict[str, Any] = {} if preset is None else {"work": preset.work, **preset.options}
    chosen |= {name: value for name in _SETTINGS if (value := getattr(arguments, name)) is not None}
    try:
        if "work" not in chosen:
            raise ValueError(
                "say what a packet costs, such as --work cpu=5ms,block=20ms:p=.3, or choose one of the experiments of "
                "--list-presets with --preset"
            )
        settings = make_settings(**chosen)
    except ValueError as error:
        print(f"iocp-emu experiment: {error}", file=sys.stderr)
        return UNUSABLE
    files = {form: path for form in Form if (path := getattr(arguments, form.value)) is not None}
    look = Look.PLAIN if arguments.plain else Look.BEST
    return show_experiment(settings, preset, files, look, sys.stdout, sys.stderr)
