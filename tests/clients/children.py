"""Runs other people's tests in a process of their own, which reports each outcome at once.

A child writes one JSON object a line to the descriptor in the environment variable RESULTS_FD: `{"start": id}` before a
test, `{"id": id, "outcome": "passed" | "failed" | "skipped", "about": text}` after it.  A test that takes the process
down has failed; the child is then started again without the tests that are done.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS_PER_MODULE = 500
LOG_CHARACTERS = 6000

Known = Sequence[tuple[str, str]]
"""Tests that fail for a reason of their own, and the reason: (regular expression for the id, why)."""


@dataclass
class Report:
    """What some runs came to."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def unexpected(self, known: Known) -> list[str]:
        """Failures that no entry of `known` explains."""
        return [test for test in self.failures if reason_for(test, known) is None]

    def __str__(self) -> str:
        counts = self.counts
        return f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"


def reason_for(test: str, known: Known) -> str | None:
    """Why it is no fault of ours that `test` fails; None when it is."""
    return next((reason for pattern, reason in known if re.search(pattern, test)), None)


def outcomes(
    child: Path, module: str, arguments: Sequence[str], *, python: str = sys.executable, seconds: float
) -> Iterator[tuple[str, str, str]]:
    """Run one module; (id, outcome, about) of each test."""
    done: list[str] = []
    while True:
        records, log = _run_once([python, str(child), module, *arguments], done, seconds)
        running = None
        for record in records:
            if "start" in record:
                running = record["start"]
            else:
                if record["id"] == running:
                    running = None
                done.append(record["id"])
                yield record["id"], record["outcome"], record["about"]
        if running is None:
            if log is not None:
                yield module, "failed", log
            return
        done.append(running)
        yield running, "failed", f"the process ended in this test\n{log}"


def _run_once(
    command: list[str], without: Iterable[str], seconds: float
) -> tuple[list[dict[str, str]], str | None]:
    """The records of one process, and what it said if it ended badly."""
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as results:
        excluded = Path(directory, "without")
        excluded.write_text("\n".join(without))
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "RESULTS_FD": str(results.fileno())}
        log: str | None = None
        try:
            process = subprocess.run(
                [*command, "--without", str(excluded)],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=seconds,
                pass_fds=[results.fileno()],
                check=False,
            )
            if process.returncode:
                log = f"exit status {process.returncode}\n{process.stdout[-LOG_CHARACTERS:]}"
        except subprocess.TimeoutExpired as expired:
            output = expired.stdout or b""
            text = output.decode(errors="replace") if isinstance(output, bytes) else output
            log = f"no end after {seconds} s\n{text[-LOG_CHARACTERS:]}"
        results.seek(0)
        return [json.loads(line) for line in results if line.endswith("\n")], log


def run(
    child: Path,
    modules: Mapping[str, str],
    *,
    python: str = sys.executable,
    arguments: Sequence[str] = (),
    seconds: float = SECONDS_PER_MODULE,
    verbose: bool = False,
    until_other_than: Known | None = None,
) -> Report:
    """Run these modules, of each the tests whose id its regular expression finds.

    `until_other_than`: no more of them once one has failed that this does not know.
    """
    report = Report()
    for module, only in modules.items():
        start = time.monotonic()
        counts: Counter[str] = Counter()
        for test, outcome, about in outcomes(
            child, module, ["--only", only, *arguments], python=python, seconds=seconds
        ):
            counts[outcome] += 1
            if outcome == "failed":
                report.failures[test] = about
                if until_other_than is not None and report.unexpected(until_other_than):
                    return report
        report.counts.update(counts)
        if verbose:
            print(f"  {module:44} {dict(counts)} {time.monotonic() - start:.1f} s", flush=True)
    return report


def show(title: str, report: Report, known: Known, *, verbose: bool = False) -> bool:
    """Print what came of it; whether every failure is known."""
    print(f"{title}: {report}", flush=True)
    for test, about in report.failures.items():
        reason = reason_for(test, known)
        print(f"  FAILED {test}" + (f" (known: {reason})" if reason else ""), flush=True)
        if verbose and reason is None:
            print("    " + about.replace("\n", "\n    "), flush=True)
    return not report.unexpected(known)
