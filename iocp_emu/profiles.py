"""Profiles: which system is emulated, as one value object with one switch per row of semantics.md 0.3.

A profile is data; the kernel model asks it where systems differ, and nobody else does. The presets:

- `WIN10`, the default: Windows 10 version 1607 and later, Windows 11;
- `WIN7`: Vista, 7 and Server 2008;
- `XP`: NT 5.x;
- `CLASSIC`: what the classic page on completion ports describes, for teaching;
- `WINE`: the newest Wine; `WINE_OLD`: Wine 8.0, the version on which the conformance vectors were recorded.
  Replaying their observed results takes WINE_OLD: there waiters leave first in, first out, and closing the port
  wakes nobody.

Each preset is written as what sets it apart from its neighbour. Rules of this file: 0.3 and, for Wine and for
what the table leaves open, chapter 10 and the vectors. A choice of ours is marked as such where it is made.

The table's row on the count exceeding the limit has no switch: every system that counts at all lets it (Q-26).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Final


class WaiterOrder(Enum):
    """Which parked waiter a packet releases (Q-07)."""

    LIFO = "last in, first out"
    FIFO = "first in, first out"


class IssuerAffinity(Enum):
    """Whose completions run in the issuing thread, which then takes its own packet if it is parked (Q-18, I-34)."""

    NONE = "no request"
    WITH_EVENT = "requests that carry an event"
    ALL = "every request"


class OwnClose(Enum):
    """How a transfer that is pending on a socket ends when its own side closes that (I-43)."""

    CONNECTION_ABORTED = "STATUS_CONNECTION_ABORTED on a connection, else STATUS_CANCELLED"
    LOCAL_DISCONNECT = "STATUS_LOCAL_DISCONNECT on a connection, else STATUS_CANCELLED"
    HANDLES_CLOSED = "STATUS_HANDLES_CLOSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One emulated system: immutable, hashable, compared by value. The defaults are those of Windows 10.

    A system of your own is `dataclasses.replace(WIN10, name="mine", sweep_on_wake=True)`.

    >>> Profile() == WIN10, WIN7.thread_agnostic_requests, XP.issuer_affinity
    (True, True, <IssuerAffinity.ALL: 'every request'>)
    """

    name: str = "win10"
    """What the profile is called in messages and by `get_profile`."""

    waiter_order: WaiterOrder = WaiterOrder.LIFO
    """Which parked waiter is released (Q-07, Q-08)."""

    limit_enforced: bool = True
    """Packets are handed out only while fewer associated threads run than the concurrency value (Q-10, Q-13)."""

    sweep_on_wake: bool = False
    """A parked batch caller that resumes takes further packets along (Q-19; unknown for Windows)."""

    close_wakes_waiters: bool = True
    """Closing the last handle returns every waiter with ERROR_ABANDONED_WAIT_0 (O-21), else they stay (O-25)."""

    port_waitable: bool = True
    """A port handle can be waited on and is signalled while packets are queued (O-10, O-11)."""

    direct_waiters_on_hand_off: bool = False
    """Waits on the handle are also satisfied by a packet that goes straight to a dequeuing thread (O-12)."""

    batch_removal: bool = True
    """Batch and alertable dequeue exist: GetQueuedCompletionStatusEx (G-12, G-20, O-08)."""

    zero_count_refused: bool = True
    """A batch dequeue with room for no packet is an invalid parameter (O-08, G-24)."""

    apc_first_for_strangers: bool = True
    """An alertable call of a thread not associated with the port runs a pending APC before a packet (G-14)."""

    port_excludes_apc: bool = True
    """On an associated disk file, requests with a completion routine are refused (C-16)."""

    association_signals_file: bool = True
    """Associating a file makes its handle signalled (C-17)."""

    association_replaceable: bool = True
    """A file's port can be replaced or removed (C-14)."""

    information_status_untouched_on_refusal: bool = True
    """A refused NtSetInformationFile leaves the status block as it was (vectors nt-07, nt-08)."""

    notification_modes: bool = True
    """SetFileCompletionNotificationModes exists, with the SKIP flags (I-15 to I-19)."""

    thread_agnostic_requests: bool = True
    """A request without event and routine on an associated file outlives its thread (I-30, I-31)."""

    disk_requests_pend: bool = True
    """Overlapped reads and writes of disk files report pending though they end in the call (fact ntfile-rw-pending)."""

    late_status_block: bool = True
    """The status block of a thread-agnostic request that pended is written at the dequeue (I-27)."""

    issuer_affinity: IssuerAffinity = IssuerAffinity.WITH_EVENT
    """Which completions run in the issuing thread (Q-18, I-34)."""

    cancel_all_reports_not_found: bool = True
    """CancelIoEx without an OVERLAPPED that finds nothing fails with ERROR_NOT_FOUND, else succeeds (I-40)."""

    own_close_of_socket: OwnClose = OwnClose.CONNECTION_ABORTED
    """How closing a socket ends its pending transfers (I-43, facts sock-close-pending and afd-udp-close)."""

    byte_lock_queues_packet: bool = True
    """A byte-range lock that is granted on an associated file queues a packet (vector file-19)."""

    busy_transaction_pends: bool = True
    """A transaction on a pipe with unread data reports pending before it fails (fact k32pipe-transact)."""

    job_port_removable: bool = True
    """A job's port can be taken away with NULL (X-04)."""

    jobs_nest: bool = True
    """A process that is in a job can be assigned to another, which is nested in the first (X-04)."""

    abnormal_exit_reported: bool = True
    """A process that ends by an exception is reported to the job's port as such (X-04, vector job-03)."""

    wait_completion_packets: bool = True
    """Wait completion packets exist (X-05, X-06)."""

    timeout_counts_sleep: bool = False
    """Timeouts go on counting while the machine sleeps (G-07)."""


