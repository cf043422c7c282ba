"""A tour's report as plain text: ASCII, at most 80 columns.

Theory.  Each figure stands next to the rule that explains it.  Sentences are chosen by what was measured: where nothing
was released, say, the report says so.  Paths are shown with what cannot be printed escaped, and shortened from the
left.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ..trace.recorder import EventKind
from .tour import TourResult
from .tour_figures import ThreadFigures, Timeline
from .tour_files import Unread
from .tour_results import WorkerTally

WIDTH = 80
COLUMNS = 52
"""Columns of the chart, each a stretch of time."""

ROWS = 10
"""Rows of the chart, each one count or, when there are more, a few neighbouring ones."""

LISTED = 10
"""How many unread paths, and how many workers, are named."""

BAR = 20


def as_text(result: TourResult) -> str:
    """The tour as text that explains itself, ending with a newline.  O(workers + slices + listed paths)."""
    sections = (_head, _files, _workers, _deliveries, _counts, _blocking, _references, _checks)
    return "\n\n".join("\n".join(section(result)) for section in sections) + "\n"


def printable(path: str) -> str:
    """A path in ASCII, with everything else escaped.

    >>> print(printable("caf\\xe9\\n"))
    caf\\xe9\\n
    """
    return "".join(each if " " <= each <= "~" else ascii(each)[1:-1] for each in path)


def shortened(text: str, width: int) -> str:
    """The text, or its end after three dots, in at most `width` (4 or more) columns.

    >>> shortened("a/long/way/to/a/file", 12)
    '...to/a/file'
    """
    return text if len(text) <= width else "..." + text[3 - width :]


def duration(seconds: float) -> str:
    """A time in milliseconds, a long one in seconds.

    >>> duration(0.01234), duration(12.5)
    ('12.3 ms', '12.5 s')
    """
    return f"{seconds * 1000:,.1f} ms" if seconds < 10 else f"{seconds:,.1f} s"


def _sentence(text: str, indent: int = 2, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + hanging), break_on_hyphens=False
    )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _head(result: TourResult) -> Iterator[str]:
    settings, limit = result.settings, result.first.concurrency
    title = "The life of a completion port, on "
    yield title + shortened(printable(settings.path), WIDTH - len(title))
    yield "=" * WIDTH
    yield from _sentence(
        f"{_count(settings.workers, 'worker')}, one port, concurrency value {limit:,}: a packet is handed out only "
        "while fewer workers than that are runnable (Q-10, A-06). A letter and a number name the rule behind a figure.",
        indent=0,
    )


def _files(result: TourResult) -> Iterator[str]:
    first, second = result.first, result.second
    read = [each.read for each in first.results]
    yield "What was read"
    lines, size = sum(each.lines for each in read), sum(each.bytes for each in read)
    directories = _count(first.census.directories, "directory")
    yield from _figure(len(read), "file", f", {_count(lines, 'line')}, in {directories}")
    yield from _figure(size, "byte", f", in reads of up to {result.settings.chunk_bytes:,}")
    yield from _figure(
        first.requests,
        "read",
        f": {first.data_packets:,} brought data, {first.end_packets:,} the end of a file, "
        f"{first.failed_packets:,} an error (I-05)",
    )
    most_open = _count(first.most_open, "file")
    yield from _figure(first.most_in_flight, "read", f" in flight at most; at most {most_open} open")
    yield from _figure(result.first.figures.deepest, "packet", " in the queue at most (Q-05)")
    yield f"{duration(first.seconds):>14}  through the port: each step recorded, each result put on disk"
    yield f"{duration(second.seconds):>14}  for the plain pass afterwards: one file after the other"
    yield from _not_read(" not readable:", first.census.unread)
    yield from _not_read(" changed meanwhile, not compared:", second.changed)
    if first.census.special:
        yield from _figure(first.census.special, "special file", " (pipe, socket, device), not opened")
    if first.census.linked_directories:
        yield from _figure(first.census.linked_directories, "link", " to a directory, not followed")


def _figure(number: int, noun: str, rest: str) -> list[str]:
    text = f"{noun}{'' if number == 1 else 's'}{rest}"
    return textwrap.wrap(text, WIDTH, initial_indent=f"{number:>14,}  ", subsequent_indent=" " * 16)


def _count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> _count(1, "file"), _count(2000, "directory")
    ('1 file', '2,000 directories')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def _not_read(what: str, paths: list[Unread]) -> Iterator[str]:
    if not paths:
        return
    yield from _figure(len(paths), "path", what)
    for path, why in paths[:LISTED]:
        name, reason = printable(path), printable(why)
        if len(name) + len(reason) + 6 <= WIDTH:
            yield f"    {name}: {reason}"
        else:
            yield f"    {shortened(name, WIDTH - 5)}:"
            yield from _sentence(reason, indent=8)
    if len(paths) > LISTED:
        yield f"    ... and {len(paths) - LISTED:,} more"


def _workers(result: TourResult) -> Iterator[str]:
    workers, threads = result.first.workers, result.first.figures.threads
    most = max(worker.packets for worker in workers)
    yield "Who did the work: no turns, the last to park is the first to go (Q-07, A-10)"
    yield f"  {'worker':<12}{'packets':>10}  {'':<{BAR}}{'bytes':>16}{'parked':>9}{'blocked':>9}"
    ranked = sorted(workers, key=lambda worker: -worker.packets) if len(workers) > LISTED else workers
    for worker in ranked[:LISTED]:
        yield _worker(worker, threads.get(worker.name, ThreadFigures()), most)
    if len(ranked) > LISTED:
        rest = ranked[LISTED:]
        yield f"  ... and {len(rest):,} more, with {sum(worker.packets for worker in rest):,} packets"


def _worker(worker: WorkerTally, figures: ThreadFigures, most: int) -> str:
    bar = "#" * round(BAR * worker.packets / max(most, 1))
    return (
        f"  {worker.name:<12}{worker.packets:>10,}  {bar:<{BAR}}{worker.bytes:>16,}"
        f"{figures.parked:>9,}{figures.blocked:>9,}"
    )


def _deliveries(result: TourResult) -> Iterator[str]:
    first, figures = result.first, result.first.figures
    ways = figures.deliveries
    yield "How the packets reached them"
    yield f"{ways[EventKind.HANDED_OVER]:>14,}  handed over: a packet met a waiter and a free slot (Q-10)"
    yield f"{ways[EventKind.RELEASED]:>14,}  released: a slot came free, a waiter got the oldest (Q-25)"
    yield f"{ways[EventKind.TAKEN]:>14,}  taken at once, by a worker that came for more (Q-14);"
    yield f"{figures.avoided:>14,}  of these while others waited: context switches avoided (A-05)"
    if first.switches is not None:
        voluntary, involuntary = first.switches
        each = (voluntary + involuntary) / max(figures.delivered, 1)
        yield from _sentence(
            f"The whole process made {voluntary:,} voluntary and {involuntary:,} involuntary context switches "
            f"meanwhile, {each:.1f} per packet; reading the files and taking turns in the interpreter are among them."
        )


def _counts(result: TourResult) -> Iterator[str]:
    limit, figures = result.first.concurrency, result.first.figures
    yield "How many workers were runnable, over time (Q-02)"
    yield from _chart(figures.timeline, limit)
    peak = figures.peak
    if peak.active <= limit:
        yield from _sentence(f"Never above the limit; {peak.active:,} at most.")
        return
    causes = {EventKind.UNBLOCKED: "stopped blocking", EventKind.TIMED_OUT: "gave up waiting"}
    assert peak.kind is not None
    yield from _sentence(
        f"At most {peak.active:,}, after {duration(peak.seconds)}: {peak.thread} "
        f"{causes.get(peak.kind, 'got a packet')}, and whoever does is counted at once; nobody is stopped for it "
        f"(Q-26). The count rose above the limit {_times(sum(figures.exceeded_by.values()))}, and fell as workers "
        "parked or blocked, with nobody released until it was below (Q-27, Q-32)."
    )


def _chart(timeline: Timeline, limit: int) -> Iterator[str]:
    """A row for each count, highest first: its share of the time, and when the count stood there or above."""
    seconds = timeline.seconds_at()
    total = sum(seconds.values())
    if not total:
        yield from _sentence("No time has passed.")
        return
    step = -(-(max(seconds) + 1) // ROWS)
    merged = -(-len(timeline.slices) // COLUMNS)
    columns = [timeline.slices[first : first + merged] for first in range(0, len(timeline.slices), merged)]
    for low in range(max(seconds) // step * step, -1, -step):
        high = low + step - 1
        share = sum(each for count, each in seconds.items() if low <= count <= high) / total
        label = f"{low}" if step == 1 else f"{low}-{high}"
        mark = "limit" if low <= limit <= high else ""
        drawn = "".join(_symbol(column, low) for column in columns) if low else ""
        yield f"  {label:>7} {mark:<5} {share:>6.1%} |{drawn}".rstrip()
    yield from _sentence(
        f"Each column is {duration(timeline.slice_seconds * merged)}: '#' at or above that count for three "
        "quarters of it or more, '+' for one quarter or more, '.' for less."
    )


def _symbol(column: list[dict[int, float]], low: int) -> str:
    total = sum(sum(part.values()) for part in column)
    above = sum(seconds for part in column for count, seconds in part.items() if count >= low)
    share = above / total if total else 0.0
    return "#" if share >= 0.75 else "+" if share >= 0.25 else "." if share > 0 else " "


def _blocking(result: TourResult) -> Iterator[str]:
    first, figures = result.first, result.first.figures
    seconds = sum(thread.blocked_seconds for thread in figures.threads.values())
    released = figures.released_by[EventKind.BLOCKED]
    yield "What blocking gave away"
    yield from _sentence(
        f"Workers blocked {_times(figures.blocked)} to write a result to disk, for {duration(seconds)} in all "
        f"(Q-23), {_times(first.journal_synced)} up to fsync. Each time a slot came free: "
        f"{_count(released, 'waiter')} got the oldest packet for it (Q-25)" + (":" if figures.releases else ".")
    )
    for release in figures.releases:
        when = duration(release.seconds)
        yield f"{when:>14}  {release.by} blocked: {release.to} got a packet of file {release.key}"
    left = figures.released_by[EventKind.LEFT]
    yield from _sentence(
        f"At the end each worker got a posted packet that says stop (N-07); {_count(left, 'waiter')} got it because "
        "another worker had ended (Q-28)."
    )


def _references(result: TourResult) -> Iterator[str]:
    yield "What kept the port alive (H-01, H-02)"
    yield f"  {'references':>10}  = {'handles':>7} + {'files':>5} + {'calls':>5}"
    for step in result.first.references:
        end = ": freed (H-05)" if step.freed else ""
        counts = f"{step.references:>10}  = {step.handles:>7} + {step.files:>5} + {step.calls:>5}"
        yield f"  {counts}  {step.moment}{end}"


def _checks(result: TourResult) -> Iterator[str]:
    held = sum(check.ok for check in result.checks)
    yield f"Checks: {held} of {len(result.checks)} hold"
    for check in result.checks:
        word = "ok" if check.ok else "FAILED"
        yield from _sentence(f"{word:<6}  {check.name}: {check.detail} ({', '.join(check.rules)})", hanging=8)
