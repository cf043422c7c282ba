"""Status and error codes: their values, the mappings between them, and the exceptions that carry them.

The kernel model answers with NTSTATUS values; the Win32 faces show error codes; what leaves a Python face as
an exception is an OSError that carries an error code. This module is the one place where the three meet.

- A status has a severity in its top two bits: 0 success, 1 informational, 2 warning, 3 error. Whether a
  request that completed at once queues a packet depends on it alone (I-03, I-04).
- The same status becomes different codes on different roads (I-53): `status_to_error` is the road of the port
  and of files, `winsock_error` that of Winsock's own calls.
- An exception's class is the built-in that Python chooses for the host's errno of its code, so handlers
  written for any system work: `except FileNotFoundError`, `error.errno == errno.ECONNRESET`.

Sources: the public-domain headers of mingw-w64 for values; for mappings Wine's tests of RtlNtStatusToDosError,
which run on Windows too, and Wine's tables; vectors get-18 and sock-41; table 6.6.

Rules of this file: it imports nothing of the package and next to nothing else. Each fact stands in one table;
what follows from it is derived. Of two names for one value the first is the one that is shown.
"""

from __future__ import annotations

import errno as _errno
from typing import Any, Final

# Statuses: success and informational
STATUS_SUCCESS: Final = 0x00000000
STATUS_WAIT_0: Final = 0x00000000
STATUS_ABANDONED_WAIT_0: Final = 0x00000080
STATUS_ABANDONED: Final = 0x00000080
STATUS_USER_APC: Final = 0x000000C0
STATUS_ALERTED: Final = 0x00000101
STATUS_TIMEOUT: Final = 0x00000102
STATUS_PENDING: Final = 0x00000103
STATUS_NOTIFY_ENUM_DIR: Final = 0x0000010C
STATUS_OBJECT_NAME_EXISTS: Final = 0x40000000
STATUS_NO_YIELD_PERFORMED: Final = 0x40000024
# Statuses: warnings
STATUS_GUARD_PAGE_VIOLATION: Final = 0x80000001
STATUS_BUFFER_OVERFLOW: Final = 0x80000005
STATUS_NO_MORE_FILES: Final = 0x80000006
STATUS_HANDLES_CLOSED: Final = 0x8000000A
STATUS_NO_MORE_ENTRIES: Final = 0x8000001A
# Statuses: errors
STATUS_UNSUCCESSFUL: Final = 0xC0000001
STATUS_NOT_IMPLEMENTED: Final = 0xC0000002
STATUS_INVALID_INFO_CLASS: Final = 0xC0000003
STATUS_INFO_LENGTH_MISMATCH: Final = 0xC0000004
STATUS_ACCESS_VIOLATION: Final = 0xC0000005
STATUS_INVALID_HANDLE: Final = 0xC0000008
STATUS_INVALID_PARAMETER: Final = 0xC000000D
STATUS_NO_SUCH_DEVICE: Final = 0xC000000E
STATUS_NO_SUCH_FILE: Final = 0xC000000F
STATUS_INVALID_DEVICE_REQUEST: Final = 0xC0000010
STATUS_END_OF_FILE: Final = 0xC0000011
STATUS_NO_MEMORY: Final = 0xC0000017
STATUS_ACCESS_DENIED: Final = 0xC0000022
STATUS_BUFFER_TOO_SMALL: Final = 0xC0000023
STATUS_OBJECT_TYPE_MISMATCH: Final = 0xC0000024
STATUS_OBJECT_NAME_INVALID: Final = 0xC0000033
STATUS_OBJECT_NAME_NOT_FOUND: Final = 0xC0000034
STATUS_OBJECT_NAME_COLLISION: Final = 0xC0000035
STATUS_PORT_DISCONNECTED: Final = 0xC0000037
STATUS_OBJECT_PATH_NOT_FOUND: Final = 0xC000003A
STATUS_SHARING_VIOLATION: Final = 0xC0000043
STATUS_MUTANT_NOT_OWNED: Final = 0xC0000046
STATUS_SEMAPHORE_LIMIT_EXCEEDED: Final = 0xC0000047
STATUS_PORT_ALREADY_SET: Final = 0xC0000048
STATUS_SUSPEND_COUNT_EXCEEDED: Final = 0xC000004A
STATUS_THREAD_IS_TERMINATING: Final = 0xC000004B
STATUS_FILE_LOCK_CONFLICT: Final = 0xC0000054
STATUS_LOCK_NOT_GRANTED: Final = 0xC0000055
STATUS_DELETE_PENDING: Final = 0xC0000056
STATUS_RANGE_NOT_LOCKED: Final = 0xC000007E
STATUS_DISK_FULL: Final = 0xC000007F
STATUS_INSUFFICIENT_RESOURCES: Final = 0xC000009A
STATUS_MEDIA_WRITE_PROTECTED: Final = 0xC00000A2
STATUS_DEVICE_NOT_READY: Final = 0xC00000A3
STATUS_INSTANCE_NOT_AVAILABLE: Final = 0xC00000AB
STATUS_PIPE_NOT_AVAILABLE: Final = 0xC00000AC
STATUS_INVALID_PIPE_STATE: Final = 0xC00000AD
STATUS_PIPE_BUSY: Final = 0xC00000AE
STATUS_ILLEGAL_FUNCTION: Final = 0xC00000AF
STATUS_PIPE_DISCONNECTED: Final = 0xC00000B0
STATUS_PIPE_CLOSING: Final = 0xC00000B1
STATUS_PIPE_CONNECTED: Final = 0xC00000B2
STATUS_PIPE_LISTENING: Final = 0xC00000B3
STATUS_IO_TIMEOUT: Final = 0xC00000B5
STATUS_FILE_IS_A_DIRECTORY: Final = 0xC00000BA
STATUS_NOT_SUPPORTED: Final = 0xC00000BB
STATUS_PIPE_EMPTY: Final = 0xC00000D9
STATUS_INVALID_USER_BUFFER: Final = 0xC00000E8
STATUS_INVALID_PARAMETER_1: Final = 0xC00000EF
STATUS_INVALID_PARAMETER_2: Final = 0xC00000F0
STATUS_INVALID_PARAMETER_3: Final = 0xC00000F1
STATUS_DIRECTORY_NOT_EMPTY: Final = 0xC0000101
STATUS_NOT_A_DIRECTORY: Final = 0xC0000103
STATUS_NAME_TOO_LONG: Final = 0xC0000106
STATUS_PROCESS_IS_TERMINATING: Final = 0xC000010A
STATUS_TOO_MANY_OPENED_FILES: Final = 0xC000011F
STATUS_CANCELLED: Final = 0xC0000120
STATUS_INVALID_COMPUTER_NAME: Final = 0xC0000122
STATUS_FILE_CLOSED: Final = 0xC0000128
STATUS_LOCAL_DISCONNECT: Final = 0xC000013B
STATUS_REMOTE_DISCONNECT: Final = 0xC000013C
STATUS_INVALID_CONNECTION: Final = 0xC0000140
STATUS_INVALID_ADDRESS: Final = 0xC0000141
STATUS_PIPE_BROKEN: Final = 0xC000014B
STATUS_IO_DEVICE_ERROR: Final = 0xC0000185
STATUS_MUTANT_LIMIT_EXCEEDED: Final = 0xC0000191
STATUS_INVALID_LOCK_RANGE: Final = 0xC00001A1
STATUS_INVALID_BUFFER_SIZE: Final = 0xC0000206
STATUS_INVALID_ADDRESS_COMPONENT: Final = 0xC0000207
STATUS_ADDRESS_ALREADY_EXISTS: Final = 0xC000020A
STATUS_CONNECTION_DISCONNECTED: Final = 0xC000020C
STATUS_CONNECTION_RESET: Final = 0xC000020D
STATUS_NOT_FOUND: Final = 0xC0000225
STATUS_HANDLE_NOT_CLOSABLE: Final = 0xC0000235
STATUS_CONNECTION_REFUSED: Final = 0xC0000236
STATUS_GRACEFUL_DISCONNECT: Final = 0xC0000237
STATUS_CONNECTION_INVALID: Final = 0xC000023A
STATUS_CONNECTION_ACTIVE: Final = 0xC000023B
STATUS_NETWORK_UNREACHABLE: Final = 0xC000023C
STATUS_HOST_UNREACHABLE: Final = 0xC000023D
STATUS_PORT_UNREACHABLE: Final = 0xC000023F
STATUS_CONNECTION_ABORTED: Final = 0xC0000241
STATUS_REPARSE_POINT_NOT_RESOLVED: Final = 0xC0000280

