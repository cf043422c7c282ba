"""Status and error codes: values, both mappings, the host's errno, names and texts, and the exceptions."""

from __future__ import annotations

import ast
import copy
import doctest
import errno
import pickle
from pathlib import Path

import pytest

from iocp_emu import errors, status
from iocp_emu.errors import PortClosed, WaitTimeout, Win32Error, error_message, win32_error
from iocp_emu.status import (
    errno_to_error,
    errno_to_status,
    error_name,
    is_error,
    is_success,
    is_warning,
    status_name,
    status_to_error,
    winsock_error,
)

# The conformance vectors' constants: statuses, then error codes, then Winsock codes, by value.
CONSTANTS_OF_THE_VECTORS = """
    STATUS_SUCCESS 0x00000000 STATUS_ABANDONED_WAIT_0 0x00000080 STATUS_USER_APC 0x000000c0
    STATUS_ALERTED 0x00000101 STATUS_TIMEOUT 0x00000102 STATUS_PENDING 0x00000103
    STATUS_OBJECT_NAME_EXISTS 0x40000000 STATUS_NO_YIELD_PERFORMED 0x40000024
    STATUS_GUARD_PAGE_VIOLATION 0x80000001 STATUS_BUFFER_OVERFLOW 0x80000005 STATUS_NO_MORE_FILES 0x80000006
    STATUS_HANDLES_CLOSED 0x8000000a STATUS_NO_MORE_ENTRIES 0x8000001a STATUS_UNSUCCESSFUL 0xc0000001
    STATUS_NOT_IMPLEMENTED 0xc0000002 STATUS_INVALID_INFO_CLASS 0xc0000003
    STATUS_INFO_LENGTH_MISMATCH 0xc0000004 STATUS_ACCESS_VIOLATION 0xc0000005 STATUS_INVALID_HANDLE 0xc0000008
    STATUS_INVALID_PARAMETER 0xc000000d STATUS_NO_SUCH_DEVICE 0xc000000e
    STATUS_INVALID_DEVICE_REQUEST 0xc0000010 STATUS_END_OF_FILE 0xc0000011 STATUS_NO_MEMORY 0xc0000017
    STATUS_ACCESS_DENIED 0xc0000022 STATUS_BUFFER_TOO_SMALL 0xc0000023 STATUS_OBJECT_TYPE_MISMATCH 0xc0000024
    STATUS_OBJECT_NAME_INVALID 0xc0000033 STATUS_OBJECT_NAME_NOT_FOUND 0xc0000034
    STATUS_OBJECT_NAME_COLLISION 0xc0000035 STATUS_PORT_DISCONNECTED 0xc0000037
    STATUS_FILE_LOCK_CONFLICT 0xc0000054 STATUS_LOCK_NOT_GRANTED 0xc0000055 STATUS_DEVICE_NOT_READY 0xc00000a3
    STATUS_PIPE_NOT_AVAILABLE 0xc00000ac STATUS_INVALID_PIPE_STATE 0xc00000ad STATUS_PIPE_BUSY 0xc00000ae
    STATUS_ILLEGAL_FUNCTION 0xc00000af STATUS_PIPE_DISCONNECTED 0xc00000b0 STATUS_PIPE_CLOSING 0xc00000b1
    STATUS_PIPE_CONNECTED 0xc00000b2 STATUS_PIPE_LISTENING 0xc00000b3 STATUS_IO_TIMEOUT 0xc00000b5
    STATUS_NOT_SUPPORTED 0xc00000bb STATUS_PIPE_EMPTY 0xc00000d9 STATUS_INVALID_USER_BUFFER 0xc00000e8
    STATUS_INVALID_PARAMETER_1 0xc00000ef STATUS_INVALID_PARAMETER_2 0xc00000f0
    STATUS_INVALID_PARAMETER_3 0xc00000f1 STATUS_CANCELLED 0xc0000120 STATUS_INVALID_COMPUTER_NAME 0xc0000122
    STATUS_FILE_CLOSED 0xc0000128 STATUS_LOCAL_DISCONNECT 0xc000013b STATUS_REMOTE_DISCONNECT 0xc000013c
    STATUS_INVALID_CONNECTION 0xc0000140 STATUS_PIPE_BROKEN 0xc000014b
    STATUS_CONNECTION_DISCONNECTED 0xc000020c STATUS_CONNECTION_RESET 0xc000020d STATUS_NOT_FOUND 0xc0000225
    STATUS_HANDLE_NOT_CLOSABLE 0xc0000235 STATUS_CONNECTION_REFUSED 0xc0000236
    STATUS_GRACEFUL_DISCONNECT 0xc0000237 STATUS_CONNECTION_INVALID 0xc000023a
    STATUS_PORT_UNREACHABLE 0xc000023f STATUS_CONNECTION_ABORTED 0xc0000241 ERROR_SUCCESS 0
    ERROR_INVALID_FUNCTION 1 ERROR_FILE_NOT_FOUND 2 ERROR_ACCESS_DENIED 5 ERROR_INVALID_HANDLE 6
    ERROR_NOT_ENOUGH_MEMORY 8 ERROR_INVALID_ACCESS 12 ERROR_NO_MORE_FILES 18 ERROR_BAD_COMMAND 22
    ERROR_BAD_LENGTH 24 ERROR_GEN_FAILURE 31 ERROR_SHARING_VIOLATION 32 ERROR_LOCK_VIOLATION 33
    ERROR_HANDLE_EOF 38 ERROR_NOT_SUPPORTED 50 ERROR_BAD_NETPATH 53 ERROR_DEV_NOT_EXIST 55
    ERROR_UNEXP_NET_ERR 59 ERROR_NETNAME_DELETED 64 ERROR_BAD_DEV_TYPE 66 ERROR_FILE_EXISTS 80
    ERROR_INVALID_PARAMETER 87 ERROR_BROKEN_PIPE 109 ERROR_CALL_NOT_IMPLEMENTED 120 ERROR_SEM_TIMEOUT 121
    ERROR_INSUFFICIENT_BUFFER 122 ERROR_INVALID_LEVEL 124 ERROR_NEGATIVE_SEEK 131 ERROR_NOT_LOCKED 158
    ERROR_BUSY 170 ERROR_ALREADY_EXISTS 183 WAIT_IO_COMPLETION 192 ERROR_BAD_PIPE 230 ERROR_PIPE_BUSY 231
    ERROR_NO_DATA 232 ERROR_PIPE_NOT_CONNECTED 233 ERROR_MORE_DATA 234 ERROR_VC_DISCONNECTED 240
    WAIT_TIMEOUT 258 ERROR_NO_MORE_ITEMS 259 ERROR_NOT_OWNER 288 ERROR_TOO_MANY_POSTS 298
    ERROR_MR_MID_NOT_FOUND 317 ERROR_PIPE_CONNECTED 535 ERROR_PIPE_LISTENING 536 ERROR_HANDLES_CLOSED 676
    ERROR_ABANDONED_WAIT_0 735 ERROR_OPERATION_ABORTED 995 ERROR_IO_INCOMPLETE 996 ERROR_IO_PENDING 997
    ERROR_NOACCESS 998 ERROR_INVALID_FLAGS 1004 ERROR_FILE_INVALID 1006 ERROR_NOT_FOUND 1168
    ERROR_INVALID_NETNAME 1214 ERROR_CONNECTION_REFUSED 1225 ERROR_GRACEFUL_DISCONNECT 1226
    ERROR_CONNECTION_INVALID 1229 ERROR_NETWORK_UNREACHABLE 1231 ERROR_HOST_UNREACHABLE 1232
    ERROR_PORT_UNREACHABLE 1234 ERROR_CONNECTION_ABORTED 1236 ERROR_PRIVILEGE_NOT_HELD 1314
    ERROR_INVALID_USER_BUFFER 1784 WSAEINTR 10004 WSAEBADF 10009 WSAEACCES 10013 WSAEFAULT 10014
    WSAEINVAL 10022 WSAEWOULDBLOCK 10035 WSAEINPROGRESS 10036 WSAEALREADY 10037 WSAENOTSOCK 10038
    WSAEDESTADDRREQ 10039 WSAEMSGSIZE 10040 WSAEOPNOTSUPP 10045 WSAEADDRINUSE 10048 WSAEADDRNOTAVAIL 10049
    WSAENETRESET 10052 WSAECONNABORTED 10053 WSAECONNRESET 10054 WSAENOBUFS 10055 WSAEISCONN 10056
    WSAENOTCONN 10057 WSAESHUTDOWN 10058 WSAETIMEDOUT 10060 WSAECONNREFUSED 10061 WSAEDISCON 10101
    EXCEPTION_ACCESS_VIOLATION 0xc0000005
"""

