"""`win32file`: files, completion ports, directory changes and the socket extensions."""

# ruff: noqa: PLC0414 -- the aliases say that these names are exported

from __future__ import annotations

from typing import TYPE_CHECKING

from . import sockets as _sockets
from .constants import pick as _pick
from .constants import with_prefixes as _with_prefixes
from .directories import FILE_NOTIFY_INFORMATION as FILE_NOTIFY_INFORMATION
from .directories import CreateDirectory as CreateDirectory
from .directories import CreateDirectoryW as CreateDirectoryW
from .directories import DeleteFile as DeleteFile
from .directories import DeleteFileW as DeleteFileW
from .directories import FindCloseChangeNotification as FindCloseChangeNotification
from .directories import FindFirstChangeNotification as FindFirstChangeNotification
from .directories import FindNextChangeNotification as FindNextChangeNotification
from .directories import ReadDirectoryChangesW as ReadDirectoryChangesW
from .directories import RemoveDirectory as RemoveDirectory
from .errors import error as error
from .files import INVALID_HANDLE_VALUE as INVALID_HANDLE_VALUE
from .files import AllocateReadBuffer as AllocateReadBuffer
from .files import CreateFile as CreateFile
from .files import CreateFileW as CreateFileW
from .files import DeviceIoControl as DeviceIoControl
from .files import FlushFileBuffers as FlushFileBuffers
from .files import GetFileSize as GetFileSize
from .files import GetFileType as GetFileType
from .files import LockFile as LockFile
from .files import LockFileEx as LockFileEx
from .files import ReadFile as ReadFile
from .files import SetEndOfFile as SetEndOfFile
from .files import SetFilePointer as SetFilePointer
from .files import UnlockFile as UnlockFile
from .files import UnlockFileEx as UnlockFileEx
from .files import WriteFile as WriteFile
from .handles import CloseHandle as CloseHandle
from .network_events import WSAEnumNetworkEvents as WSAEnumNetworkEvents
from .network_events import WSAEventSelect as WSAEventSelect
from .overlapped import OVERLAPPED as OVERLAPPED
from .ports import CancelIo as CancelIo
from .ports import CreateIoCompletionPort as CreateIoCompletionPort
from .ports import GetOverlappedResult as GetOverlappedResult
from .ports import GetQueuedCompletionStatus as GetQueuedCompletionStatus
from .ports import PostQueuedCompletionStatus as PostQueuedCompletionStatus
from .sockets import AcceptEx as AcceptEx
from .sockets import CalculateSocketEndPointSize as CalculateSocketEndPointSize
from .sockets import ConnectEx as ConnectEx
from .sockets import GetAcceptExSockaddrs as GetAcceptExSockaddrs
from .sockets import TransmitFile as TransmitFile
from .sockets import WSARecv as WSARecv
from .sockets import WSASend as WSASend

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


_get_osfhandle = _sockets.get_osfhandle
_open_osfhandle = _sockets.open_osfhandle

globals().update(
    _with_prefixes("FD_", "SO_", "TF_", "FILE_SHARE_", "FILE_TYPE_"),
    **_pick(
        """
        GENERIC_READ GENERIC_WRITE GENERIC_EXECUTE FILE_GENERIC_READ FILE_GENERIC_WRITE FILE_ALL_ACCESS
        CREATE_NEW CREATE_ALWAYS OPEN_EXISTING OPEN_ALWAYS TRUNCATE_EXISTING FILE_BEGIN FILE_CURRENT FILE_END
        FILE_ATTRIBUTE_ARCHIVE FILE_ATTRIBUTE_COMPRESSED FILE_ATTRIBUTE_DIRECTORY FILE_ATTRIBUTE_HIDDEN
        FILE_ATTRIBUTE_NORMAL FILE_ATTRIBUTE_OFFLINE FILE_ATTRIBUTE_READONLY FILE_ATTRIBUTE_SYSTEM
        FILE_ATTRIBUTE_TEMPORARY
        FILE_FLAG_WRITE_THROUGH FILE_FLAG_OVERLAPPED FILE_FLAG_NO_BUFFERING FILE_FLAG_RANDOM_ACCESS
        FILE_FLAG_SEQUENTIAL_SCAN FILE_FLAG_DELETE_ON_CLOSE FILE_FLAG_BACKUP_SEMANTICS FILE_FLAG_POSIX_SEMANTICS
        FILE_FLAG_OPEN_REPARSE_POINT
        SECURITY_ANONYMOUS SECURITY_IDENTIFICATION SECURITY_IMPERSONATION SECURITY_DELEGATION
        SECURITY_CONTEXT_TRACKING SECURITY_EFFECTIVE_ONLY
        WSAECONNABORTED WSAECONNRESET WSAEDISCON WSAEFAULT WSAEINPROGRESS WSAEINTR WSAEINVAL WSAEMSGSIZE
        WSAENETDOWN WSAENETRESET WSAENOBUFS WSAENOTCONN WSAENOTSOCK WSAEOPNOTSUPP WSAESHUTDOWN WSAEWOULDBLOCK
        WSA_IO_PENDING WSA_OPERATION_ABORTED
        """
    ),
)