# Win32 error codes
ERROR_SUCCESS: Final = 0
ERROR_INVALID_FUNCTION: Final = 1
ERROR_FILE_NOT_FOUND: Final = 2
ERROR_PATH_NOT_FOUND: Final = 3
ERROR_TOO_MANY_OPEN_FILES: Final = 4
ERROR_ACCESS_DENIED: Final = 5
ERROR_INVALID_HANDLE: Final = 6
ERROR_NOT_ENOUGH_MEMORY: Final = 8
ERROR_INVALID_ACCESS: Final = 12
ERROR_NO_MORE_FILES: Final = 18
ERROR_WRITE_PROTECT: Final = 19
ERROR_NOT_READY: Final = 21
ERROR_BAD_COMMAND: Final = 22
ERROR_BAD_LENGTH: Final = 24
ERROR_GEN_FAILURE: Final = 31
ERROR_SHARING_VIOLATION: Final = 32
ERROR_LOCK_VIOLATION: Final = 33
ERROR_HANDLE_EOF: Final = 38
ERROR_NOT_SUPPORTED: Final = 50
ERROR_DUP_NAME: Final = 52
ERROR_BAD_NETPATH: Final = 53
ERROR_DEV_NOT_EXIST: Final = 55
ERROR_UNEXP_NET_ERR: Final = 59
ERROR_NETNAME_DELETED: Final = 64
ERROR_BAD_DEV_TYPE: Final = 66
ERROR_FILE_EXISTS: Final = 80
ERROR_INVALID_PARAMETER: Final = 87
ERROR_BROKEN_PIPE: Final = 109
ERROR_DISK_FULL: Final = 112
ERROR_CALL_NOT_IMPLEMENTED: Final = 120
ERROR_SEM_TIMEOUT: Final = 121
ERROR_INSUFFICIENT_BUFFER: Final = 122
ERROR_INVALID_NAME: Final = 123
ERROR_INVALID_LEVEL: Final = 124
ERROR_NEGATIVE_SEEK: Final = 131
ERROR_DIR_NOT_EMPTY: Final = 145
ERROR_SIGNAL_REFUSED: Final = 156
ERROR_NOT_LOCKED: Final = 158
ERROR_BUSY: Final = 170
ERROR_ALREADY_EXISTS: Final = 183
WAIT_IO_COMPLETION: Final = 192
ERROR_FILENAME_EXCED_RANGE: Final = 206
ERROR_BAD_PIPE: Final = 230
ERROR_PIPE_BUSY: Final = 231
ERROR_NO_DATA: Final = 232
ERROR_PIPE_NOT_CONNECTED: Final = 233
ERROR_MORE_DATA: Final = 234
ERROR_VC_DISCONNECTED: Final = 240
WAIT_TIMEOUT: Final = 258
ERROR_NO_MORE_ITEMS: Final = 259
ERROR_DIRECTORY: Final = 267
ERROR_NOT_OWNER: Final = 288
ERROR_TOO_MANY_POSTS: Final = 298
ERROR_INVALID_LOCK_RANGE: Final = 307
ERROR_MR_MID_NOT_FOUND: Final = 317
ERROR_NO_SUCH_DEVICE: Final = 433
ERROR_PIPE_CONNECTED: Final = 535
ERROR_PIPE_LISTENING: Final = 536
ERROR_MUTANT_LIMIT_EXCEEDED: Final = 587
ERROR_HANDLES_CLOSED: Final = 676
ERROR_OBJECT_NAME_EXISTS: Final = 698
ERROR_NO_YIELD_PERFORMED: Final = 721
ERROR_ABANDONED_WAIT_0: Final = 735
ERROR_ALERTED: Final = 739
ERROR_OPERATION_ABORTED: Final = 995
ERROR_IO_INCOMPLETE: Final = 996
ERROR_IO_PENDING: Final = 997
ERROR_NOACCESS: Final = 998
ERROR_INVALID_FLAGS: Final = 1004
ERROR_FILE_INVALID: Final = 1006
ERROR_NOTIFY_ENUM_DIR: Final = 1022
ERROR_IO_DEVICE: Final = 1117
ERROR_NOT_FOUND: Final = 1168
ERROR_INVALID_COMPUTERNAME: Final = 1210
ERROR_INVALID_NETNAME: Final = 1214
ERROR_CONNECTION_REFUSED: Final = 1225
ERROR_GRACEFUL_DISCONNECT: Final = 1226
ERROR_CONNECTION_INVALID: Final = 1229
ERROR_CONNECTION_ACTIVE: Final = 1230
ERROR_NETWORK_UNREACHABLE: Final = 1231
ERROR_HOST_UNREACHABLE: Final = 1232
ERROR_PORT_UNREACHABLE: Final = 1234
ERROR_CONNECTION_ABORTED: Final = 1236
ERROR_PRIVILEGE_NOT_HELD: Final = 1314
ERROR_NO_SYSTEM_RESOURCES: Final = 1450
ERROR_INVALID_USER_BUFFER: Final = 1784
ERROR_CANT_RESOLVE_FILENAME: Final = 1921
EXCEPTION_ACCESS_VIOLATION: Final = 0xC0000005
# Results of the wait functions
WAIT_OBJECT_0: Final = 0
WAIT_ABANDONED_0: Final = 128
WAIT_FAILED: Final = 0xFFFFFFFF
# Winsock error codes
WSAEINTR: Final = 10004
WSAEBADF: Final = 10009
WSAEACCES: Final = 10013
WSAEFAULT: Final = 10014
WSAEINVAL: Final = 10022
WSAEWOULDBLOCK: Final = 10035
WSAEINPROGRESS: Final = 10036
WSAEALREADY: Final = 10037
WSAENOTSOCK: Final = 10038
WSAEDESTADDRREQ: Final = 10039
WSAEMSGSIZE: Final = 10040
WSAEOPNOTSUPP: Final = 10045
WSAEADDRINUSE: Final = 10048
WSAEADDRNOTAVAIL: Final = 10049
WSAENETDOWN: Final = 10050
WSAENETUNREACH: Final = 10051
WSAENETRESET: Final = 10052
WSAECONNABORTED: Final = 10053
WSAECONNRESET: Final = 10054
WSAENOBUFS: Final = 10055
WSAEISCONN: Final = 10056
WSAENOTCONN: Final = 10057
WSAESHUTDOWN: Final = 10058
WSAETIMEDOUT: Final = 10060
WSAECONNREFUSED: Final = 10061
WSAEHOSTUNREACH: Final = 10065
WSAEDISCON: Final = 10101