# NTSTATUS and Win32 code, by RtlNtStatusToDosError, except for the three outcomes of waiting that come first.
STATUS_TO_ERROR: dict[str, int] = {
    "STATUS_TIMEOUT": 258,
    "STATUS_USER_APC": 192,
    "STATUS_ABANDONED_WAIT_0": 735,
    "STATUS_SUCCESS": 0,
    "STATUS_ALERTED": 739,
    "STATUS_PENDING": 997,
    "STATUS_NOTIFY_CLEANUP": 745,
    "STATUS_NOTIFY_ENUM_DIR": 1022,
    "STATUS_OBJECT_NAME_EXISTS": 698,
    "STATUS_NO_YIELD_PERFORMED": 721,
    "STATUS_GUARD_PAGE_VIOLATION": 0x80000001,
    "STATUS_BUFFER_OVERFLOW": 234,
    "STATUS_NO_MORE_FILES": 18,
    "STATUS_HANDLES_CLOSED": 676,
    "STATUS_NO_MORE_ENTRIES": 259,
    "STATUS_UNSUCCESSFUL": 31,
    "STATUS_NOT_IMPLEMENTED": 1,
    "STATUS_INVALID_INFO_CLASS": 87,
    "STATUS_INFO_LENGTH_MISMATCH": 24,
    "STATUS_ACCESS_VIOLATION": 998,
    "STATUS_INVALID_HANDLE": 6,
    "STATUS_INVALID_PARAMETER": 87,
    "STATUS_NO_SUCH_DEVICE": 433,
    "STATUS_NO_SUCH_FILE": 2,
    "STATUS_INVALID_DEVICE_REQUEST": 1,
    "STATUS_END_OF_FILE": 38,
    "STATUS_NO_MEMORY": 8,
    "STATUS_ACCESS_DENIED": 5,
    "STATUS_BUFFER_TOO_SMALL": 122,
    "STATUS_OBJECT_TYPE_MISMATCH": 6,
    "STATUS_OBJECT_NAME_INVALID": 123,
    "STATUS_OBJECT_NAME_NOT_FOUND": 2,
    "STATUS_OBJECT_NAME_COLLISION": 183,
    "STATUS_PORT_DISCONNECTED": 6,
    "STATUS_OBJECT_PATH_NOT_FOUND": 3,
    "STATUS_SHARING_VIOLATION": 32,
    "STATUS_MUTANT_NOT_OWNED": 288,
    "STATUS_SEMAPHORE_LIMIT_EXCEEDED": 298,
    "STATUS_PORT_ALREADY_SET": 87,
    "STATUS_SUSPEND_COUNT_EXCEEDED": 156,
    "STATUS_THREAD_IS_TERMINATING": 5,
    "STATUS_FILE_LOCK_CONFLICT": 33,
    "STATUS_LOCK_NOT_GRANTED": 33,
    "STATUS_DELETE_PENDING": 5,
    "STATUS_RANGE_NOT_LOCKED": 158,
    "STATUS_DISK_FULL": 112,
    "STATUS_INSUFFICIENT_RESOURCES": 1450,
    "STATUS_MEDIA_WRITE_PROTECTED": 19,
    "STATUS_DEVICE_NOT_READY": 21,
    "STATUS_INSTANCE_NOT_AVAILABLE": 231,
    "STATUS_PIPE_NOT_AVAILABLE": 231,
    "STATUS_INVALID_PIPE_STATE": 230,
    "STATUS_PIPE_BUSY": 231,
    "STATUS_ILLEGAL_FUNCTION": 1,
    "STATUS_PIPE_DISCONNECTED": 233,
    "STATUS_PIPE_CLOSING": 232,
    "STATUS_PIPE_CONNECTED": 535,
    "STATUS_PIPE_LISTENING": 536,
    "STATUS_IO_TIMEOUT": 121,
    "STATUS_FILE_IS_A_DIRECTORY": 5,
    "STATUS_NOT_SUPPORTED": 50,
    "STATUS_PIPE_EMPTY": 232,
    "STATUS_INVALID_USER_BUFFER": 1784,
    "STATUS_INVALID_PARAMETER_1": 87,
    "STATUS_INVALID_PARAMETER_2": 87,
    "STATUS_INVALID_PARAMETER_3": 87,
    "STATUS_DIRECTORY_NOT_EMPTY": 145,
    "STATUS_NOT_A_DIRECTORY": 267,
    "STATUS_NAME_TOO_LONG": 206,
    "STATUS_PROCESS_IS_TERMINATING": 5,
    "STATUS_TOO_MANY_OPENED_FILES": 4,
    "STATUS_CANCELLED": 995,
    "STATUS_INVALID_COMPUTER_NAME": 1210,
    "STATUS_FILE_CLOSED": 6,
    "STATUS_LOCAL_DISCONNECT": 64,
    "STATUS_REMOTE_DISCONNECT": 64,
    "STATUS_INVALID_CONNECTION": 59,
    "STATUS_INVALID_ADDRESS": 59,
    "STATUS_PIPE_BROKEN": 109,
    "STATUS_IO_DEVICE_ERROR": 1117,
    "STATUS_MUTANT_LIMIT_EXCEEDED": 587,
    "STATUS_INVALID_LOCK_RANGE": 307,
    "STATUS_INVALID_BUFFER_SIZE": 1784,
    "STATUS_INVALID_ADDRESS_COMPONENT": 1214,
    "STATUS_ADDRESS_ALREADY_EXISTS": 52,
    "STATUS_CONNECTION_DISCONNECTED": 64,
    "STATUS_CONNECTION_RESET": 64,
    "STATUS_NOT_FOUND": 1168,
    "STATUS_HANDLE_NOT_CLOSABLE": 6,
    "STATUS_CONNECTION_REFUSED": 1225,
    "STATUS_GRACEFUL_DISCONNECT": 1226,
    "STATUS_CONNECTION_INVALID": 1229,
    "STATUS_CONNECTION_ACTIVE": 1230,
    "STATUS_NETWORK_UNREACHABLE": 1231,
    "STATUS_HOST_UNREACHABLE": 1232,
    "STATUS_PORT_UNREACHABLE": 1234,
    "STATUS_CONNECTION_ABORTED": 1236,
    "STATUS_REPARSE_POINT_NOT_RESOLVED": 1921,
}

