"""A schedule as one line of text, to paste into a test or an issue.

Theory.  The text names the version, the program with its parameters, the machine, and the ranks of the choices; rank 0
is written as how often it comes in a row, so that only what a scheduler without a will would not have done takes space:

    iocp-schedule 1 | lost_update writers=2 | processors=2 seed=0 ... | 3 +1 12 +2 | 5d0f1c9a

means: three times whoever is first, then the second option, twelve times the first, then the third option, and then the
first until the end.  The last field is a checksum of what stands before it.  Ranks count kernel calls and nothing of
Python, so the text means the same on every version and system.

Own rule.  A text that is not understood to the last character, or that is of another program, is refused with the
reason.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

VERSION = 1
"""The version of the text; it grows when an old text would be played differently."""

_HEAD = re.compile(r"iocp-schedule ([0-9]+)")
_SETTING = re.compile(r"([A-Za-z_]\w*)=(-?[0-9]+|[\w.-]+)", re.ASCII)
_RANKS = re.compile(r"nothing|(?:[0-9]+|\+[1-9][0-9]*)(?: (?:[0-9]+|\+[1-9][0-9]*))*", re.ASCII)


class ScheduleTextError(ValueError):
    """A text is no schedule, or not one of this version or program; the message says why."""


@dataclass(frozen=True)
class Schedule:
    """A schedule of the program `name` with its integer `arguments`, on a machine."""

    name: str
    ranks: tuple[int, ...]
    arguments: Mapping[str, int] = field(default_factory=dict[str, int])
    processors: int = 2
    seed: int = 0
    profile: str = "win10"
    steps: int = 2000
    shared: str = "memory"

    def __str__(self) -> str:
        program = " ".join([self.name, *(f"{name}={value}" for name, value in sorted(self.arguments.items()))])
        machine = f"processors={self.processors} seed={self.seed} profile={self.profile} steps={self.steps}"
        body = f"iocp-schedule {VERSION} | {program} | {machine} shared={self.shared} | {_write_ranks(self.ranks)}"
        return f"{body} | {_checksum(body)}"


def parse_schedule(text: str) -> Schedule:
    """The schedule of a text; `ScheduleTextError` for anything else.  O(text and choices).

    >>> schedule = Schedule("program", (0, 0, 1, 0, 2, 0), {"n": 3})
    >>> str(schedule)
    'iocp-schedule 1 | program n=3 | processors=2 seed=0 profile=win10 steps=2000 shared=memory | 2 +1 1 +2 | 5a073be1'
    >>> parse_schedule(str(schedule)).ranks
    (0, 0, 1, 0, 2)
    """
    parts = [part.strip() for part in " ".join(text.split()).split("|")]
    head = _HEAD.fullmatch(parts[0])
    if head is None:
        raise ScheduleTextError("this is no schedule: it does not begin with `iocp-schedule` and a version")
    if int(head[1]) != VERSION:
        raise ScheduleTextError(f"this is a schedule of version {head[1]}; this release plays version {VERSION}")
    if len(parts) != 5:
        raise ScheduleTextError(f"a schedule has 5 fields between `|`, this one {len(parts)}: part of it is missing")
    checksum = _checksum(" | ".join(parts[:4]))
    if parts[4] != checksum:
        raise ScheduleTextError(f"the text is damaged: its checksum is {checksum}, not {parts[4]}")
    name, *given = parts[1].split()
    arguments = {key: _number(key, value) for key, value in map(_setting, given)}
    machine = dict(map(_setting, parts[2].split()))
    if set(machine) != {"processors", "seed", "profile", "steps", "shared"}:
        raise ScheduleTextError(f"this is no machine: {parts[2]}")
    if not _RANKS.fullmatch(parts[3]):
        raise ScheduleTextError(f"these are no choices: {parts[3]}")
    processors, seed, steps = (_number(key, machine[key]) for key in ("processors", "seed", "steps"))
    ranks = _read_ranks(parts[3])
    return Schedule(name, ranks, arguments, processors, seed, machine["profile"], steps, machine["shared"])


def _setting(word: str) -> tuple[str, str]:
    found = _SETTING.fullmatch(word)
    if found is None:
        raise ScheduleTextError(f"`{word}` is no setting")
    return found[1], found[2]


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ScheduleTextError(f"{name} is a whole number, not {value}") from None


def _write_ranks(ranks: Sequence[int]) -> str:
    words: list[str] = []
    zeros = 0
    for rank in ranks:
        if rank == 0:
            zeros += 1
            continue
        if zeros:
            words.append(str(zeros))
        words.append(f"+{rank}")
        zeros = 0
    return " ".join(words) or "nothing"


def _read_ranks(text: str) -> tuple[int, ...]:
    ranks: list[int] = []
    for word in [] if text == "nothing" else text.split():
        if word.startswith("+"):
            ranks.append(int(word))
        elif int(word) > 1_000_000:
            raise ScheduleTextError(f"{word} choices in a row are more than any run has")
        else:
            ranks += [0] * int(word)
    return tuple(ranks)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