_NAMES: Final[dict[str, int]] = {name: value for name, value in globals().items() if name.isupper()}
_STATUS_NAMES: Final = {value: name for name, value in reversed(_NAMES.items()) if name.startswith("STATUS_")}
_ERROR_NAMES: Final = {value: name for name, value in reversed(_NAMES.items()) if not name.startswith("STATUS_")}

_ERROR_OF_STATUS: Final[dict[int, int]] = {
    # A status that shares its name with an error code maps to that code. The rows below are all others.
    **{
        status: _NAMES[twin]
        for status, name in _STATUS_NAMES.items()
        if (twin := "ERROR" + name.removeprefix("STATUS")) in _NAMES
    },
    # The outcomes of waiting get the codes that the waiting calls report (G-03, G-12; G-04 by its name). The
    # system's own routine has codes for them that no program on a port ever sees: 1460, 737 and 128.
    STATUS_TIMEOUT: WAIT_TIMEOUT, STATUS_USER_APC: WAIT_IO_COMPLETION, STATUS_PENDING: ERROR_IO_PENDING,
    # A processor exception without a code of its own stays what it is.
    STATUS_GUARD_PAGE_VIOLATION: STATUS_GUARD_PAGE_VIOLATION, STATUS_ACCESS_VIOLATION: ERROR_NOACCESS,
    # A reset connection is 64 on the road of the port, not WSAECONNRESET (I-53).
    STATUS_CONNECTION_RESET: ERROR_NETNAME_DELETED, STATUS_CONNECTION_DISCONNECTED: ERROR_NETNAME_DELETED,
    STATUS_LOCAL_DISCONNECT: ERROR_NETNAME_DELETED, STATUS_REMOTE_DISCONNECT: ERROR_NETNAME_DELETED,
    STATUS_INVALID_CONNECTION: ERROR_UNEXP_NET_ERR, STATUS_INVALID_ADDRESS: ERROR_UNEXP_NET_ERR,
    STATUS_ADDRESS_ALREADY_EXISTS: ERROR_DUP_NAME, STATUS_INVALID_ADDRESS_COMPONENT: ERROR_INVALID_NETNAME,
    # The request and its parameters
    STATUS_NOT_IMPLEMENTED: ERROR_INVALID_FUNCTION, STATUS_INVALID_DEVICE_REQUEST: ERROR_INVALID_FUNCTION,
    STATUS_ILLEGAL_FUNCTION: ERROR_INVALID_FUNCTION, STATUS_INVALID_INFO_CLASS: ERROR_INVALID_PARAMETER,
    STATUS_INVALID_PARAMETER_1: ERROR_INVALID_PARAMETER, STATUS_INVALID_PARAMETER_2: ERROR_INVALID_PARAMETER,
    STATUS_INVALID_PARAMETER_3: ERROR_INVALID_PARAMETER, STATUS_PORT_ALREADY_SET: ERROR_INVALID_PARAMETER,
    STATUS_INFO_LENGTH_MISMATCH: ERROR_BAD_LENGTH, STATUS_BUFFER_TOO_SMALL: ERROR_INSUFFICIENT_BUFFER,
    STATUS_INVALID_BUFFER_SIZE: ERROR_INVALID_USER_BUFFER,
    STATUS_INVALID_COMPUTER_NAME: ERROR_INVALID_COMPUTERNAME,
    # Handles, objects and their names
    STATUS_OBJECT_TYPE_MISMATCH: ERROR_INVALID_HANDLE, STATUS_PORT_DISCONNECTED: ERROR_INVALID_HANDLE,
    STATUS_FILE_CLOSED: ERROR_INVALID_HANDLE, STATUS_HANDLE_NOT_CLOSABLE: ERROR_INVALID_HANDLE,
    STATUS_NO_SUCH_FILE: ERROR_FILE_NOT_FOUND, STATUS_OBJECT_NAME_NOT_FOUND: ERROR_FILE_NOT_FOUND,
    STATUS_OBJECT_PATH_NOT_FOUND: ERROR_PATH_NOT_FOUND, STATUS_OBJECT_NAME_INVALID: ERROR_INVALID_NAME,
    STATUS_OBJECT_NAME_COLLISION: ERROR_ALREADY_EXISTS, STATUS_NAME_TOO_LONG: ERROR_FILENAME_EXCED_RANGE,
    STATUS_THREAD_IS_TERMINATING: ERROR_ACCESS_DENIED, STATUS_PROCESS_IS_TERMINATING: ERROR_ACCESS_DENIED,
    STATUS_MUTANT_NOT_OWNED: ERROR_NOT_OWNER, STATUS_SEMAPHORE_LIMIT_EXCEEDED: ERROR_TOO_MANY_POSTS,
    STATUS_SUSPEND_COUNT_EXCEEDED: ERROR_SIGNAL_REFUSED,
    # Files
    STATUS_DELETE_PENDING: ERROR_ACCESS_DENIED, STATUS_FILE_IS_A_DIRECTORY: ERROR_ACCESS_DENIED,
    STATUS_NOT_A_DIRECTORY: ERROR_DIRECTORY, STATUS_DIRECTORY_NOT_EMPTY: ERROR_DIR_NOT_EMPTY,
    STATUS_FILE_LOCK_CONFLICT: ERROR_LOCK_VIOLATION, STATUS_LOCK_NOT_GRANTED: ERROR_LOCK_VIOLATION,
    STATUS_RANGE_NOT_LOCKED: ERROR_NOT_LOCKED, STATUS_END_OF_FILE: ERROR_HANDLE_EOF,
    STATUS_BUFFER_OVERFLOW: ERROR_MORE_DATA, STATUS_NO_MORE_ENTRIES: ERROR_NO_MORE_ITEMS,
    STATUS_MEDIA_WRITE_PROTECTED: ERROR_WRITE_PROTECT,
    STATUS_TOO_MANY_OPENED_FILES: ERROR_TOO_MANY_OPEN_FILES,
    STATUS_REPARSE_POINT_NOT_RESOLVED: ERROR_CANT_RESOLVE_FILENAME,
    # Pipes
    STATUS_PIPE_BROKEN: ERROR_BROKEN_PIPE, STATUS_PIPE_DISCONNECTED: ERROR_PIPE_NOT_CONNECTED,
    STATUS_PIPE_CLOSING: ERROR_NO_DATA, STATUS_PIPE_EMPTY: ERROR_NO_DATA,
    STATUS_INVALID_PIPE_STATE: ERROR_BAD_PIPE,
    STATUS_PIPE_NOT_AVAILABLE: ERROR_PIPE_BUSY, STATUS_INSTANCE_NOT_AVAILABLE: ERROR_PIPE_BUSY,
    # Devices, and whatever else may happen to a request
    STATUS_IO_DEVICE_ERROR: ERROR_IO_DEVICE, STATUS_DEVICE_NOT_READY: ERROR_NOT_READY,
    STATUS_CANCELLED: ERROR_OPERATION_ABORTED, STATUS_IO_TIMEOUT: ERROR_SEM_TIMEOUT,
    STATUS_NO_MEMORY: ERROR_NOT_ENOUGH_MEMORY, STATUS_INSUFFICIENT_RESOURCES: ERROR_NO_SYSTEM_RESOURCES,
    STATUS_UNSUCCESSFUL: ERROR_GEN_FAILURE,
}