WINSOCK_ERRORS: dict[str, int] = {
    "STATUS_SUCCESS": 0,
    "STATUS_PENDING": 997,
    "STATUS_BUFFER_OVERFLOW": 10040,
    "STATUS_NOT_IMPLEMENTED": 10045,
    "STATUS_ACCESS_VIOLATION": 10014,
    "STATUS_INVALID_HANDLE": 10038,
    "STATUS_NO_SUCH_DEVICE": 10050,
    "STATUS_NO_SUCH_FILE": 10050,
    "STATUS_NO_MEMORY": 10055,
    "STATUS_ACCESS_DENIED": 10013,
    "STATUS_BUFFER_TOO_SMALL": 10014,
    "STATUS_OBJECT_TYPE_MISMATCH": 10038,
    "STATUS_OBJECT_NAME_NOT_FOUND": 10050,
    "STATUS_SHARING_VIOLATION": 10048,
    "STATUS_INSUFFICIENT_RESOURCES": 10055,
    "STATUS_DEVICE_NOT_READY": 10035,
    "STATUS_PIPE_DISCONNECTED": 10058,
    "STATUS_IO_TIMEOUT": 10060,
    "STATUS_NOT_SUPPORTED": 10045,
    "STATUS_CANCELLED": 995,
    "STATUS_LOCAL_DISCONNECT": 10053,
    "STATUS_REMOTE_DISCONNECT": 10054,
    "STATUS_INVALID_CONNECTION": 10057,
    "STATUS_INVALID_ADDRESS": 10049,
    "STATUS_INVALID_BUFFER_SIZE": 10040,
    "STATUS_INVALID_ADDRESS_COMPONENT": 10049,
    "STATUS_ADDRESS_ALREADY_EXISTS": 10048,
    "STATUS_CONNECTION_DISCONNECTED": 10054,
    "STATUS_CONNECTION_RESET": 10054,
    "STATUS_CONNECTION_REFUSED": 10061,
    "STATUS_GRACEFUL_DISCONNECT": 10101,
    "STATUS_CONNECTION_ACTIVE": 10056,
    "STATUS_NETWORK_UNREACHABLE": 10051,
    "STATUS_HOST_UNREACHABLE": 10065,
    "STATUS_PORT_UNREACHABLE": 10054,
    "STATUS_CONNECTION_ABORTED": 10053,
    "STATUS_UNSUCCESSFUL": 10022,
    "STATUS_HANDLES_CLOSED": 10022,
}

