"""A moment as text: threads, ports, what has just happened and by which rule, and the options.

Own rules.  Lines are at most `width` columns wide.  Names come from programs: control characters are shown, not sent.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from ...rules import all_rules
from ...testing.observed import Row
from ...testing.report import run_table
from .moments import Moment, PortPicture, Standing, ThreadPicture
from .session import Difference, Session

WIDTH_COLUMNS = 80
RECENT_ROWS = 3
"""Steps that are shown above the question."""


def show_session(session: Session, width: int = WIDTH_COLUMNS) -> str:
    """The whole view of the current branch."""
    moment = session.moment
    head = f"{session.plan.name}, branch {session.branch}, choice {len(moment.ranks)}, at {moment.seconds:g} s"
    parts = [head, "", *show_threads(moment.threads, width), "", *show_ports(moment.ports, width)]
    recent = moment.rows[-RECENT_ROWS:]
    if recent:
        first = len(moment.rows) - len(recent) + 1
        parts += ["", *show_rows(recent, [each.name for each in moment.threads], first, width)]
        parts += _rule_sentences(recent[-1].rules, width)
    parts += ["", *(show_end(moment, width) if moment.run is not None else show_options(moment, width))]
    return "\n".join(parts)


def show_threads(threads: Iterable[ThreadPicture], width: int) -> list[str]:
    """A line for each thread."""
    lines = [("thread", "standing", "next step, or what it waits for")]
    for thread in threads:
        standing = thread.standing.value
        if thread.standing is Standing.RUNNING and thread.processor is not None:
            standing = f"running on {thread.processor}"
        lines.append((clean(thread.name), standing, clean(thread.next_step or thread.waits_for)))
    return _columns(lines, width)


def show_ports(ports: Iterable[PortPicture], width: int) -> list[str]:
    """What each port holds: the count against the limit, packets oldest first, waiters top first."""
    lines: list[str] = []
    for port in ports:
        if port.is_closed:
            lines.append(f"{port.name}: closed")
            continue
        lines += [
            f"{port.name}: {port.active} of {port.limit} active",
            _cut(f"  packets, oldest first: {clean(' '.join(port.packets)) or 'none'}", width),
            _cut(f"  waiters, top first:    {clean(' '.join(port.waiters)) or 'none'}", width),
        ]
    return lines or ["no port yet"]


def show_rows(rows: Iterable[Row], threads: list[str], first: int, width: int) -> list[str]:
    """Steps as lines, numbered from `first`."""
    return [_cut(f"{number:>4}  {clean(line)}", width) for number, line in enumerate(_lines(rows, threads), first)]


def _lines(rows: Iterable[Row], threads: list[str]) -> list[str]:
    return [row_line(row, threads) for row in rows]


def row_line(row: Row, threads: list[str]) -> str:
    """One step in words, with what it did to others and its rules."""
    who = threads[row.thread - 1] if row.thread else "clock"
    words = " ".join([row.verb, *row.objects])
    told = f"{who}: {words}: {row.outcome}" if row.outcome else f"{who}: {words}"
    news = "".join(f"; {threads[thread - 1]} {news}" for thread, news in row.news)
    rules = f" [{' '.join(row.rules)}]" if row.rules else ""
    return f"{told}{news}{rules}"


def _rule_sentences(rules: Iterable[str], width: int) -> list[str]:
    lines: list[str] = []
    for rule in rules:
        lines += textwrap.wrap(
            all_rules()[rule].sentence, width, initial_indent=f"      {rule}  ", subsequent_indent=" " * 12
        )
    return lines


def show_options(moment: Moment, width: int) -> list[str]:
    """The question with its numbered answers."""
    numbered = [_cut(f"  {place}. {clean(option.words)}", width) for place, option in enumerate(moment.options, 1)]
    return [clean(moment.question), *numbered]


def show_end(moment: Moment, width: int) -> list[str]:
    """How the run has ended."""
    assert moment.run is not None
    failure = moment.run.failure
    if failure is None:
        return ["The run has ended without a failure."]
    rule = f" ({failure.rule})" if failure.rule else ""
    first, *rest = failure.message.splitlines()
    who = f" of {failure.thread}" if failure.thread else ""
    return [
        *textwrap.wrap(f"The run has ended in a failure: {failure.kind.value}{who}: {clean(first)}{rule}", width),
        *(_cut(f"  {clean(line)}", width) for line in rest),
    ]


def show_table(session: Session) -> str:
    """All steps so far, with a column for each thread."""
    moment = session.moment
    return clean(run_table(moment.rows, [each.name for each in moment.threads]), keep="\n")


def show_difference(difference: Difference, names: tuple[list[str], list[str]], width: int = WIDTH_COLUMNS) -> str:
    """Two branches side by side; the first step that differs is marked."""
    half = (width - 7) // 2
    lines = [f"      {difference.left:<{half}} {difference.right}"]
    for index, (one, other) in enumerate(difference.pairs):
        mark = ">" if index == difference.first else " "
        left = "" if one is None else row_line(one, names[0])
        right = "" if other is None else row_line(other, names[1])
        lines.append(f"{mark}{index + 1:>4} {_cut(clean(left), half):<{half}} {_cut(clean(right), half)}".rstrip())
    lines.append("they are equal" if difference.first is None else f"they part at step {difference.first + 1}")
    return "\n".join(lines)


def clean(text: str, keep: str = "") -> str:
    """`text` with control characters made visible.

    >>> print(clean("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return "".join(each if each.isprintable() or each in keep else ascii(each)[1:-1] for each in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _columns(rows: list[tuple[str, str, str]], width: int) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [_cut(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip(), width) for row in rows]