# A status with this upper half carries a Win32 code in its lower half; 0x8007 and 0xC007 do the same.
_WIN32_CODE: Final = 0xC0010000


def is_error(status: int) -> bool:
    """Whether this NTSTATUS has severity 3: a call that fails at once like this queues no packet (I-03)."""
    return status & 0xC0000000 == 0xC0000000


def is_warning(status: int) -> bool:
    """Whether this NTSTATUS has severity 2: a failure to the caller, and yet a packet is queued (I-04)."""
    return status & 0xC0000000 == 0x80000000


def is_success(status: int) -> bool:
    """Whether this NTSTATUS has severity 0 or 1: success or informational (G-01)."""
    return not status & 0x80000000


def status_to_error(status: int) -> int:
    """The Win32 code of an NTSTATUS, signed or unsigned, on the road of the port and of files (G-10, 6.6).

    ERROR_MR_MID_NOT_FOUND 317 for a status that has none, informational ones included.

    >>> status_to_error(STATUS_CONNECTION_RESET), status_to_error(STATUS_SUCCESS)
    (64, 0)
    """
    status &= 0xFFFFFFFF
    if status >> 16 in (_WIN32_CODE >> 16, 0x8007, 0xC007):
        return status & 0xFFFF
    return _ERROR_OF_STATUS.get(status, ERROR_MR_MID_NOT_FOUND)


