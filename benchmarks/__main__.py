"""The command: `python -m benchmarks [NAME,... | profile] [--quick] [--json FILE] [--plot FILE] [--repeats N]`.

Exit status: 0 when every sample was right, whatever the verdicts; 1 when a workload was wrong (a packet
lost, repeated or out of order, an exception, a hang); 2 for a bad command line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from inspect import getdoc
from pathlib import Path
from random import Random
from typing import Any

from . import plot, profile
from .measure import Effort, Workload
from .report import LEGEND, WIDEST, Row, render_figures, render_table, rows_of
from .runner import run
from .staging import widen_futex_hash
from .workloads import GROUPS, WORKLOADS

PROFILE = "profile"
REPEATS = {Effort.QUICK: 3, Effort.FULL: 11}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _selection(text: str) -> list[Workload]:
    by_name = {**{workload.name: (workload,) for workload in WORKLOADS}, **GROUPS}
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise argparse.ArgumentTypeError(f"no workload {', '.join(map(repr, unknown))}; there are {', '.join(by_name)}")
    return list(dict.fromkeys(workload for name in names for workload in by_name[name]))


def _selection_or_profile(text: str) -> list[Workload] | str:
    return text if text == PROFILE else _selection(text)


def _file_to_write(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():  # found out now, not after the run
        raise argparse.ArgumentTypeError(f"cannot write {text}")
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="iocp_emu next to its peers: ratios of costs measured side by side, interleaved.",
        epilog="workloads:\n"
        + "\n".join(f"  {w.name:15}{(getdoc(w) or '').splitlines()[0]}" for w in WORKLOADS)
        + "\n\ngroups:\n"
        + "\n".join(f"  {name:15}{', '.join(each.name for each in group)}" for name, group in GROUPS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "name",
        type=_selection_or_profile,
        nargs="?",
        metavar="NAME,...",
        help="these workloads only, as --only; or `profile`: where the time of one post and one get goes",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="less work per sample, no crowd of 10,000 threads; under a minute",
    )
    parser.add_argument(
        "--only", type=_selection, default=list(WORKLOADS), metavar="NAME,...", help="these workloads only"
    )
    parser.add_argument(
        "--json",
        type=_file_to_write,
        metavar="FILE",
        help="write rows, values and surroundings to FILE as well",
    )
    parser.add_argument(
        "--plot",
        type=_file_to_write,
        metavar="FILE",
        help="draw the group `benefit` into FILE, as its name says: .svg, .png, .pdf (needs the extra `plot`)",
    )
    parser.add_argument("--repeats", type=_positive, metavar="N", help="samples per contestant (default 11, quick 3)")
    return parser


def _surroundings(effort: Effort, repeats: int) -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": usable,
        "switch_interval_seconds": sys.getswitchinterval(),
        "effort": effort.value,
        "repeats": repeats,
        "futex_hash_widened": widen_futex_hash(),
    }


def _headline(surroundings: dict[str, Any]) -> str:
    return (
        f"{surroundings['implementation']} {surroundings['python']}, {surroundings['system']}, "
        f"{surroundings['processors']} processors\n"
        f"{surroundings['effort']} run, {surroundings['repeats']} interleaved repeats"
        f"{', futex hash of 4096 slots' if surroundings['futex_hash_widened'] else ''}"
    )


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status. Blocks for about a minute (quick) or several."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.name == PROFILE:
        print(profile.render())
        return 0
    effort = Effort.QUICK if options.quick else Effort.FULL
    repeats: int = options.repeats or REPEATS[effort]
    workloads: list[Workload] = options.name or options.only
    if options.plot is not None and (problem := plot.why_not(workloads)) is not None:
        parser.error(problem)
    surroundings = _surroundings(effort, repeats)
    gathered = run(workloads, effort, repeats, random=Random(), progress=_show_progress)
    _show_progress("")
    rows: list[Row] = []
    for workload in workloads:
        rows += rows_of(workload, gathered.samples[workload.name])
    print(_headline(surroundings))
    print()
    print(render_table(rows, shutil.get_terminal_size((WIDEST, 24)).columns))
    counts = render_figures(workloads, gathered.samples)
    if counts:
        print(f"\nCounts, medians over the repeats:\n{counts}")
    print(f"\n{LEGEND}")
    if options.json:
        report = {
            "surroundings": surroundings,
            "rows": [row.as_json() for row in rows],
            "problems": gathered.problems,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.plot and not gathered.problems:
        plot.draw(gathered.samples, options.plot)
    for problem in gathered.problems:
        print(f"WRONG {problem}", file=sys.stderr)
    return 1 if gathered.problems else 0


if __name__ == "__main__":
    sys.exit(main())