# Host errno, Win32 code, and the code that the same errno becomes on a socket (None: no socket reports it).
ERRNOS: list[tuple[str, int, int | None]] = [
    ("ENOENT", 2, None),
    ("EACCES", 5, 10013),
    ("EPERM", 5, 10013),
    ("EISDIR", 5, None),
    ("EEXIST", 80, None),
    ("ENOTDIR", 267, None),
    ("ENOTEMPTY", 145, None),
    ("ENAMETOOLONG", 206, None),
    ("ELOOP", 1921, None),
    ("ENOSPC", 112, None),
    ("EDQUOT", 112, None),
    ("EFBIG", 112, None),
    ("EROFS", 19, None),
    ("EBUSY", 32, None),
    ("ETXTBSY", 32, None),
    ("EMFILE", 4, None),
    ("ENFILE", 4, None),
    ("EBADF", 6, 10038),
    ("EINVAL", 87, 10022),
    ("EIO", 1117, None),
    ("ENODEV", 433, None),
    ("ENXIO", 433, None),
    ("ESPIPE", 1, None),
    ("ENOTTY", 1, None),
    ("ENOSYS", 1, None),
    ("EFAULT", 998, 10014),
    ("ENOMEM", 8, 10055),
    ("ENOBUFS", 1450, 10055),
    ("EAGAIN", 21, 10035),
    ("EWOULDBLOCK", 21, 10035),
    ("ECANCELED", 995, 995),
    ("EPIPE", 109, None),
    ("ETIMEDOUT", 121, 10060),
    ("ENOTSOCK", 6, 10038),
    ("ENOTSUP", 50, 10045),
    ("EOPNOTSUPP", 50, 10045),
    ("EMSGSIZE", 1784, 10040),
    ("EADDRINUSE", 52, 10048),
    ("EADDRNOTAVAIL", 1214, 10049),
    ("ENETDOWN", 433, 10050),
    ("ENETUNREACH", 1231, 10051),
    ("EHOSTUNREACH", 1232, 10065),
    ("EHOSTDOWN", 1232, 10065),
    ("ECONNABORTED", 1236, 10053),
    ("ECONNRESET", 64, 10054),
    ("ECONNREFUSED", 1225, 10061),
    ("EISCONN", 1230, 10056),
    ("ENOTCONN", 59, 10057),
    ("ESHUTDOWN", 233, 10058),
]
# Errno above -> the errno that its code has: several share a code, or the code means something more general.
OTHER_WAYS_BACK = {
    "EPERM": "EACCES",
    "EISDIR": "EACCES",
    "EDQUOT": "ENOSPC",
    "EFBIG": "ENOSPC",
    "EBUSY": "EACCES",
    "ETXTBSY": "EACCES",
    "ENFILE": "EMFILE",
    "ENXIO": "ENODEV",
    "ENETDOWN": "ENODEV",
    "ESPIPE": "EINVAL",
    "ENOTTY": "EINVAL",
    "ENOSYS": "EINVAL",
    "ENOBUFS": "ENOMEM",
    "EWOULDBLOCK": "EAGAIN",
    "ENOTSOCK": "EBADF",
    "EOPNOTSUPP": "ENOTSUP",
    "EHOSTDOWN": "EHOSTUNREACH",
    "ESHUTDOWN": "ENOTCONN",
}