# The first status of a row is the one that the host errno of the same name becomes.
_STATUSES_OF_WINSOCK_ERROR: Final[dict[int, tuple[int, ...]]] = {
    WSAEACCES: (STATUS_ACCESS_DENIED,),
    WSAEFAULT: (STATUS_ACCESS_VIOLATION, STATUS_BUFFER_TOO_SMALL),
    WSAEWOULDBLOCK: (STATUS_DEVICE_NOT_READY,),
    WSAENOTSOCK: (STATUS_OBJECT_TYPE_MISMATCH, STATUS_INVALID_HANDLE),
    WSAEMSGSIZE: (STATUS_INVALID_BUFFER_SIZE, STATUS_BUFFER_OVERFLOW),
    WSAEOPNOTSUPP: (STATUS_NOT_SUPPORTED, STATUS_NOT_IMPLEMENTED),
    WSAEADDRINUSE: (STATUS_ADDRESS_ALREADY_EXISTS, STATUS_SHARING_VIOLATION),
    WSAEADDRNOTAVAIL: (STATUS_INVALID_ADDRESS_COMPONENT, STATUS_INVALID_ADDRESS),
    WSAENETDOWN: (STATUS_NO_SUCH_DEVICE, STATUS_NO_SUCH_FILE, STATUS_OBJECT_NAME_NOT_FOUND),
    WSAENETUNREACH: (STATUS_NETWORK_UNREACHABLE,),
    WSAECONNABORTED: (STATUS_CONNECTION_ABORTED, STATUS_LOCAL_DISCONNECT),
    WSAECONNRESET: (
        STATUS_CONNECTION_RESET, STATUS_CONNECTION_DISCONNECTED,
        STATUS_REMOTE_DISCONNECT, STATUS_PORT_UNREACHABLE,
    ),
    WSAENOBUFS: (STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY),
    WSAEISCONN: (STATUS_CONNECTION_ACTIVE,),
    WSAENOTCONN: (STATUS_INVALID_CONNECTION,),
    WSAESHUTDOWN: (STATUS_PIPE_DISCONNECTED,),
    WSAETIMEDOUT: (STATUS_IO_TIMEOUT,),
    WSAECONNREFUSED: (STATUS_CONNECTION_REFUSED,),
    WSAEHOSTUNREACH: (STATUS_HOST_UNREACHABLE,),
    WSAEDISCON: (STATUS_GRACEFUL_DISCONNECT,),
    ERROR_OPERATION_ABORTED: (STATUS_CANCELLED,),
}
_WINSOCK_ERROR_OF_STATUS: Final[dict[int, int]] = {
    status: error for error, statuses in _STATUSES_OF_WINSOCK_ERROR.items() for status in statuses
}


