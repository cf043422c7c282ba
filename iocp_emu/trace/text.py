"""The timeline as text: a row per step, a lane per thread, the queue and the count beside them.

Theory.  Time runs downwards.  A lane shows by one sign what its thread does after the step; the signs are told at the
top.  Rows stand for the steps of ports, since those have rules; what threads do in between shows in the lanes of the
next row.

A row shows what is so when all has happened that its step brings about at once: who parks in it is parked.

Own rules.  No line is longer than the width (80 columns unless told otherwise).  In ASCII nothing else is printed:
other characters of names are escaped.  Control characters are escaped in any case.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase
from textwrap import wrap

from .model import Activity, Engine, PortStep, Trace, brief, limit_text
from .state import Cursor, ThreadStatus, TraceState

WIDTH = 80
MOST_LANES = 12
MOST_ROWS = 200
QUEUE_WIDTH = 8


class Charset(enum.Enum):
    """Which characters a terminal can show."""

    UNICODE = "unicode"
    ASCII = "ascii"


@dataclass(frozen=True, slots=True)
class Signs:
    """One sign for each activity, and what stands for more."""

    activities: dict[Activity, str]
    more: str
    rule: str
    turn: str


SIGNS = {
    Charset.UNICODE: Signs(
        {
            Activity.RUNNING: "█",
            Activity.READY: "▒",
            Activity.PARKED: "·",
            Activity.BLOCKED: "▂",
            Activity.SUSPENDED: "¦",
            Activity.ENDED: " ",
        },
        "…",
        "─",
        "◂",
    ),
    Charset.ASCII: Signs(
        {
            Activity.RUNNING: "R",
            Activity.READY: "r",
            Activity.PARKED: ".",
            Activity.BLOCKED: "b",
            Activity.SUSPENDED: "s",
            Activity.ENDED: " ",
        },
        "..",
        "-",
        "<",
    ),
}


def text_timeline(
    trace: Trace, charset: Charset = Charset.UNICODE, *, width: int = WIDTH, most_rows: int = MOST_ROWS
) -> str:
    """The whole trace as text that ends with a line feed; the middle of more than `most_rows` steps is left out.

    `width` is 60 or more columns, `most_rows` 2 or more.  Raises `ValueError`.  O(events).
    """
    if width < 60:
        raise ValueError(f"width must be 60 or more columns, not {width}")
    if most_rows < 2:
        raise ValueError(f"most_rows must be 2 or more, not {most_rows}")
    return "".join(f"{line.rstrip()}\n" for line in _Timeline(trace, charset, width).lines(most_rows))


def describe(trace: Trace) -> str:
    """What was recorded, in one line."""
    engine = "real threads"
    if trace.engine is Engine.SIMULATION:
        engine = f"simulation, {_plural(trace.processors or 0, 'processor')}"
    threads, steps = _plural(len(trace.threads), "thread"), _plural(len(trace.steps), "step")
    return f"{engine}; {threads}; {steps} in {format_seconds(trace.seconds)}"


def format_seconds(seconds: float) -> str:
    """A time for readers, in at most nine characters.

    >>> format_seconds(0), format_seconds(0.0000123), format_seconds(0.25), format_seconds(3600)
    ('0s', '12.3us', '250ms', '3600s')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)):
        value = seconds * factor
        if value >= 0.9995:
            digits = f"{value:.6g}" if unit == "s" else f"{value:.4g}"
            return f"{float(digits):.10g}{unit}"
    return "0s"