# Code, built-in class, host errno.
CLASSES: list[tuple[int, type[OSError], str]] = [
    (2, FileNotFoundError, "ENOENT"),
    (3, FileNotFoundError, "ENOENT"),
    (5, PermissionError, "EACCES"),
    (32, PermissionError, "EACCES"),
    (33, PermissionError, "EACCES"),
    (80, FileExistsError, "EEXIST"),
    (183, FileExistsError, "EEXIST"),
    (109, BrokenPipeError, "EPIPE"),
    (232, BrokenPipeError, "EPIPE"),
    (258, TimeoutError, "ETIMEDOUT"),
    (267, NotADirectoryError, "ENOTDIR"),
    (1225, ConnectionRefusedError, "ECONNREFUSED"),
    (1234, ConnectionRefusedError, "ECONNREFUSED"),
    (1236, ConnectionAbortedError, "ECONNABORTED"),
    (10004, InterruptedError, "EINTR"),
    (10013, PermissionError, "EACCES"),
    (10035, BlockingIOError, "EWOULDBLOCK"),
    (10036, BlockingIOError, "EINPROGRESS"),
    (10037, BlockingIOError, "EALREADY"),
    (10053, ConnectionAbortedError, "ECONNABORTED"),
    (10054, ConnectionResetError, "ECONNRESET"),
    (10058, BrokenPipeError, "ESHUTDOWN"),
    (10060, TimeoutError, "ETIMEDOUT"),
    (10061, ConnectionRefusedError, "ECONNREFUSED"),
]
PLAIN: list[tuple[int, str]] = [
    (1, "EINVAL"),
    (4, "EMFILE"),
    (6, "EBADF"),
    (8, "ENOMEM"),
    (31, "EIO"),
    (38, "EINVAL"),
    (64, "ECONNRESET"),
    (87, "EINVAL"),
    (112, "ENOSPC"),
    (121, "ETIMEDOUT"),
    (231, "EBUSY"),
    (233, "ENOTCONN"),
    (234, "EINVAL"),
    (995, "ECANCELED"),
    (996, "EINVAL"),
    (997, "EINVAL"),
    (1168, "EINVAL"),
    (1231, "ENETUNREACH"),
    (1450, "ENOMEM"),
    (10022, "EINVAL"),
    (10038, "ENOTSOCK"),
    (10057, "ENOTCONN"),
    (10101, "EINVAL"),
    (4242, "EINVAL"),
]
CODES = sorted({code for code, *_ in CLASSES} | {code for code, _ in PLAIN} | {735})