def winsock_error(status: int) -> int:
    """The code of an NTSTATUS, signed or unsigned, as Winsock's own calls report it (I-53).

    WSAEINVAL 10022 for a failure that has none. WSAGetOverlappedResult reports a request that still runs as
    ERROR_IO_INCOMPLETE; that is the call's own answer, and STATUS_PENDING is ERROR_IO_PENDING here.

    >>> winsock_error(STATUS_CONNECTION_RESET)
    10054
    """
    status &= 0xFFFFFFFF
    default = status_to_error(status) if is_success(status) else WSAEINVAL
    return _WINSOCK_ERROR_OF_STATUS.get(status, default)


# What hosts call a status; not every host has every name. Of several names the first is the way back.
_ERRNOS_OF_STATUS: Final[dict[int, tuple[str, ...]]] = {
    **{row[0]: (_ERROR_NAMES[code].removeprefix("WSA"),) for code, row in _STATUSES_OF_WINSOCK_ERROR.items()},
    # The status for a name collision is error 183; creating a file, where hosts say EEXIST, reports 80.
    _WIN32_CODE | ERROR_FILE_EXISTS: ("EEXIST",), STATUS_HOST_UNREACHABLE: ("EHOSTUNREACH", "EHOSTDOWN"),
    STATUS_OBJECT_NAME_NOT_FOUND: ("ENOENT",), STATUS_ACCESS_DENIED: ("EACCES", "EPERM"),
    STATUS_FILE_IS_A_DIRECTORY: ("EISDIR",), STATUS_NOT_A_DIRECTORY: ("ENOTDIR",),
    STATUS_DIRECTORY_NOT_EMPTY: ("ENOTEMPTY",), STATUS_NAME_TOO_LONG: ("ENAMETOOLONG",),
    STATUS_REPARSE_POINT_NOT_RESOLVED: ("ELOOP",), STATUS_SHARING_VIOLATION: ("EBUSY", "ETXTBSY"),
    STATUS_DISK_FULL: ("ENOSPC", "EDQUOT", "EFBIG"), STATUS_MEDIA_WRITE_PROTECTED: ("EROFS",),
    STATUS_TOO_MANY_OPENED_FILES: ("EMFILE", "ENFILE"), STATUS_INVALID_HANDLE: ("EBADF",),
    STATUS_INVALID_PARAMETER: ("EINVAL",), STATUS_IO_DEVICE_ERROR: ("EIO",), STATUS_NO_MEMORY: ("ENOMEM",),
    STATUS_NO_SUCH_DEVICE: ("ENODEV", "ENXIO", "ENETDOWN"), STATUS_CANCELLED: ("ECANCELED",),
    STATUS_INVALID_DEVICE_REQUEST: ("ESPIPE", "ENOTTY", "ENOSYS"), STATUS_PIPE_BROKEN: ("EPIPE",),
    STATUS_DEVICE_NOT_READY: ("EAGAIN", "EWOULDBLOCK"), STATUS_NOT_SUPPORTED: ("ENOTSUP", "EOPNOTSUPP"),
}
_STATUS_OF_ERRNO: Final[dict[int, int]] = {
    getattr(_errno, name): status
    for status, names in _ERRNOS_OF_STATUS.items()
    for name in names
    if hasattr(_errno, name)
}
_ERRNO_OF_ERROR: Final[dict[int, str]] = {
    **{code: name.removeprefix("WSA") for code, name in _ERROR_NAMES.items() if name.startswith("WSAE")},
    **{status_to_error(status): names[0] for status, names in _ERRNOS_OF_STATUS.items()},
    # Where that is ambiguous, or where there is no way back
    ERROR_PATH_NOT_FOUND: "ENOENT", ERROR_NO_MORE_FILES: "ENOENT", ERROR_BAD_NETPATH: "ENOENT",
    ERROR_ACCESS_DENIED: "EACCES", ERROR_SHARING_VIOLATION: "EACCES", ERROR_LOCK_VIOLATION: "EACCES",
    ERROR_ALREADY_EXISTS: "EEXIST", ERROR_INVALID_HANDLE: "EBADF", ERROR_ABANDONED_WAIT_0: "EBADF",
    ERROR_BUSY: "EBUSY", ERROR_PIPE_BUSY: "EBUSY", ERROR_GEN_FAILURE: "EIO", ERROR_DEV_NOT_EXIST: "ENODEV",
    ERROR_NO_SYSTEM_RESOURCES: "ENOMEM", ERROR_NO_DATA: "EPIPE", WAIT_TIMEOUT: "ETIMEDOUT",
    ERROR_PORT_UNREACHABLE: "ECONNREFUSED", ERROR_CONNECTION_INVALID: "ENOTCONN",
    ERROR_PIPE_NOT_CONNECTED: "ENOTCONN", ERROR_INVALID_FUNCTION: "EINVAL",
}