def clean(text: str, charset: Charset = Charset.UNICODE) -> str:
    """Text that a terminal can be given: control characters, and in ASCII all others too, as escapes.

    >>> clean("a\\x1bb"), clean("é", Charset.ASCII)
    ('a\\\\x1bb', '\\\\xe9')
    """
    if charset is Charset.ASCII:
        text = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class _Timeline:
    def __init__(self, trace: Trace, charset: Charset, width: int) -> None:
        self.trace = trace
        self.charset = charset
        self.signs = SIGNS[charset]
        self.width = width
        self.lanes = self._choose_lanes()
        self.heads = _heads(self.lanes)
        self.lane_width = 2 if len(self.lanes) > 6 else 3
        steps = trace.steps
        self.number_width = max(5, len(str(len(trace.events))))
        self.time_width = max([4, *(len(format_seconds(step.time_seconds)) for step in steps)])
        self.count_width = max([5, *(len(_count(step)) for step in steps)])

    def _choose_lanes(self) -> list[str]:
        """Those with the most steps, when there is not room for all; in the order of their appearance."""
        if len(self.trace.threads) <= MOST_LANES:
            return self.trace.threads
        steps = Counter(dict.fromkeys(self.trace.threads, 0))
        steps.update(step.thread for step in self.trace.steps if step.thread is not None)
        chosen = {name for name, _ in steps.most_common(MOST_LANES)}
        return [name for name in self.trace.threads if name in chosen]

    def lines(self, most_rows: int) -> Iterator[str]:
        yield from self._head()
        steps = sum(1 for event in self.trace.events if isinstance(event, PortStep))
        first, last = steps, 0
        if steps > most_rows:
            first, last = (most_rows + 1) // 2, most_rows // 2
        for row, (step, state) in enumerate(_rows(self.trace), 1):
            if row <= first or row > steps - last:
                yield from self._row(step, state)
            elif row == first + 1:
                yield self._fill(f" {steps - first - last:,} steps left out ")
        yield from self._end(Cursor(self.trace).seek(len(self.trace.events)))

    def _head(self) -> Iterator[str]:
        trace = self.trace
        yield from self._wrap(clean(trace.title, self.charset) or "Trace")
        yield from self._wrap(describe(trace))
        for port, limit in sorted(trace.ports.items()):
            yield from self._wrap(f"port {port} counts its running threads against the limit {limit_text(limit)}")
        signs = self.signs.activities
        yield ""
        legend = "  ".join(f"{sign} {each.value}" for each, sign in signs.items() if sign.strip())
        yield from self._wrap(f"Lanes: {legend}  blank: ended")
        names = [
            head if head == name else f"{head} {clean(name, self.charset)}"
            for head, name in zip(self.heads, self.lanes, strict=True)
        ]
        left_out = len(trace.threads) - len(self.lanes)
        if left_out:
            names.append(f"and {_plural(left_out, 'thread')} without a lane")
        yield from self._wrap("Threads: " + "  ".join(names))
        yield ""
        letters = "".join(head.ljust(self.lane_width) for head in self.heads)
        yield (
            f"{'event':>{self.number_width}} {'time':>{self.time_width}} {letters}"
            f"{'count':<{self.count_width}} {'queue':<{QUEUE_WIDTH}} what happened (rule)"
        )
        yield self._fill("")

    def _row(self, event: PortStep, state: TraceState) -> Iterator[str]:
        port = state.ports[event.port]
        lanes = "".join(self._lane(name, state.threads.get(name), event) for name in self.lanes)
        head = f"{event.number:>{self.number_width}} {format_seconds(event.time_seconds):>{self.time_width}} {lanes}"
        middle = f"{_count(event):<{self.count_width}} {self._queue(list(port.packets)):<{QUEUE_WIDTH}} "
        left = len(head) + len(middle)
        where = f"port {event.port}: " if len(self.trace.ports) > 1 else ""
        room = self.width - left
        words = clean(f"{where}{brief(self.trace, event)}", self.charset)
        rules = next((text for text in _rule_lists(event) if len(words) + len(text) <= room), f" ({event.rules[0]})")
        words += rules
        if room >= 28:
            text = wrap(words, room, break_long_words=True)
            yield f"{head}{middle}{text[0]}"
            yield from (f"{' ' * left}{line}" for line in text[1:])
        else:
            yield f"{head}{middle}"
            indent = " " * (self.number_width + self.time_width + 2)
            yield from (f"{indent}{line}" for line in wrap(words, self.width - len(indent), break_long_words=True))

    def _lane(self, name: str, status: ThreadStatus | None, event: PortStep) -> str:
        sign = " " if status is None else self.signs.activities[status.activity]
        if name == event.thread:
            sign += self.signs.turn
        return sign.ljust(self.lane_width)

    def _queue(self, packets: list[int]) -> str:
        """The packets in the queue, oldest first, as far as there is room."""
        text = " ".join(map(str, packets))
        if len(text) <= QUEUE_WIDTH:
            return text
        total = f"{self.signs.more}({len(packets)})"
        while packets and len(text) + len(total) > QUEUE_WIDTH:
            packets = packets[:-1] if len(packets) < QUEUE_WIDTH else packets[: QUEUE_WIDTH - 1]
            text = " ".join(map(str, packets))
        return (text + total)[:QUEUE_WIDTH] if packets else total.strip(self.signs.more)[:QUEUE_WIDTH]

    def _end(self, state: TraceState) -> Iterator[str]:
        """What is left: who has not ended, and what nobody has taken."""
        yield self._fill("")
        left = [
            f"{name} {status.activity.value}"
            for name, status in state.threads.items()
            if status.activity is not Activity.ENDED
        ]
        queued = sum(len(port.packets) for port in state.ports.values())
        words = f"At the end: {', '.join(left) or 'every thread has ended'}; {_plural(queued, 'packet')} queued."
        yield from self._wrap(clean(words, self.charset))

    def _fill(self, words: str) -> str:
        return words.center(self.width, self.signs.rule)

    def _wrap(self, words: str) -> list[str]:
        return wrap(words, self.width, subsequent_indent="  ", break_long_words=True)


def _rows(trace: Trace) -> Iterator[tuple[PortStep, TraceState]]:
    """Each step of a port, with the state after the changes of threads that come with it at the same time."""
    state = TraceState()
    step: PortStep | None = None
    for event in trace.events:
        if step is not None and (isinstance(event, PortStep) or event.time_seconds != step.time_seconds):
            yield step, state
            step = None
        state.apply(event)
        if isinstance(event, PortStep):
            step = event
    if step is not None:
        yield step, state


def _rule_lists(step: PortStep) -> Iterator[str]:
    """The rules of a step, then fewer of them, the most telling last."""
    for count in range(len(step.rules), 0, -1):
        yield f" ({', '.join(step.rules[:count])})"


def _heads(names: list[str]) -> list[str]:
    """A letter for the head of each lane.  A thread whose name is a letter keeps it; then the others are lower case.

    >>> _heads(["main", "worker"]), _heads(["main", "A", "B"])
    (['A', 'B'], ['a', 'A', 'B'])
    """
    own = {name for name in names if len(name) == 1 and name.isascii() and name.isalnum()}
    letters = (letter for letter in (ascii_lowercase if own else ascii_uppercase) if letter not in own)
    return [name if name in own else next(letters) for name in names]


def _count(step: PortStep) -> str:
    limit = limit_text(step.limit)
    return f"{step.active}/{limit if limit.isdigit() else '-'}"


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