def constant(name: str) -> int:
    """The constant of this name."""
    value = getattr(status, name)
    assert isinstance(value, int)
    return value


def named_statuses() -> dict[str, int]:
    """Every NTSTATUS constant by name."""
    return {name: constant(name) for name in vars(status) if name.startswith("STATUS_")}


WORDS = CONSTANTS_OF_THE_VECTORS.split()


@pytest.mark.parametrize(("name", "value"), list(zip(WORDS[::2], WORDS[1::2], strict=True)), ids=WORDS[::2])
def test_constants_have_the_values_of_the_vectors(name: str, value: str) -> None:
    """A status or code that the conformance vectors name has the value that it has there, and shows that name."""
    assert constant(name) == int(value, 0)
    assert (status_name if name.startswith("STATUS_") else error_name)(int(value, 0)) == name


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("STATUS_WAIT_0", "STATUS_SUCCESS"),
        ("STATUS_ABANDONED", "STATUS_ABANDONED_WAIT_0"),
        ("WAIT_OBJECT_0", "ERROR_SUCCESS"),
    ],
)
def test_second_names_are_not_shown(alias: str, name: str) -> None:
    """Of two names for one value the usual one is shown."""
    assert constant(alias) == constant(name)
    assert (status_name if alias.startswith("STATUS_") else error_name)(constant(alias)) == name


def test_no_name_shows_as_number() -> None:
    """A value without a name shows as a number, a status in hexadecimal whatever its sign."""
    assert status_name(0xC0DE1234) == status_name(0xC0DE1234 - 2**32) == "0xc0de1234"
    assert status_name(7) == "0x00000007"
    assert status_name(-0x3FFFFFF8) == "STATUS_INVALID_HANDLE"
    assert error_name(4242) == "4242"


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        (0x00000000, "success"),
        (0x00000103, "success"),
        (0x3FFFFFFF, "success"),
        (0x40000000, "success"),
        (0x7FFFFFFF, "success"),
        (0x80000000, "warning"),
        (0x80000005, "warning"),
        (0xBFFFFFFF, "warning"),
        (0xC0000000, "error"),
        (0xC0000120, "error"),
        (0xFFFFFFFF, "error"),
    ],
)
def test_i03_i04_severity_decides(value: int, severity: str) -> None:
    """I-03, I-04, G-01: each status is one of success, warning and error, signed or unsigned."""
    for number in (value, value - 2**32):
        verdicts = {"success": is_success(number), "warning": is_warning(number), "error": is_error(number)}
        assert [name for name, verdict in verdicts.items() if verdict] == [severity]


@pytest.mark.parametrize(("name", "error"), STATUS_TO_ERROR.items(), ids=STATUS_TO_ERROR)
def test_g10_status_to_error(name: str, error: int) -> None:
    """G-10, table 6.6, vector get-18: a status has its Win32 code, signed or unsigned."""
    assert status_to_error(constant(name)) == status_to_error(constant(name) - 2**32) == error


def test_g10_every_status_has_a_code() -> None:
    """G-10: the rows above hold every status that has a constant."""
    assert set(named_statuses().values()) == {constant(name) for name in STATUS_TO_ERROR}