def errno_to_status(errno: int) -> int:
    """The NTSTATUS of a host errno; 0 is success, STATUS_UNSUCCESSFUL stands for what is unknown."""
    return _STATUS_OF_ERRNO.get(errno, STATUS_UNSUCCESSFUL) if errno else STATUS_SUCCESS


def errno_to_error(errno: int) -> int:
    """The Win32 code of a host errno; 0 is success, ERROR_GEN_FAILURE 31 stands for what is unknown."""
    return status_to_error(errno_to_status(errno))


def _host_errno(code: int) -> int:
    """The errno by which programs of this host know a Win32 or Winsock code; EINVAL where there is none."""
    return int(getattr(_errno, _ERRNO_OF_ERROR.get(code, "EINVAL"), _errno.EINVAL))


# The texts that programs compare or users know, as Windows has them without the full stop (it has none for
# 735). A code with a name but without a text here gets the name for a text.
_MESSAGES: Final[dict[int, str]] = {
    ERROR_INVALID_FUNCTION: "Incorrect function",
    ERROR_FILE_NOT_FOUND: "The system cannot find the file specified",
    ERROR_PATH_NOT_FOUND: "The system cannot find the path specified",
    ERROR_ACCESS_DENIED: "Access is denied",
    ERROR_INVALID_HANDLE: "The handle is invalid",
    ERROR_GEN_FAILURE: "A device attached to the system is not functioning",
    ERROR_SHARING_VIOLATION: "The process cannot access the file because it is being used by another process",
    ERROR_HANDLE_EOF: "Reached the end of the file",
    ERROR_NOT_SUPPORTED: "The request is not supported",
    ERROR_NETNAME_DELETED: "The specified network name is no longer available",
    ERROR_INVALID_PARAMETER: "The parameter is incorrect",
    ERROR_BROKEN_PIPE: "The pipe has been ended",
    ERROR_SEM_TIMEOUT: "The semaphore timeout period has expired",
    ERROR_DIR_NOT_EMPTY: "The directory is not empty",
    ERROR_ALREADY_EXISTS: "Cannot create a file when that file already exists",
    ERROR_PIPE_BUSY: "All pipe instances are busy",
    ERROR_NO_DATA: "The pipe is being closed",
    ERROR_PIPE_NOT_CONNECTED: "No process is on the other end of the pipe",
    WAIT_TIMEOUT: "The wait operation timed out",
    ERROR_DIRECTORY: "The directory name is invalid",
    ERROR_ABANDONED_WAIT_0: "The port was closed during the wait",
    ERROR_OPERATION_ABORTED: (
        "The I/O operation has been aborted because of either a thread exit or an application request"
    ),
    ERROR_IO_INCOMPLETE: "Overlapped I/O event is not in a signaled state",
    ERROR_IO_PENDING: "Overlapped I/O operation is in progress",
    ERROR_NOACCESS: "Invalid access to memory location",
    ERROR_IO_DEVICE: "The request could not be performed because of an I/O device error",
    ERROR_NOT_FOUND: "Element not found",
    ERROR_CONNECTION_REFUSED: "The remote computer refused the network connection",
    ERROR_CONNECTION_ABORTED: "The network connection was aborted by the local system",
    WSAEINVAL: "An invalid argument was supplied",
    WSAECONNABORTED: "An established connection was aborted by the software in your host machine",
    WSAECONNRESET: "An existing connection was forcibly closed by the remote host",
    WSAETIMEDOUT: "A connection attempt or an established connection timed out",
    WSAECONNREFUSED: "No connection could be made because the target machine actively refused it",
}


