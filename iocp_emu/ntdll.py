"""The flat NT face: the native calls below Win32, which return an NTSTATUS and hide nothing.

The conventions are those of `iocp_emu.win32`; the last error is not touched.

>>> from iocp_emu import ntdll
>>> port = ntdll.NtCreateIoCompletion(0x1F0003, 0).IoCompletionHandle
>>> hex(ntdll.NtSetIoCompletion(port, 1, 2, 0xC0000011, 1 << 40))
'0x0'
>>> ntdll.NtRemoveIoCompletion(port, 0)
Removed(ret=0, KeyContext=1, ApcContext=2, Status=3221225489, Information=1099511627776)
>>> ntdll.NtClose(port)
0
"""

from __future__ import annotations

from .flat.constants import (
    GENERIC_ALL,
    GENERIC_EXECUTE,
    GENERIC_READ,
    GENERIC_WRITE,
    INVALID_HANDLE_VALUE,
    IO_COMPLETION_ALL_ACCESS,
    IO_COMPLETION_MODIFY_STATE,
    IO_COMPLETION_QUERY_STATE,
    NULL,
    OBJ_CASE_INSENSITIVE,
    OBJ_OPENIF,
    SYNCHRONIZE,
    FileCompletionInformation,
    FileIoCompletionNotificationInformation,
    FileReplaceCompletionInformation,
    IoCompletionBasicInformation,
    MemoryReserveObjectTypeIoCompletion,
    MemoryReserveObjectTypeUserApc,
)
from .flat.ntfiles import (
    ApcRoutine,
    Cancelled,
    InformationQueried,
    InformationSet,
    NtCancelIoFile,
    NtCancelIoFileEx,
    NtQueryInformationFile,
    NtReadFile,
    NtSetInformationFile,
    NtWriteFile,
    Transferring,
)
from .flat.ntports import (
    FILE_IO_COMPLETION_INFORMATION,
    AllocatedReserve,
    Associated,
    CreatedWaitPacket,
    Depth,
    NtAllocateReserveObject,
    NtAssociateWaitCompletionPacket,
    NtCancelWaitCompletionPacket,
    NtClose,
    NtCreateIoCompletion,
    NtCreateWaitCompletionPacket,
    NtOpenIoCompletion,
    NtQueryIoCompletion,
    NtRemoveIoCompletion,
    NtRemoveIoCompletionEx,
    NtSetIoCompletion,
    NtSetIoCompletionEx,
    OpenedPort,
    Removed,
    RemovedBatch,
    RtlNtStatusToDosError,
)
from .flat.support import (
    IO_STATUS_BLOCK,
    PRESENT,
    UNTOUCHED,
)

__all__ = [
    "OBJ_CASE_INSENSITIVE",
    "OBJ_OPENIF",
    "IoCompletionBasicInformation",
    "MemoryReserveObjectTypeUserApc",
    "MemoryReserveObjectTypeIoCompletion",
    "FileCompletionInformation",
    "FileIoCompletionNotificationInformation",
    "FileReplaceCompletionInformation",
    "GENERIC_ALL",
    "GENERIC_EXECUTE",
    "GENERIC_READ",
    "GENERIC_WRITE",
    "INVALID_HANDLE_VALUE",
    "IO_COMPLETION_ALL_ACCESS",
    "IO_COMPLETION_MODIFY_STATE",
    "IO_COMPLETION_QUERY_STATE",
    "NULL",
    "SYNCHRONIZE",
    "Transferring",
    "InformationSet",
    "InformationQueried",
    "Cancelled",
    "NtReadFile",
    "NtWriteFile",
    "NtCancelIoFile",
    "NtCancelIoFileEx",
    "NtSetInformationFile",
    "NtQueryInformationFile",
    "ApcRoutine",
    "OpenedPort",
    "Depth",
    "Removed",
    "FILE_IO_COMPLETION_INFORMATION",
    "RemovedBatch",
    "AllocatedReserve",
    "CreatedWaitPacket",
    "Associated",
    "NtCreateIoCompletion",
    "NtOpenIoCompletion",
    "NtClose",
    "NtQueryIoCompletion",
    "NtSetIoCompletion",
    "NtSetIoCompletionEx",
    "NtAllocateReserveObject",
    "NtRemoveIoCompletion",
    "NtRemoveIoCompletionEx",
    "NtCreateWaitCompletionPacket",
    "NtAssociateWaitCompletionPacket",
    "NtCancelWaitCompletionPacket",
    "RtlNtStatusToDosError",
    "IO_STATUS_BLOCK",
    "PRESENT",
    "UNTOUCHED",
]
