"""`iocp-emu ps` on the command line: the live ports of running processes.

Own rule.  Names and keys come from other programs: control characters are shown, not sent.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable
from time import sleep

from ..inspection import NotInspectable, PortPicture, ProcessPicture, inspect_all, inspect_process
from ..inspection.doors import VARIABLE
from ..inspection.pictures import MOST_SHOWN, to_document
from .arguments import whole
from .stepper.view import clean

WIDTH_COLUMNS = 80
CLEAR = "\x1b[2J\x1b[H"
MOST_PID = (1 << 31) - 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.description = (
        "Show the ports of running processes: counts, queues, waiters, threads and files. A process is seen when it "
        f"was started with {VARIABLE}=1 in its environment, or has called iocp_emu.allow_inspection(); only its own "
        "user can look."
    )
    parser.epilog = (
        "Example: iocp-emu ps 4711 --watch.  "
        "Exit status: 1 when there is nothing to show, or the process cannot be seen."
    )
    parser.add_argument(
        "pid", nargs="?", type=whole(1, MOST_PID), metavar="PID", help="one process (default: all that allow it)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.add_argument(
        "--watch", nargs="?", type=_seconds, const=1.0, metavar="SECONDS", help="again and again (default: each second)"
    )
    parser.set_defaults(run=_run)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be 0.05 to 3600 seconds, not {text!r}")
    return seconds


def _run(arguments: argparse.Namespace) -> int:
    while True:
        try:
            processes = inspect_all() if arguments.pid is None else [inspect_process(arguments.pid)]
        except (NotInspectable, OSError) as error:
            print(f"iocp-emu ps: {error}", file=sys.stderr)
            return 1
        if arguments.watch is not None and sys.stdout.isatty():
            sys.stdout.write(CLEAR)
        if arguments.json:
            print(json.dumps([to_document(each) for each in processes], indent=2))
        elif processes:
            print("\n".join(show(processes)))
        if arguments.watch is None:
            break
        sys.stdout.flush()
        sleep(arguments.watch)
    if not processes:
        print(f"iocp-emu ps: no process allows inspection (start one with {VARIABLE}=1)", file=sys.stderr)
        return 1
    return 0


def show(processes: Iterable[ProcessPicture]) -> list[str]:
    """The processes as lines of at most 80 columns."""
    lines: list[str] = []
    for process in processes:
        lines += _filled(f"process {process.pid}: ", process.command)
        if not process.systems:
            lines.append("  no ports")
        for system in process.systems:
            lines.append(f"  {system.profile}, {system.processors} processors")
            for number, port in enumerate(system.ports, start=1):
                lines += _port(number, port)
    return lines


def _port(number: int, port: PortPicture) -> list[str]:
    handles = " ".join(f"{handle:#x}" for handle in port.handles)
    where = " ".join(filter(None, [port.name and f"{port.name!r}", handles and f"handle {handles}"]))
    lines = [f"  port {number}{f' ({clean(where)})' if where else ''}: {port.active} of {port.concurrency} active"]
    if port.is_closed:
        lines[0] += f", closed; {port.dropped} packets dropped"
    lines += _filled(f"    packets {port.depth}, oldest first: ", _listed(port.packets, port.depth))
    lines += _filled(f"    waiters {port.waiting}, top first: ", _listed(port.waiters, port.waiting))
    threads = [f"{each.name} {each.state}" for each in port.threads]
    lines += _filled("    threads: ", _listed(threads, len(threads), ", "))
    files = [f"{each.kind} key {each.key} ({each.requests} in flight)" for each in port.files]
    return lines + (_filled("    files: ", _listed(files, len(files), ", ")) if files else [])


def _listed(names: Iterable[str], count: int, between: str = " ") -> str:
    shown = list(names)
    more = f"{between}and {count - MOST_SHOWN} more" if count > MOST_SHOWN else ""
    return f"{between.join(shown)}{more}" or "none"


def _filled(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        clean(text), WIDTH_COLUMNS, initial_indent=head, subsequent_indent=" " * (len(head) - len(head.lstrip()) + 2)
    ) or [head]
