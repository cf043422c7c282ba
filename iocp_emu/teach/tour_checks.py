"""The tour's second pass, without a port, and the checks of the first.

Theory.  Each check compares two accounts of one thing that were kept apart: the workers' results with a plain reading
of the same files, the workers' own counts with the recorder's, the order of delivery with a naive account of both
queues, the port's references with what is known to hold it.

Own rules.  A check that does not hold says what was found.  A file proves nothing that has changed since it was found,
that two plain readings disagree about, or that has not the size that the system tells, since it is made up at each
reading: it is named and not compared.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from .tour_files import ReadFile, Unread, read_sequentially, reason, version
from .tour_results import FileResult, PortPass, Progress, TourSettings

SHOWN = 3
"""How many examples a failed check names."""


class Check(NamedTuple):
    """One comparison: does it hold, what was compared or found, and the rules behind it."""

    name: str
    ok: bool
    detail: str
    rules: tuple[str, ...]


@dataclass(slots=True)
class PlainPass:
    """What reading the files one after the other brought.

    `results` are the plain readings of the files that could be compared, in the order of the first pass; `differing`
    those of them whose first reading was another; `changed` were not compared; `readable` could be read here, as they
    had been all the time, although the first pass could not.
    """

    results: list[ReadFile] = field(default_factory=list[ReadFile])
    first_results: list[ReadFile] = field(default_factory=list[ReadFile])
    differing: list[str] = field(default_factory=list[str])
    changed: list[Unread] = field(default_factory=list[Unread])
    readable: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


def read_plainly(first: PortPass, settings: TourSettings, progress: Progress, go_on: Callable[[], None]) -> PlainPass:
    """Read every file of the first pass again, plainly, and compare.  `go_on` may raise to end it.  Blocks."""
    second = PlainPass()
    begun, begun_at = time.perf_counter(), time.time() - first.seconds
    progress.phase, progress.expected = "reading again, plainly", len(first.results)
    progress.files = progress.bytes = 0

    def read(path: str) -> ReadFile:
        return read_sequentially(path, sha256(), settings.chunk_bytes, go_on)

    for result in first.results:
        _read_again(result, second, read)
        progress.files += 1
        progress.bytes += result.read.bytes
    for path, _ in first.census.unread:
        try:
            read(path)
            if os.stat(path).st_ctime < begun_at:
                second.readable.append(path)
        except OSError:
            pass
    second.seconds = time.perf_counter() - begun
    return second


def _read_again(result: FileResult, second: PlainPass, read: Callable[[str], ReadFile]) -> None:
    path = result.found.path
    try:
        plain = read(path)
        has_changed = version(path) != result.found.version
        if not has_changed and plain != result.read:
            has_changed = plain.bytes != result.found.size or read(path) != plain
    except OSError as error:
        second.changed.append(Unread(path, reason(error)))
        return
    if has_changed:
        second.changed.append(Unread(path, "changed while the tour was under way"))
        return
    second.results.append(plain)
    second.first_results.append(result.read)
    if plain != result.read:
        second.differing.append(path)


def examine(first: PortPass, second: PlainPass) -> list[Check]:
    """Every check of the tour, in the order in which a report shows them.  O(files)."""
    return [*_check_results(first, second), *_check_packets(first), *_check_end(first)]


def _check_results(first: PortPass, second: PlainPass) -> list[Check]:
    found, expected = total(second.first_results), total(second.results)
    differing = [json.dumps(path) for path in second.differing[:SHOWN]]
    confirmed = len(first.census.unread) - len(second.readable)
    journal, results = Counter(first.journal), Counter((each.found.path, each.read) for each in first.results)
    return [
        Check(
            "files",
            not second.differing,
            f"{len(second.results):,} with the digest, the lines and the bytes of the plain pass"
            if not second.differing
            else f"{len(second.differing):,} differ from the plain pass: {', '.join(differing)}",
            ("Q-35",),
        ),
        Check(
            "totals",
            found == expected,
            f"{found.bytes:,} bytes and {found.lines:,} lines, plainly {expected.bytes:,} and {expected.lines:,}",
            ("Q-35",),
        ),
        Check(
            "unread",
            not second.readable,
            f"{confirmed:,} of {len(first.census.unread):,} cannot be read plainly either",
            ("I-05",),
        ),
        Check(
            "journal",
            journal == results,
            f"{journal.total():,} results on disk, {results.total():,} made",
            ("Q-23",),
        ),
    ]


def _check_packets(first: PortPass) -> list[Check]:
    figures = first.figures
    answered = first.data_packets + first.end_packets + first.failed_packets
    tallied = {worker.name: worker.packets for worker in first.workers}
    recorded = {name: sum(thread.received.values()) for name, thread in figures.threads.items()}
    counted = sum(tallied.values())
    return [
        Check(
            "one packet each",
            first.requests == answered,
            f"{first.requests:,} reads started, {answered:,} packets came of them",
            ("I-05",),
        ),
        Check(
            "delivered once",
            tallied == recorded and counted == first.requests + first.posted,
            f"the workers counted {counted:,} packets, the recorder {figures.delivered:,}",
            ("Q-35",),
        ),
        _faultless("limit", figures.limit_faults, f"no packet given out above {first.concurrency:,}", "Q-10", "Q-13"),
        _faultless("packets in order", figures.fifo_faults, "every packet taken was the oldest", "Q-06"),
        _faultless("waiters in order", figures.lifo_faults, "every waiter released was the last to park", "Q-07"),
        Check(
            "blocks ended",
            figures.blocked == figures.unblocked,
            f"{figures.blocked:,} begun, {figures.unblocked:,} over",
            ("Q-23", "Q-26"),
        ),
        _faultless(
            "invariants",
            first.violations,
            f"looked at, {first.invariant_checks:,} times",
            "P-01",
            "P-02",
            "P-07",
            "P-08",
            "P-13",
            "P-14",
            "P-15",
        ),
    ]


def _check_end(first: PortPass) -> list[Check]:
    wrong = [
        f"{step.moment}: {step.references}, not {step.expected}"
        for step in first.references
        if step.references != step.expected
    ]
    freed = [step.moment for step in first.references if step.freed]
    return [
        Check(
            "nothing left",
            first.depth_left == 0 and first.figures.dropped == 0,
            f"{first.depth_left:,} packets queued at the end, {first.figures.dropped:,} dropped",
            ("Q-35", "H-05"),
        ),
        _faultless("references", wrong, f"handles, files and parked calls, {len(first.references)} times", "H-02"),
        Check(
            "freed",
            len(freed) == 1 and first.references[-1].freed,
            "once, with the last reference" if freed else "never",
            ("H-01", "H-05"),
        ),
    ]


def _faultless(name: str, faults: Sequence[str], detail: str, *rules: str) -> Check:
    return Check(name, not faults, detail if not faults else "; ".join(faults[:SHOWN]), rules)


def total(results: Sequence[ReadFile]) -> ReadFile:
    """Lines and bytes of all, and one digest of all digests, whatever their order."""
    together = sha256("".join(sorted(each.digest for each in results)).encode("ascii")).hexdigest()
    return ReadFile(together, sum(each.lines for each in results), sum(each.bytes for each in results))