@pytest.mark.parametrize("unknown", [1, 0x0000FFFF, 0x4000FFFF, 0x8000FFFF, 0xC000FFFF, 0xC0DE1234])
def test_g10_unknown_statuses(unknown: int) -> None:
    """G-10: a status without a code is ERROR_MR_MID_NOT_FOUND, whatever its severity."""
    assert status_to_error(unknown) == 317


@pytest.mark.parametrize("upper_half", [0x8007, 0xC001, 0xC007])
def test_g10_statuses_that_carry_a_win32_code(upper_half: int) -> None:
    """G-10: a Win32 code that travels as a status comes out as it was."""
    assert status_to_error(upper_half << 16 | 80) == status_to_error((upper_half << 16 | 80) - 2**32) == 80


@pytest.mark.parametrize(("name", "error"), WINSOCK_ERRORS.items(), ids=WINSOCK_ERRORS)
def test_i53_winsock_error(name: str, error: int) -> None:
    """I-53: Winsock's own calls have codes of their own; WSAEINVAL is what they say of other failures."""
    assert winsock_error(constant(name)) == winsock_error(constant(name) - 2**32) == error


def test_i53_the_two_roads_differ() -> None:
    """I-53: a reset is 64 by way of the port and 10054 by way of Winsock."""
    reset = constant("STATUS_CONNECTION_RESET")
    assert (status_to_error(reset), winsock_error(reset)) == (64, 10054)


@pytest.mark.parametrize(("name", "error", "socket_error"), ERRNOS, ids=[name for name, *_ in ERRNOS])
def test_errno_to_error(name: str, error: int, socket_error: int | None) -> None:
    """A host errno has one error status, and the codes follow from it on both roads."""
    number = getattr(errno, name, None)
    if number is None:
        pytest.skip(f"this host has no {name}")
    assert errno_to_error(number) == error
    assert status_to_error(errno_to_status(number)) == error
    assert is_error(errno_to_status(number))
    if socket_error is not None:
        assert winsock_error(errno_to_status(number)) == socket_error


@pytest.mark.parametrize(("name", "error"), [row[:2] for row in ERRNOS], ids=[name for name, *_ in ERRNOS])
def test_errno_comes_back(name: str, error: int) -> None:
    """The exception for an errno's code has this errno again, or the one that stands for several."""
    number = getattr(errno, OTHER_WAYS_BACK.get(name, name), None)
    if number is None:
        pytest.skip(f"this host has no {name}")
    assert win32_error(error).errno == number


def test_errno_without_a_code() -> None:
    """No error is success; an errno that nobody knows is a general failure."""
    assert (errno_to_error(0), errno_to_status(0)) == (0, 0)
    assert (errno_to_error(99999), errno_to_status(99999)) == (31, 0xC0000001)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "Incorrect function"),
        (2, "The system cannot find the file specified"),
        (5, "Access is denied"),
        (6, "The handle is invalid"),
        (38, "Reached the end of the file"),
        (64, "The specified network name is no longer available"),
        (87, "The parameter is incorrect"),
        (109, "The pipe has been ended"),
        (121, "The semaphore timeout period has expired"),
        (231, "All pipe instances are busy"),
        (258, "The wait operation timed out"),
        (995, "The I/O operation has been aborted because of either a thread exit or an application request"),
        (1168, "Element not found"),
        (1225, "The remote computer refused the network connection"),
        # Without a text of its own a code has its name.
        (0, "Success"),
        (170, "Busy"),
        (1784, "Invalid user buffer"),
        (10057, "Winsock error WSAENOTCONN"),
        (4242, "Unknown error"),
    ],
)
def test_error_message(code: int, text: str) -> None:
    """The texts that programs compare are those of Windows."""
    assert error_message(code) == text


def test_error_messages_are_one_line_without_full_stop() -> None:
    """Every named code has a text, one line without a full stop."""
    codes = [constant(name) for name in vars(status) if name.startswith(("ERROR_", "WSAE", "WAIT_"))]
    for text in map(error_message, codes):
        assert text.strip(" .\n") == text != "Unknown error"
        assert "\n" not in text


@pytest.mark.parametrize(("code", "builtin", "name"), CLASSES, ids=[str(code) for code, *_ in CLASSES])
def test_classes_by_code(code: int, builtin: type[OSError], name: str) -> None:
    """The exception is the built-in that Python chooses for its errno, and a Win32Error."""
    error = win32_error(code)
    assert isinstance(error, builtin)
    assert isinstance(error, Win32Error)
    assert error.winerror == code
    assert error.errno == getattr(errno, name)
    assert type(OSError(error.errno, "")) is builtin


