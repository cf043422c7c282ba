"""What an end of a pipe can be, and what each operation answers where it cannot be done.

The states of an end, and what moves it from one to the next:

    LISTENING      fresh, or ConnectNamedPipe after a disconnect; a client that opens makes it
    CONNECTED      the last handle of the other end is closed makes it
    CLOSING        what is left can be read, then the pipe is broken
    DISCONNECTED   by DisconnectNamedPipe, for both ends; what was unread is lost
    CLOSED         its own last handle is closed

Rules of this file: table 6.6 (pipes); facts k32pipe-noimmediate, k32pipe-notconn, ntpipe-connected.

Own rule.  What stands in no table is not decided by the state.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from .. import status


class PipeType(enum.Enum):
    """What a write is."""

    BYTE = "bytes that join those before"
    MESSAGE = "one message, which keeps its bounds and may be empty"


class WaitMode(enum.Enum):
    """What an operation does that cannot be done at once."""

    WAIT = "it pends"
    NOWAIT = "it ends with what can be done, or with an error"


class EndKind(enum.Enum):
    """Which end of the instance."""

    CLIENT = "the one that opened the pipe by its name"
    SERVER = "the one that was created with the instance"


class PipeState(enum.Enum):
    """How an end stands to its other end; the values are those of Windows."""

    DISCONNECTED = 1
    LISTENING = 2
    CONNECTED = 3
    CLOSING = 4
    CLOSED = 5


class BufferSizes(NamedTuple):
    """How many bytes may stand unread of what the server writes, and of what the client writes."""

    outbound: int
    inbound: int


class Connected(enum.Enum):
    """What a listen answers when a client is already there."""

    REFUSE = "STATUS_PIPE_CONNECTED, as on Windows: no packet (I-03)"
    SUCCEED = "success within the call: a packet all the same (I-02)"


READ_REFUSALS = {
    PipeState.DISCONNECTED: status.STATUS_PIPE_DISCONNECTED,
    PipeState.LISTENING: status.STATUS_PIPE_LISTENING,
    PipeState.CLOSING: status.STATUS_PIPE_BROKEN,
    PipeState.CLOSED: status.STATUS_PIPE_BROKEN,
}
"""What a read answers that finds nothing."""

WRITE_REFUSALS = {
    PipeState.DISCONNECTED: status.STATUS_PIPE_DISCONNECTED,
    PipeState.LISTENING: status.STATUS_PIPE_LISTENING,
    PipeState.CLOSING: status.STATUS_PIPE_CLOSING,
    PipeState.CLOSED: status.STATUS_PIPE_CLOSING,
}

PEEK_REFUSALS = {
    (PipeState.DISCONNECTED, EndKind.SERVER): status.STATUS_INVALID_PIPE_STATE,
    (PipeState.DISCONNECTED, EndKind.CLIENT): status.STATUS_PIPE_DISCONNECTED,
    (PipeState.LISTENING, EndKind.SERVER): status.STATUS_INVALID_PIPE_STATE,
    (PipeState.CLOSING, EndKind.SERVER): status.STATUS_PIPE_BROKEN,
    (PipeState.CLOSING, EndKind.CLIENT): status.STATUS_PIPE_BROKEN,
    (PipeState.CLOSED, EndKind.SERVER): status.STATUS_PIPE_BROKEN,
    (PipeState.CLOSED, EndKind.CLIENT): status.STATUS_PIPE_BROKEN,
}
"""What a peek answers that finds nothing."""

LISTEN_REFUSALS = {
    PipeState.CONNECTED: status.STATUS_PIPE_CONNECTED,
    PipeState.CLOSING: status.STATUS_PIPE_CLOSING,
    PipeState.CLOSED: status.STATUS_PIPE_CLOSING,
}

DISCONNECT_REFUSALS = {
    PipeState.DISCONNECTED: status.STATUS_PIPE_DISCONNECTED,
    PipeState.LISTENING: status.STATUS_PIPE_LISTENING,
    PipeState.CLOSED: status.STATUS_PIPE_CLOSING,
}
