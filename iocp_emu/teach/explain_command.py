"""`iocp-emu explain`: what each step of a recorded trace did, and why, in words with the rules."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator

from ..rules import sentence
from ..trace.jsonl import TraceFileError, read_trace
from ..trace.model import PortStep, Trace, TraceEvent, explain
from ..trace.text import Charset, clean, describe, format_seconds
from .arguments import whole

WIDTH_COLUMNS = 80
MOST_EVENTS = 1 << 31


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.description = "Say of each step of a recording what happened and why; then what the rules say that acted."
    parser.epilog = (
        "Example: iocp-emu trace run server.py --jsonl server.jsonl; then iocp-emu explain server.jsonl --event 15.  "
        "Exit status: 0, or 1 when the file cannot be read."
    )
    parser.add_argument("file", metavar="FILE.jsonl", help="a recording, as `iocp-emu trace run --jsonl` writes it")
    parser.add_argument("--event", type=whole(1, MOST_EVENTS), metavar="N", help="only event number N")
    parser.add_argument("--threads", action="store_true", help="also what threads do between the steps of ports")
    parser.add_argument("--ascii", action="store_true", help="print nothing but ASCII")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        trace = read_trace(arguments.file)
    except (OSError, TraceFileError) as error:
        print(f"iocp-emu explain: {error}", file=sys.stderr)
        return 1
    events: list[TraceEvent] = trace.events if arguments.threads else [*trace.steps]
    number: int | None = arguments.event
    if number is not None:
        if number > len(trace.events):
            print(f"iocp-emu explain: there is no event {number}: the last is {len(trace.events)}", file=sys.stderr)
            return 1
        events = [trace.events[number - 1]]
    for line in explanation(trace, events, Charset.ASCII if arguments.ascii else Charset.UNICODE):
        print(line)
    return 0


def explanation(trace: Trace, events: list[TraceEvent], charset: Charset) -> Iterator[str]:
    """The lines: a heading, a paragraph for each of these events, and the rules that they name.  O(events)."""
    yield from _filled("", clean(trace.title or "A trace", charset))
    yield from _filled("", describe(trace))
    yield ""
    rules: dict[str, None] = {}
    for event in events:
        head = f"{event.number:>5}  {format_seconds(event.time_seconds):>8}  "
        words = explain(trace, event)
        if isinstance(event, PortStep):
            where = f"Port {event.port}. " if len(trace.ports) > 1 and "{port}" not in event.reason.sentence else ""
            words = f"{where}{words} [{', '.join(event.rules)}]"
            rules |= dict.fromkeys(event.rules)
        yield from _filled(head, clean(words, charset))
    if rules:
        yield from ("", "The rules that acted:")
        for rule in sorted(rules):
            yield from _filled(f"  {rule}  ", clean(sentence(rule), charset))


def _filled(head: str, words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH_COLUMNS, initial_indent=head, subsequent_indent=" " * len(head))
