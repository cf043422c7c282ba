"""Winsock's network events: WSAEventSelect and WSAEnumNetworkEvents.

Rules of this file: those of `overlapped.network_events`; facts of the documentation alone.

Own rule.  A call that is refused leaves the selection and the record as they were.
"""

from __future__ import annotations

from typing import NamedTuple

from ..kernel.waits import Event
from ..overlapped.network_events import NetworkEvents, select_events, take_record
from .constants import EVENT_MODIFY_STATE, SOCKET_ERROR
from .support import UNTOUCHED, Handle, Untouched, caller, dword, handle_value
from .winsock import device_at, winsock


class EnumeratedEvents(NamedTuple):
    """What `WSAEnumNetworkEvents` returns: `lpNetworkEvents` has a bit for each event, `iErrorCode` a code by bit."""

    ret: int
    lpNetworkEvents: int | Untouched
    iErrorCode: dict[int, int] | Untouched


@winsock(SOCKET_ERROR)
def WSAEventSelect(s: Handle, hEventObject: Handle, lNetworkEvents: int) -> int:
    """Have an event object set when one of these network events happens at a socket; 0 events: no more.

    FD_READ 1, FD_WRITE 2, FD_OOB 4, FD_ACCEPT 8, FD_CONNECT 16, FD_CLOSE 32.  Replaces what was selected before, and
    makes the socket non-blocking for good.  What is true already counts as just happened.
    -1: 10038 no socket, 6 no event, 5 one that this handle may not set.  Never blocks; O(1).
    """
    me = caller()
    mask = dword(lNetworkEvents)

    def step() -> int:
        sock = device_at(me, s)
        event = me.lookup(hEventObject, Event, EVENT_MODIFY_STATE) if mask and handle_value(hEventObject) else None
        select_events(sock, event, mask)
        return 0

    return me.perform(step)


@winsock(EnumeratedEvents(SOCKET_ERROR, UNTOUCHED, UNTOUCHED))
def WSAEnumNetworkEvents(s: Handle, hEventObject: Handle = None) -> EnumeratedEvents:
    """What has happened at a socket since this was asked last; the record is then empty, and the event unset.

    `hEventObject` NULL leaves the event as it is.  ret -1: 10038 no socket, 6 no event.  Never blocks; O(1).
    """
    me = caller()

    def step() -> dict[NetworkEvents, int]:
        sock = device_at(me, s)
        if handle_value(hEventObject):
            me.lookup(hEventObject, Event, EVENT_MODIFY_STATE).reset()
        return take_record(sock)

    record = me.perform(step)
    return EnumeratedEvents(0, sum(record), {int(each): code for each, code in record.items()})
