"""What an exploration may do: a bounded world, its verbs, and both as text.

Theory.  `Bounds` says how many threads, ports and packets there are; every history within them is explored.  `packets`
bounds how many are *queued* at one moment, not how many are ever posted, so histories have no bound on their
length.  A history is written as one line of plain characters that names verbs, threads and ports, nothing of Python:

    iocp-history 1 | win10 threads=2 packets=2 limits=1 | T1.get.P1 post.P1 T1.block | 8c1f0a2e

The last field is a checksum of what stands before it.

Own rule.  A text that is not understood to the last character is refused with the reason.
"""

from __future__ import annotations

import enum
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations_with_replacement
from typing import NamedTuple

from ..profiles import Profile, get_profile

VERSION = 1
"""The version of the text; it grows when an old text would be played differently."""

MAXIMUM_THREADS = 12
MAXIMUM_PORTS = 4
MAXIMUM_PACKETS = 40


class Verb(enum.Enum):
    """What a step of a history does; the value is its name in texts."""

    POST = "post"
    GET = "get"
    POLL = "poll"
    BATCH = "batch"
    ALERTABLE_GET = "alertable-get"
    EXPIRE = "expire"
    BLOCK = "block"
    UNBLOCK = "unblock"
    EXIT = "exit"
    CLOSE = "close"
    SUSPEND = "suspend"
    RESUME = "resume"
    USER_APC = "user-apc"
    KERNEL_APC = "kernel-apc"


BASIC_VERBS = (
    Verb.POST,
    Verb.GET,
    Verb.POLL,
    Verb.BATCH,
    Verb.EXPIRE,
    Verb.BLOCK,
    Verb.UNBLOCK,
    Verb.EXIT,
    Verb.CLOSE,
)
"""Posting, dequeueing in every way, timing out, blocking elsewhere, ending and closing."""

ALL_VERBS = tuple(Verb)
"""The basic verbs, suspension, user APCs that end alertable calls, and kernel APCs that insert (Q-18)."""

DEQUEUES = frozenset({Verb.GET, Verb.POLL, Verb.BATCH, Verb.ALERTABLE_GET})
OF_A_PORT = frozenset({Verb.POST, Verb.CLOSE})


class Move(NamedTuple):
    """One step: `thread` and `port` count from 0 and are None where the verb has none."""

    verb: Verb
    thread: int | None
    port: int | None

    def __str__(self) -> str:
        words = [
            *([] if self.thread is None else [f"T{self.thread + 1}"]),
            self.verb.value,
            *([] if self.port is None else [f"P{self.port + 1}"]),
        ]
        return ".".join(words)


class HistoryTextError(ValueError):
    """A text is no history of this version, is damaged, or cannot be played; the message gives the reason."""


@dataclass(frozen=True)
class Bounds:
    """A bounded world: `threads` (1 to 12), one port for each of `limits` (1 to 4 ports; concurrency values from 1),
    at most `packets` queued at a time (0 to 40), batches of up to `batch` packets, an emulated system by name.

    ValueError for numbers out of range.

    >>> Bounds(threads=2, limits=(1,), packets=2)
    Bounds(threads=2, limits=(1,), packets=2, batch=2, profile='win10', verbs=BASIC_VERBS)
    """

    threads: int = 3
    limits: tuple[int, ...] = (1, 1)
    packets: int = 4
    batch: int = 2
    profile: str = "win10"
    verbs: tuple[Verb, ...] = BASIC_VERBS

    def __post_init__(self) -> None:
        get_profile(self.profile)
        for name, value, smallest, largest in (
            ("threads", self.threads, 1, MAXIMUM_THREADS),
            ("ports", len(self.limits), 1, MAXIMUM_PORTS),
            ("packets", self.packets, 0, MAXIMUM_PACKETS),
            ("batch", self.batch, 2, MAXIMUM_PACKETS),
            ("the smallest limit", min(self.limits, default=0), 1, 0xFFFFFFFF),
        ):
            if not smallest <= value <= largest:
                raise ValueError(f"{name} must be {smallest} to {largest}, not {value}")

    def __repr__(self) -> str:
        named = {BASIC_VERBS: "BASIC_VERBS", ALL_VERBS: "ALL_VERBS"}
        values = {each.name: repr(getattr(self, each.name)) for each in fields(self)}
        values["verbs"] = named.get(self.verbs, values["verbs"])
        return f"Bounds({', '.join(f'{name}={value}' for name, value in values.items())})"

    @property
    def system(self) -> Profile:
        """The emulated system."""
        return get_profile(self.profile)

    @property
    def usable_verbs(self) -> tuple[Verb, ...]:
        """The verbs that the emulated system has."""
        missing = set[Verb]() if self.system.batch_removal else {Verb.BATCH, Verb.ALERTABLE_GET}
        return tuple(verb for verb in dict.fromkeys(self.verbs) if verb not in missing)

    def __str__(self) -> str:
        limits = ",".join(map(str, self.limits))
        return f"{self.profile} threads={self.threads} limits={limits} packets={self.packets} batch={self.batch}"


