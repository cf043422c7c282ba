"""pywin32's WSAEventSelect and WSAEnumNetworkEvents.

Rules of this file: those of `flat.network_events`.

Own rule.  An event argument that is no event is what Winsock says of it: 10038, not 6.
"""

from __future__ import annotations

from typing import Any

from ...flat import network_events
from ...status import ERROR_INVALID_HANDLE, WSAENOTSOCK
from ..whole_calls import make_whole
from .arguments import c_long, handle_of, socket_of
from .errors import api_error, code_of


def _require(call: str, ret: int) -> None:
    code = code_of(ret == 0)
    if code:
        raise api_error(call, WSAENOTSOCK if code == ERROR_INVALID_HANDLE else code)


def WSAEventSelect(socket: Any, hEvent: Any, networkEvents: Any, /) -> None:
    """Have an event set when one of the FD_... events happens at a socket; 0 events: no more.

    The socket is non-blocking from then on.  Never blocks.  Raises `error` 10038.
    """
    number, event, mask = socket_of(socket), handle_of(hEvent), c_long(networkEvents)
    _require("WSAEventSelect", network_events.WSAEventSelect(number, event, mask))


def WSAEnumNetworkEvents(s: Any, hEvent: Any = None, /) -> dict[int, int]:
    """The events that have happened since this was asked last, each with its error code; unsets `hEvent`.

    Never blocks.  Raises `error` 10038.
    """
    number, event = socket_of(s), handle_of(hEvent)
    found = network_events.WSAEnumNetworkEvents(number, event)
    _require("WSAEnumNetworkEvents", found.ret)
    assert isinstance(found.iErrorCode, dict)
    return found.iErrorCode


make_whole(globals())