@pytest.mark.parametrize(("code", "name"), PLAIN, ids=[str(code) for code, _ in PLAIN])
def test_plain_classes_by_code(code: int, name: str) -> None:
    """All other codes are plain Win32Errors, 64 and 121 on purpose, with the host's errno where there is one."""
    error = win32_error(code)
    assert type(error) is Win32Error
    assert (error.winerror, error.errno) == (code, getattr(errno, name))


def test_wait_timeout_and_port_closed_by_code() -> None:
    """O-21, G-03: 258 is a WaitTimeout, 735 a PortClosed; 6 is PortClosed only when a port says so."""
    assert type(win32_error(258)) is WaitTimeout
    assert type(win32_error(735)) is PortClosed
    assert type(win32_error(6)) is Win32Error


@pytest.mark.parametrize(("error", "code"), [(PortClosed(), 735), (PortClosed(735), 735), (PortClosed(6), 6)])
def test_o21_o23_port_closed(error: PortClosed, code: int) -> None:
    """O-21, O-23: a closed port is 735 to those who waited and 6 to those who come later."""
    assert error.winerror == code
    assert error.errno == errno.EBADF
    assert error.strerror == error_message(code)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((6,), "[WinError 6] The handle is invalid"),
        ((2, "a"), "[WinError 2] The system cannot find the file specified: 'a'"),
        ((5, "file1", "file2"), "[WinError 5] Access is denied: 'file1' -> 'file2'"),
        ((5, None, "file2"), "[WinError 5] Access is denied: 'file2'"),
        ((5, b"a"), "[WinError 5] Access is denied: b'a'"),
        ((5, 0), "[WinError 5] Access is denied: 0"),
        ((735,), "[WinError 735] The port was closed during the wait"),
        ((4242,), "[WinError 4242] Unknown error"),
    ],
)
def test_text_of_an_exception(arguments: tuple[int, object, object], text: str) -> None:
    """The text of an exception is the one that programs compare."""
    assert str(win32_error(*arguments)) == text


@pytest.mark.parametrize("code", CODES)
def test_arguments_of_an_exception(code: int) -> None:
    """args is (errno, strerror), so an exception of another class can be made of it, as asyncio does."""
    error = win32_error(code, "a", "b")
    assert error.args == (error.errno, error.strerror)
    assert error.strerror == error_message(code)
    assert (error.filename, error.filename2) == ("a", "b")
    again = ConnectionResetError(*error.args)
    assert (again.errno, again.strerror) == (error.errno, error.strerror)


@pytest.mark.parametrize("code", CODES)
def test_exceptions_travel(code: int) -> None:
    """Copies and pickles are equal in class, numbers, names and what was added later."""
    error = win32_error(code, "a", "b")
    error.__dict__["seen_by"] = "somebody"
    travellers = [copy.copy(error), copy.deepcopy(error)]
    travellers += [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for traveller in travellers:
        assert traveller is not error
        assert type(traveller) is type(error)
        assert str(traveller) == str(error)
        assert traveller.args == error.args
        assert (traveller.winerror, traveller.errno) == (error.winerror, error.errno)
        assert (traveller.filename, traveller.filename2) == ("a", "b")
        assert traveller.__dict__ == {"seen_by": "somebody"}


def test_exceptions_without_names_travel() -> None:
    """An exception about nothing in particular stays so."""
    traveller = pickle.loads(pickle.dumps(PortClosed(6)))
    assert type(traveller) is PortClosed
    assert traveller.winerror == 6
    assert traveller.filename is traveller.filename2 is None
    assert str(traveller) == "[WinError 6] The handle is invalid"


def test_winerror_is_an_attribute_of_ours() -> None:
    """The code is kept in a slot of Win32Error, which hides the one that OSError has on Windows."""
    assert "winerror" in vars(Win32Error)
    for cls in Win32Error.__subclasses__():
        assert "winerror" not in vars(cls)
        assert cls.__mro__.index(Win32Error) < cls.__mro__.index(OSError)


def test_status_is_a_leaf() -> None:
    """The module imports two small modules of the standard library and nothing of the package."""
    tree = ast.parse(Path(status.__file__).read_text(encoding="utf-8"))
    imported = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    ]
    assert imported == ["__future__", "errno", "typing"]


def test_examples_in_the_documentation() -> None:
    """The examples in the docstrings run and are right."""
    for module in (status, errors):
        outcome = doctest.testmod(module)
        assert outcome.attempted >= 2
        assert outcome.failed == 0
