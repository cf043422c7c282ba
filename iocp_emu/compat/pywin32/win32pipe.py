"""`win32pipe`: named and anonymous pipes."""

# ruff: noqa: PLC0414 -- the aliases say that these names are exported

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import pick as _pick
from .errors import error as error
from .pipes import CallNamedPipe as CallNamedPipe
from .pipes import ConnectNamedPipe as ConnectNamedPipe
from .pipes import CreateNamedPipe as CreateNamedPipe
from .pipes import CreatePipe as CreatePipe
from .pipes import DisconnectNamedPipe as DisconnectNamedPipe
from .pipes import GetNamedPipeClientProcessId as GetNamedPipeClientProcessId
from .pipes import GetNamedPipeHandleState as GetNamedPipeHandleState
from .pipes import GetNamedPipeInfo as GetNamedPipeInfo
from .pipes import GetNamedPipeServerProcessId as GetNamedPipeServerProcessId
from .pipes import PeekNamedPipe as PeekNamedPipe
from .pipes import SetNamedPipeHandleState as SetNamedPipeHandleState
from .pipes import TransactNamedPipe as TransactNamedPipe
from .pipes import WaitNamedPipe as WaitNamedPipe
from .ports import GetOverlappedResult as GetOverlappedResult

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


globals().update(
    _pick(
        """
        PIPE_ACCESS_DUPLEX PIPE_ACCESS_INBOUND PIPE_ACCESS_OUTBOUND PIPE_TYPE_BYTE PIPE_TYPE_MESSAGE
        PIPE_READMODE_BYTE PIPE_READMODE_MESSAGE PIPE_WAIT PIPE_NOWAIT PIPE_UNLIMITED_INSTANCES
        PIPE_ACCEPT_REMOTE_CLIENTS PIPE_REJECT_REMOTE_CLIENTS
        NMPWAIT_NOWAIT NMPWAIT_WAIT_FOREVER NMPWAIT_USE_DEFAULT_WAIT FILE_FLAG_FIRST_PIPE_INSTANCE
        """
    )
)