def every_limit(
    threads: int, ports: int, packets: int, *, profile: str = "win10", verbs: tuple[Verb, ...] = BASIC_VERBS
) -> list[Bounds]:
    """One `Bounds` for every choice of concurrency values from 1 to `threads`, like ports being interchangeable.

    A larger value is as good as none, since there are no more threads (P-18).

    >>> [bounds.limits for bounds in every_limit(threads=2, ports=2, packets=1)]
    [(1, 1), (1, 2), (2, 2)]
    """
    choices = combinations_with_replacement(range(1, threads + 1), ports)
    return [Bounds(threads, limits, packets, profile=profile, verbs=verbs) for limits in choices]


# -- histories as text ---------------------------------------------------------------------------------------------

_HEAD = re.compile(r"iocp-history ([0-9]+)")
_WORLD = re.compile(r"(\S+) threads=([0-9]+) limits=([0-9]+(?:,[0-9]+)*) packets=([0-9]+) batch=([0-9]+)", re.ASCII)
_MOVE = re.compile(r"(?:T([0-9]+)\.)?([a-z-]+)(?:\.P([0-9]+))?", re.ASCII)
_VERBS = {verb.value: verb for verb in Verb}


def history_text(bounds: Bounds, moves: Sequence[Move]) -> str:
    """A history as one line.  O(moves).

    >>> history_text(Bounds(1, (1,), 1), [Move(Verb.POST, None, 0), Move(Verb.GET, 0, 0)])
    'iocp-history 1 | win10 threads=1 limits=1 packets=1 batch=2 | post.P1 T1.get.P1 | 41f3908d'
    """
    body = f"iocp-history {VERSION} | {bounds} | {' '.join(map(str, moves)) or 'nothing'}"
    return f"{body} | {_checksum(body)}"


def parse_history(text: str) -> tuple[Bounds, list[Move]]:
    """The bounds and the moves of a text; `HistoryTextError` with the reason for any other.  O(text)."""
    parts = [part.strip() for part in " ".join(text.split()).split("|")]
    head = _HEAD.fullmatch(parts[0])
    if head is None:
        raise HistoryTextError("this is no history: it does not begin with `iocp-history` and a version")
    if int(head[1]) != VERSION:
        raise HistoryTextError(f"this is a history of version {head[1]}; this release plays version {VERSION}")
    if len(parts) != 4:
        raise HistoryTextError(f"a history has 4 fields between `|`, this one {len(parts)}: part of it is missing")
    checksum = _checksum(" | ".join(parts[:3]))
    if parts[3] != checksum:
        raise HistoryTextError(f"the text is damaged: its checksum is {checksum}, not {parts[3]}")
    world = _WORLD.fullmatch(parts[1])
    if world is None:
        raise HistoryTextError(f"this is no bounded world: {parts[1]}")
    limits = tuple(int(limit) for limit in world[3].split(","))
    try:
        bounds = Bounds(int(world[2]), limits, int(world[4]), int(world[5]), world[1], ALL_VERBS)
    except (ValueError, LookupError) as error:
        raise HistoryTextError(f"this is no bounded world: {error}") from None
    words = [] if parts[2] == "nothing" else parts[2].split()
    return bounds, [_parse_move(word, bounds) for word in words]


def _parse_move(word: str, bounds: Bounds) -> Move:
    found = _MOVE.fullmatch(word)
    if found is None or found[2] not in _VERBS:
        raise HistoryTextError(f"there is no verb `{word}`")
    thread = None if found[1] is None else int(found[1]) - 1
    port = None if found[3] is None else int(found[3]) - 1
    move = Move(_VERBS[found[2]], thread, port)
    wants_thread, wants_port = move.verb not in OF_A_PORT, move.verb in DEQUEUES | OF_A_PORT
    if (thread is not None) != wants_thread or (port is not None) != wants_port:
        raise HistoryTextError(f"`{word}` does not name what {move.verb.value} needs")
    if not (thread is None or 0 <= thread < bounds.threads) or not (port is None or 0 <= port < len(bounds.limits)):
        raise HistoryTextError(f"`{word}` names a thread or port that is not in this world")
    return move


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
