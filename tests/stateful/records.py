"""What the naive model is made of: what distinguishes the emulated systems, and records of plain fields.

Theory.  A record says what is so, never how often: whatever can be counted from the records is counted when it is asked
for (Q-02).  Objects are known by their number, in the order of creation.

Own rule.  The switches are those of semantics.md 0.3, copied from its table and not from the product's profiles.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from iocp_emu import status

QUERY, MODIFY, SYNCHRONIZE, EVERYTHING = 0x1, 0x2, 0x100000, 0x1F0003


@dataclass(frozen=True)
class Switches:
    """Semantics 0.3, row by row; the defaults are those of win10."""

    limit: bool = True
    close_wakes_waiters: bool = True
    port_waitable: bool = True
    hand_off_wakes_direct_waiters: bool = False
    agnostic_requests: bool = True
    late_status_block: bool = True
    issuer_affinity: str = "thread-bound requests"
    batch_and_alertable: bool = True
    apc_first_for_strangers: bool = True
    notification_modes: bool = True
    replaceable: bool = True
    # Not rows of the table.
    routine_refused_on_port: bool = True
    association_signals_file: bool = True
    cancelling_nothing_is_refused: bool = True


WIN10 = Switches()
WIN7 = replace(WIN10, hand_off_wakes_direct_waiters=True, replaceable=False)
XP = replace(
    WIN7,
    close_wakes_waiters=False,
    agnostic_requests=False,
    late_status_block=False,
    issuer_affinity="all requests",
    batch_and_alertable=False,
    apc_first_for_strangers=False,
    notification_modes=False,
)
# What the table leaves open ("optional") is off; the classic page knows no signalled file handle [CHOICE].
CLASSIC = replace(
    WIN10,
    port_waitable=False,
    agnostic_requests=False,
    late_status_block=False,
    issuer_affinity="none",
    batch_and_alertable=False,
    notification_modes=False,
    replaceable=False,
    association_signals_file=False,
)
# "Partly" is taken from chapter 10: requests outlive their thread, the block is never late.  The last two are recorded
# (vectors file-15 and cancel-06).
WINE = replace(
    WIN10,
    limit=False,
    late_status_block=False,
    issuer_affinity="none",
    replaceable=False,
    routine_refused_on_port=False,
    cancelling_nothing_is_refused=False,
)
PROFILES = {"win10": WIN10, "win7": WIN7, "xp": XP, "classic": CLASSIC, "wine": WINE}

# -- the records ---------------------------------------------------------------------------------------------------


class Packet(NamedTuple):
    """A completion packet; `request` is the number of the request that it comes from, if any."""

    key: str
    context: str | None
    code: int
    information: int
    request: int | None = None

    @property
    def plain(self) -> tuple[str, str | None, int, int]:
        """The four values that a dequeue shows (O-05)."""
        return (self.key, self.context, self.code, self.information)


@dataclass(eq=False)
class Port:
    """A completion port: two lists, a limit, and how its life went."""

    number: int
    limit: int
    packets: list[Packet] = field(default_factory=list)
    waiters: list[Thread] = field(default_factory=list)
    dropped: int = 0
    run_down: bool = False
    freed: bool = False


@dataclass(eq=False)
class Event:
    """An event."""

    number: int
    auto: bool
    signalled: bool
    freed: bool = False


@dataclass(eq=False)
class File:
    """A file object; an eager device ends a request as soon as it is asked to, a lazy one when the test says so."""

    number: int
    overlapped: bool
    eager: bool
    association: tuple[Port, str] | None = None
    modes: int = 0
    signalled: bool = True
    freed: bool = False


Object: TypeAlias = "Port | Event | File"


@dataclass(eq=False)
class Request:
    """One overlapped request.  `outstanding`: the device has it."""

    number: int
    file: File
    thread: Thread
    has_context: bool
    event: Event | None
    has_routine: bool
    agnostic: bool
    pended: bool = False
    returned: bool = False
    outstanding: bool = True
    cancelling: bool = False
    block: tuple[int, int] = (status.STATUS_PENDING, 0)
    result: tuple[int, int] = (status.STATUS_PENDING, 0)


@dataclass(eq=False)
class Call:
    """A dequeue call that has parked."""

    maximum: int
    due: bool
    alertable: bool


@dataclass(eq=False)
class Wait:
    """A wait for objects."""

    objects: list[Object]
    every: bool
    alertable: bool


@dataclass(eq=False)
class Thread:
    """A thread: what it is doing, apart from whether it is suspended."""

    number: int
    process: int
    doing: str = "running"  # running, parked, outside (blocked on its own account), waiting, gone
    suspensions: int = 0
    port: Port | None = None
    call: Call | None = None
    wait: Wait | None = None
    result: Any = None
    apcs: int = 0

    @property
    def runnable(self) -> bool:
        """Vocabulary 0.5: not in a wait, and a suspended thread is in one (Q-23)."""
        return self.doing == "running" and not self.suspensions


@dataclass(eq=False)
class Handle:
    """A handle of one process."""

    process: int
    object: Object
    access: int
    is_open: bool = True