WIN10: Final = Profile()

WIN7: Final = replace(
    WIN10,
    name="win7",
    direct_waiters_on_hand_off=True,
    association_replaceable=False,
    busy_transaction_pends=False,
    job_port_removable=False,
    jobs_nest=False,
    wait_completion_packets=False,
    timeout_counts_sleep=True,
)

XP: Final = replace(
    WIN7,
    name="xp",
    close_wakes_waiters=False,
    batch_removal=False,
    # Moot while batch_removal is off; from ROS: a packet always wins.
    apc_first_for_strangers=False,
    notification_modes=False,
    thread_agnostic_requests=False,
    disk_requests_pend=False,
    late_status_block=False,
    issuer_affinity=IssuerAffinity.ALL,
    own_close_of_socket=OwnClose.LOCAL_DISCONNECT,
)

CLASSIC: Final = replace(
    WIN10,
    name="classic",
    # On the page there is one way to wait, GetQueuedCompletionStatus (S5), and it gives one packet. What the table
    # calls optional is off; a lesson that wants it uses `replace` [CHOICE].
    port_waitable=False,
    batch_removal=False,
    apc_first_for_strangers=False,
    association_signals_file=False,
    association_replaceable=False,
    notification_modes=False,
    # "No" in the table: a thread's requests go with it, and the status block is written at completion.
    thread_agnostic_requests=False,
    disk_requests_pend=False,
    late_status_block=False,
    issuer_affinity=IssuerAffinity.NONE,
    job_port_removable=False,
    jobs_nest=False,
    wait_completion_packets=False,
    # The page is silent on sleep: as Windows does today [CHOICE].
    timeout_counts_sleep=False,
)

WINE: Final = replace(
    WIN10,
    name="wine",
    limit_enforced=False,
    # "Not checked": Wine 8.0 takes them on disk files (vector file-15), and nothing says that it changed.
    port_excludes_apc=False,
    association_replaceable=False,
    # nt-07, nt-08: still marked as a known difference in Wine's own tests.
    information_status_untouched_on_refusal=False,
    # "Partly" is these two: requests outlive their thread (chapter 10), and the status block is never late.
    thread_agnostic_requests=True,
    late_status_block=False,
    issuer_affinity=IssuerAffinity.NONE,
    # Vector sock-41, and still marked as a known difference in Wine's own tests.
    own_close_of_socket=OwnClose.HANDLES_CLOSED,
    # The next three as Wine 8.0 answers (vectors cancel-06, file-19, job-03), and nothing says that it changed.
    cancel_all_reports_not_found=False,
    byte_lock_queues_packet=False,
    abnormal_exit_reported=False,
    # No vector tells; the fact has both, and Wine behaves like the older Windows elsewhere (ntpipe-skip-warning).
    busy_transaction_pends=False,
    # The table has no entry; the Wine server drops the job's port when it is given none.
    job_port_removable=True,
    # "Newest only".
    wait_completion_packets=True,
    # The table has no entry: Wine counts on the host's monotonic clock, which stands still in suspend [DRV].
    timeout_counts_sleep=False,
)

WINE_OLD: Final = replace(
    WINE,
    name="wine_old",
    # sched-01 and sched-08; close-08 and close-10.
    waiter_order=WaiterOrder.FIFO,
    close_wakes_waiters=False,
    # The table says that old Wine wakes them; the recording of Wine 8.0 shows that it does not (sched-11).
    direct_waiters_on_hand_off=False,
    # getex-08 and nt-18; apc-06 and apc-11; modes-14: all three came to Wine after 8.0.
    zero_count_refused=False,
    apc_first_for_strangers=False,
    association_signals_file=False,
    wait_completion_packets=False,
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {profile.name: profile for profile in (WIN10, WIN7, XP, CLASSIC, WINE, WINE_OLD)}
)
"""The presets by name, the default first."""


def get_profile(name_or_profile: str | Profile | None = None) -> Profile:
    """The profile that is meant: itself, the preset of this name, or WIN10 for None.

    Raises ValueError for a name that is none, TypeError for anything else.

    >>> get_profile("xp").close_wakes_waiters
    False
    """
    if name_or_profile is None:
        return WIN10
    if isinstance(name_or_profile, Profile):
        return name_or_profile
    if not isinstance(name_or_profile, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a profile is a Profile, a name or None, not {type(name_or_profile).__name__}")
    if name_or_profile not in PROFILES:
        raise ValueError(f"unknown profile {name_or_profile!r}; the names are {', '.join(PROFILES)}")
    return PROFILES[name_or_profile]
