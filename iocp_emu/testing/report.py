"""What an exploration has brought, for people: a verdict in one sentence, a table of the run, how to play it again.

Own rule.  A report is plain text and plain data, the same on every machine.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

from .coverage import never_exercised
from .observed import Row
from .runs import FailureKind, Run, RunFailure
from .schedule_text import Schedule


class StopReason(enum.Enum):
    """Why an exploration has stopped."""

    FAILURE = "a failure was found"
    COMPLETE = "every schedule has been tried"
    WITHIN_BOUND = "every schedule within the bound has been tried"
    SCHEDULES = "the number of schedules is used up"
    STATES = "the number of states is used up"
    SECONDS = "the time is used up"


class ExplorationFailed(AssertionError):
    """An exploration has found a failure, or has not reached what it should; the message is the report."""


@dataclass(frozen=True)
class Failure:
    """A failing run, shrunk.  `rule` is the id of the rule that is broken or that stops who waits.

    `schedule` is its text; `replay_command` is one line of Python that plays it again; `table` shows it step by step.
    """

    kind: FailureKind
    rule: str
    message: str
    thread: str
    schedule: str
    table: str
    steps: int
    preemptions: int
    found_at: int
    arguments: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def verdict(self) -> str:
        """One sentence."""
        first = self.message.partition("\n")[0]
        who = f" of {self.thread}" if self.thread else ""
        rule = f" ({self.rule})" if self.rule and self.rule not in first else ""
        return f"{self.kind.value}{who}: {first}{rule}"

    @property
    def replay_command(self) -> str:
        """Python that plays it again."""
        name = self.schedule.split("|")[1].split()[0]
        return f"replay({name}, {self.schedule!r})"

    def __str__(self) -> str:
        rest = self.message.partition("\n")[2]
        times = f"{self.steps} steps, {self.preemptions} preemption{'s' if self.preemptions != 1 else ''}"
        parts = [self.verdict, *([rest] if rest else []), "", f"{times}:", "", self.table, "", self.replay_command]
        return "\n".join(parts)


@dataclass(frozen=True)
class Exploration:
    """The result of `explore`.

    `schedules` were run; `states` are the different ones seen (None when the strategy does not look); `rules` were
    exercised, `never` were not.  `unmet` are properties of kind *sometimes* that never came true; `vacuous` are others
    that were never put to the test.  `unseen` says why states could not be told apart, if so.
    """

    program: str
    strategy: str
    seed: int
    stop: StopReason
    schedules: int
    states: int | None
    merged: int
    rules: tuple[str, ...]
    unmet: tuple[str, ...]
    vacuous: tuple[str, ...]
    unseen: str | None
    failure: Failure | None

    @property
    def ok(self) -> bool:
        """Whether nothing was found, and everything reached that should be."""
        return self.failure is None and not self.unmet

    @property
    def never(self) -> tuple[str, ...]:
        """The rules of ports that no run has exercised."""
        return tuple(never_exercised(self.rules))

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.failure is not None:
            return self.failure.verdict
        if self.unmet:
            return f"never happened: {', '.join(self.unmet)}"
        return f"nothing found: {self.stop.value}"

    @property
    def headline(self) -> str:
        """What was done, in one line."""
        seen = "" if self.states is None else f", {self.states:,} states, {self.merged:,} runs cut at a known one"
        return f"{self.program}: {self.stop.value} ({self.strategy}, seed {self.seed}, {self.schedules:,} runs{seen})"

    def assert_ok(self) -> None:
        """Raise `ExplorationFailed` with the whole report unless nothing was found."""
        if not self.ok:
            raise ExplorationFailed(f"\n{self}")

    def __str__(self) -> str:
        lines = [self.headline]
        if self.unseen is not None:
            lines.append(f"states could not be told apart, because of: {self.unseen} (see show_state)")
        if self.vacuous:
            lines.append(f"never put to the test: {', '.join(self.vacuous)}")
        lines.append(f"rules exercised: {' '.join(self.rules) or 'none'}; never: {' '.join(self.never) or 'none'}")
        body = str(self.failure) if self.failure is not None else self.verdict
        return "\n".join([body, "", *lines])


def failure_of(run: Run, failure: RunFailure, schedule: Schedule, found_at: int) -> Failure:
    """The report of one failing run, whose rows were kept."""
    table = run_table(run.rows, run.threads)
    return Failure(
        failure.kind,
        failure.rule,
        failure.message,
        failure.thread,
        str(schedule),
        table,
        run.steps,
        run.preemptions,
        found_at,
        dict(schedule.arguments),
    )


LONGEST_TABLE = 40
"""Rows of a table; of a longer run the beginning and the end are shown."""


def run_table(rows: Sequence[Row], threads: Sequence[str]) -> str:
    """A run with a column for each thread and one for the rules; one line for each step."""
    clock = any(row.thread == 0 for row in rows)
    table = [["", *(["clock"] if clock else []), *threads, "rules"]]
    offset = 1 if clock else 0
    for number, row in enumerate(rows, start=1):
        cells = [""] * (len(threads) + offset)
        place = row.thread - 1 + offset
        if row.thread or clock:
            cells[place] = _words(row)
        for thread, news in row.news:
            other = thread - 1 + offset
            cells[other] = f"{cells[other]}; {news}" if cells[other] else news
        table.append([str(number), *cells, " ".join(row.rules)])
    used = [column for column in range(len(table[0])) if column == 0 or any(line[column] for line in table[1:])]
    table = [[line[column] for column in used] for line in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
    if len(lines) > LONGEST_TABLE:
        half = LONGEST_TABLE // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half} steps more ...", *lines[-half:]]
    return "\n".join(lines)


def _words(row: Row) -> str:
    words = " ".join([row.verb, *row.objects])
    return f"{words}: {row.outcome}" if row.outcome else words