def status_name(status: int) -> str:
    """The symbolic name of an NTSTATUS, or its eight hexadecimal digits: `0xc0001234`."""
    status &= 0xFFFFFFFF
    return _STATUS_NAMES.get(status) or f"0x{status:08x}"


def error_name(code: int) -> str:
    """The symbolic name of a Win32 or Winsock code, or its decimal digits."""
    return _ERROR_NAMES.get(code) or str(code)


def error_message(code: int) -> str:
    """One line of text for a Win32 or Winsock code, without a full stop; `Unknown error` for a stranger."""
    if code in _MESSAGES:
        return _MESSAGES[code]
    name = _ERROR_NAMES.get(code, "ERROR_UNKNOWN_ERROR").removeprefix("ERROR_")
    return f"Winsock error {name}" if name.startswith("WSA") else name.replace("_", " ").capitalize()


class Win32Error(OSError):
    """An OSError that carries a Win32 or Winsock code; `win32_error` chooses the right class.

    `winerror` is the code, `errno` what this host calls it, `strerror` the text; `filename` and `filename2` are
    what the call was about, or None; `args` is (errno, strerror).

    >>> str(Win32Error(ERROR_INVALID_HANDLE)), str(Win32Error(ERROR_ACCESS_DENIED, "a", "b"))
    ('[WinError 6] The handle is invalid', "[WinError 5] Access is denied: 'a' -> 'b'")
    """

    # On Windows OSError has a member of this name, which errno would follow. This one hides it.
    __slots__ = ("winerror",)
    winerror: int

    def __init__(self, winerror: int, filename: object = None, filename2: object = None) -> None:
        super().__init__(_host_errno(winerror), error_message(winerror))
        self.winerror = winerror
        self.filename = filename
        self.filename2 = filename2

    def __str__(self) -> str:
        about = " -> ".join(repr(name) for name in (self.filename, self.filename2) if name is not None)
        return f"[WinError {self.winerror}] {self.strerror}" + (about and f": {about}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.winerror, self.filename, self.filename2), self.__dict__


class PortClosed(Win32Error):
    """The port was closed while the caller waited (735, O-21), or before the call (6, O-23)."""

    def __init__(self, winerror: int = ERROR_ABANDONED_WAIT_0, *about: object) -> None:
        super().__init__(winerror, *about)


class WaitTimeout(Win32Error, TimeoutError):
    """Time ran out (258, 10060)."""


class Win32FileNotFoundError(Win32Error, FileNotFoundError):
    """No such file, path or pipe (2, 3)."""


class Win32FileExistsError(Win32Error, FileExistsError):
    """The name is taken (80, 183)."""


class Win32NotADirectoryError(Win32Error, NotADirectoryError):
    """A directory was expected (267)."""


class Win32PermissionError(Win32Error, PermissionError):
    """Access is denied, or somebody else uses or has locked the file (5, 32, 33, 10013)."""


class Win32BrokenPipeError(Win32Error, BrokenPipeError):
    """The other end is gone, or the socket is shut down (109, 232, 10058)."""


class Win32ConnectionResetError(Win32Error, ConnectionResetError):
    """The peer reset the connection (10054)."""


class Win32ConnectionAbortedError(Win32Error, ConnectionAbortedError):
    """This side gave the connection up (1236, 10053)."""


class Win32ConnectionRefusedError(Win32Error, ConnectionRefusedError):
    """Nobody listens there (1225, 1234, 10061)."""


class Win32InterruptedError(Win32Error, InterruptedError):
    """A blocking call was cancelled (10004)."""


class Win32BlockingIOError(Win32Error, BlockingIOError):
    """The operation would have to wait, or already runs (21, 10035 to 10037)."""


_CLASSES: Final = {cls.__bases__[1]: cls for cls in Win32Error.__subclasses__() if cls.__bases__[1:]}
# asyncio expects plain OSErrors for these and tells them apart by number.
_PLAIN: Final = frozenset({ERROR_NETNAME_DELETED, ERROR_SEM_TIMEOUT})


def win32_error(code: int, filename: object = None, filename2: object = None) -> Win32Error:
    """The exception for a Win32 or Winsock code, for the caller to raise or to hand out.

    `filename` and `filename2` say what the call was about. Code 6 gives a plain error: only a port knows when
    it means PortClosed.

    >>> win32_error(ERROR_FILE_NOT_FOUND, "data.bin")
    Win32FileNotFoundError(2, 'The system cannot find the file specified')
    """
    if code == ERROR_ABANDONED_WAIT_0:
        return PortClosed(code, filename, filename2)
    builtin = OSError if code in _PLAIN else type(OSError(_host_errno(code), ""))
    return _CLASSES.get(builtin, Win32Error)(code, filename, filename2)
