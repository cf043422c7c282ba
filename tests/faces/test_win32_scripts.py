"""Scripts in the form of the conformance vectors, for shapes that the public ones leave out.

Each is replayed on the adapter as a vector is, so these tests cover the faces and the adapter at once: concurrency
values seen by spinning threads, named ports, access rights, jobs that end in every way, NT writes.  What is expected
comes from the catalogue, whose rule ids are in the ids of the scripts.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.replay import Outcome, load_adapter, replay

Step = dict[str, Any]

INVALID = "INVALID_HANDLE_VALUE"
UNTOUCHED_PACKET = {
    "lpNumberOfBytesTransferred": "untouched",
    "lpCompletionKey": "untouched",
    "lpOverlapped": None,
}
RW = "GENERIC_READ|GENERIC_WRITE"
SHARED = "FILE_SHARE_READ|FILE_SHARE_WRITE"


def step(
    call: str,
    args: dict[str, Any],
    ret: Any = None,
    error: str | None = None,
    outputs: dict[str, Any] | None = None,
    **extra: Any,
) -> Step:
    """One step of a script; `extra` holds `as_`, `thread`, `mode`, `volatile`, `group`."""
    if "as_" in extra:
        extra["as"] = extra.pop("as_")
    return {"call": call, "args": args, "result": {"ret": ret, "error": error, "outputs": outputs or {}}, **extra}


def create_port(name: str = "port", concurrency: int = 0) -> Step:
    """A new port."""
    args = {
        "FileHandle": INVALID,
        "ExistingCompletionPort": None,
        "CompletionKey": 0,
        "NumberOfConcurrentThreads": concurrency,
    }
    return step("CreateIoCompletionPort", args, f"${name}", as_=name)


def associate(file: str, port: str, key: int, ret: str | None = None, error: str | None = None) -> Step:
    """A file to a port."""
    args = {
        "FileHandle": f"${file}",
        "ExistingCompletionPort": f"${port}",
        "CompletionKey": key,
        "NumberOfConcurrentThreads": 0,
    }
    return step("CreateIoCompletionPort", args, ret or f"${port}", error)


def post(key: int, port: str = "port", ret: bool = True, error: str | None = None) -> Step:
    """A packet with that key and as many bytes."""
    args = {
        "CompletionPort": f"${port}",
        "dwNumberOfBytesTransferred": key,
        "dwCompletionKey": key,
        "lpOverlapped": None,
    }
    return step("PostQueuedCompletionStatus", args, ret, error)


def dequeue(
    count: int, key: int, overlapped: Any = None, timeout: int = 5000, port: str = "port", **extra: Any
) -> Step:
    """A successful removal."""
    outputs = {"lpNumberOfBytesTransferred": count, "lpCompletionKey": key, "lpOverlapped": overlapped}
    args = {"CompletionPort": f"${port}", "dwMilliseconds": timeout}
    return step("GetQueuedCompletionStatus", args, True, None, outputs, **extra)


def fails(error: str, port: str = "port", timeout: int = 0, **extra: Any) -> Step:
    """A removal that brings nothing."""
    args = {"CompletionPort": f"${port}", "dwMilliseconds": timeout}
    return step("GetQueuedCompletionStatus", args, False, error, UNTOUCHED_PACKET, **extra)


def start(thread: str, call: str, args: dict[str, Any]) -> Step:
    """A call that is handed over."""
    return step(call, args, "STARTED", thread=thread, mode="start")


def spin(thread: str, spin_ms: int, port: str = "port") -> Step:
    """Take a packet, then compute."""
    args = {"CompletionPort": f"${port}", "dwMilliseconds": "INFINITE", "spin_ms": spin_ms}
    return start(thread, "@gqcs_spin", args)


def wait(thread: str, ret: Any, outputs: dict[str, Any] | None = None, error: str | None = None, **extra: Any) -> Step:
    """The result of a started call."""
    return step("@wait", {"of": thread, "timeout": 5000}, ret, error, outputs, **extra)


def blocked(thread: str) -> Step:
    """It has not returned."""
    return step("@blocked", {"of": thread, "after_ms": 60}, True)


def open_file(
    name: str = "file", flags: str | int = "FILE_FLAG_OVERLAPPED", access: str = RW, **result: Any
) -> list[Step]:
    """A file of ten digits, and an open handle."""
    args = {
        "lpFileName": f"tmp:{name}",
        "dwDesiredAccess": access,
        "dwShareMode": SHARED,
        "dwCreationDisposition": "OPEN_EXISTING",
        "dwFlagsAndAttributes": flags,
    }
    return [
        step("@write_file", {"path": f"tmp:{name}", "content": "0123456789"}),
        step("CreateFileW", args, f"${name}", "ERROR_SUCCESS", as_=name),
    ]


def overlapped(name: str = "ov", **fields: Any) -> Step:
    """An OVERLAPPED."""
    return step("@overlapped", fields, f"${name}", as_=name)


def buffer(content: str = "", size: int = 16) -> Step:
    """A buffer."""
    return step("@buffer", {"size": size, "data": content}, "$buf", as_="buf")


def transfer(
    call: str,
    count: int,
    ov: str | None = "$ov",
    ret: bool = False,
    error: str | None = "ERROR_IO_PENDING",
    moved: int = 0,
    file: str = "file",
) -> Step:
    """ReadFile or WriteFile."""
    what = "Read" if call == "ReadFile" else "Write"
    args = {"hFile": f"${file}", "lpBuffer": "$buf", f"nNumberOfBytesTo{what}": count, "lpOverlapped": ov}
    outputs = {f"lpNumberOfBytes{'Read' if call == 'ReadFile' else 'Written'}": moved}
    return step(call, args, ret, error, outputs)


def create_named(name: str, as_: str, ret: str, handle: str, **extra: Any) -> Step:
    """NtCreateIoCompletion with a name."""
    args = {"DesiredAccess": "IO_COMPLETION_ALL_ACCESS", "Count": 0, "ObjectName": name, **extra}
    return step("NtCreateIoCompletion", args, ret, None, {"IoCompletionHandle": handle}, as_=as_)


def depth(expected: int, port: str = "port") -> Step:
    """How many packets are queued."""
    args = {"IoCompletionHandle": f"${port}", "InformationClass": "IoCompletionBasicInformation"}
    return step("NtQueryIoCompletion", args, "STATUS_SUCCESS", None, {"Depth": expected, "ReturnLength": 4})


def job_with_port() -> list[Step]:
    """A job that tells a port, with key 9."""
    return [
        create_port(),
        step("CreateJobObjectW", {}, "$job", "ERROR_SUCCESS", as_="job"),
        step("SetInformationJobObject", {"hJob": "$job", "CompletionKey": 9, "CompletionPort": "$port"}, True),
    ]


def spawn(name: str, ms: int, code: int, suspended: int = 0) -> Step:
    """A child process."""
    return step("@spawn", {"ms": ms, "code": code, "suspended": suspended}, f"${name}", as_=name)


def assign(process: str, ret: bool = True, error: str | None = None) -> Step:
    """A process to the job."""
    return step("AssignProcessToJobObject", {"hJob": "$job", "hProcess": f"${process}"}, ret, error)


def message(number: int, process: str | None, **extra: Any) -> Step:
    """A job message."""
    return dequeue(number, 9, None if process is None else f"${process}.pid", timeout=20000, **extra)


def threads(call: str, *names: str) -> Step:
    """`@order` or `@dequeued`."""
    return step(call, {"after_ms": 100}, None, None, {"threads": list(names)})


GQCS = "GetQueuedCompletionStatus"
ENDLESS = {"CompletionPort": "$port", "dwMilliseconds": "INFINITE"}
SPIN_MS = 3000

SCRIPTS: dict[str, list[Step]] = {
    "Q-10-Q-13-concurrency-1-lets-one-run": [
        create_port(concurrency=1),
        *(each for name in "AB" for each in (spin(name, SPIN_MS), blocked(name))),
        post(1),
        post(2),
        threads("@dequeued", "B"),
        depth(1),
        wait("B", True, {"lpCompletionKey": 1}),
        wait("A", True, {"lpCompletionKey": 2}),
        threads("@order", "B", "A"),
    ],
    "Q-10-concurrency-2-lets-two-run": [
        create_port(concurrency=2),
        *(each for name in "ABC" for each in (spin(name, SPIN_MS), blocked(name))),
        *(post(key) for key in (1, 2, 3)),
        threads("@dequeued", "B", "C"),
        depth(1),
        wait("C", True),
        wait("B", True),
        wait("A", True, {"lpCompletionKey": 3}),
    ],
    "Q-28-a-thread-that-ends-frees-its-slot": [
        create_port(concurrency=1),
        start("A", GQCS, ENDLESS),
        blocked("A"),
        post(1),
        wait("A", True, {"lpCompletionKey": 1}),
        step("@exit_thread", {"of": "A"}, True),
        post(2),
        dequeue(2, 2, timeout=0),
    ],
    "G-12-an-apc-from-another-thread-ends-an-alertable-removal": [
        create_port(),
        start("A", "GetQueuedCompletionStatusEx", {**ENDLESS, "ulCount": 4, "fAlertable": True}),
        blocked("A"),
        step("QueueUserAPC", {"hThread": "$A", "dwData": 7}, True),
        wait("A", False, {"entries": []}, "WAIT_IO_COMPLETION"),
        step("@apc_log", {"of": "A"}, None, None, {"ran": [7]}),
    ],
    "G-12-an-apc-waits-for-a-thread-that-has-not-called-yet": [
        step("QueueUserAPC", {"hThread": "$A", "dwData": 7}, True),
        step("SleepEx", {"dwMilliseconds": 0, "bAlertable": True}, "WAIT_IO_COMPLETION", thread="A"),
        step("@apc_log", {"of": "A"}, None, None, {"ran": [7]}),
        step("@exit_thread", {"of": "A"}, True),
        step("QueueUserAPC", {"hThread": "$A", "dwData": 8}, False, "ERROR_GEN_FAILURE"),
    ],
    "O-02-named-ports": [
        create_named("Name", "p1", "STATUS_SUCCESS", "$p1"),
        create_named("Name", "p2", "STATUS_OBJECT_NAME_COLLISION", "NULL"),
        create_named("Name", "p3", "STATUS_OBJECT_NAME_EXISTS", "$p3", Attributes="OBJ_OPENIF"),
        create_named("nAME", "p4", "STATUS_OBJECT_NAME_EXISTS", "$p4", Attributes="OBJ_OPENIF|OBJ_CASE_INSENSITIVE"),
        create_named("nAME", "p5", "STATUS_SUCCESS", "$p5", Attributes="OBJ_OPENIF"),
        post(1, "p3"),
        dequeue(1, 1, timeout=0, port="p1"),
        post(2, "p4"),
        dequeue(2, 2, timeout=0, port="p3"),
        fails("WAIT_TIMEOUT", "p5"),
        step(
            "NtOpenIoCompletion",
            {"DesiredAccess": "SYNCHRONIZE", "ObjectName": "Name"},
            "STATUS_SUCCESS",
            None,
            {"IoCompletionHandle": "$p6"},
            as_="p6",
        ),
        post(3, "p6", False, "ERROR_ACCESS_DENIED"),
        step(
            "NtOpenIoCompletion",
            {"DesiredAccess": "SYNCHRONIZE", "ObjectName": None},
            "STATUS_INVALID_PARAMETER",
            None,
            {"IoCompletionHandle": "NULL"},
        ),
    ],
    "O-03-C-10-a-duplicate-with-fewer-rights": [
        create_port(),
        step(
            "DuplicateHandle",
            {"hSourceHandle": "$port", "dwDesiredAccess": "IO_COMPLETION_QUERY_STATE", "dwOptions": 0},
            True,
            None,
            {"lpTargetHandle": "$dup"},
            as_="dup",
        ),
        *open_file(),
        associate("file", "dup", 1, "NULL", "ERROR_ACCESS_DENIED"),
        post(1, "dup", False, "ERROR_ACCESS_DENIED"),
        fails("ERROR_ACCESS_DENIED", "dup"),
        depth(0, "dup"),
        step("WaitForSingleObject", {"hHandle": "$dup", "dwMilliseconds": 0}, "WAIT_FAILED", "ERROR_ACCESS_DENIED"),
        associate("file", "port", 1),
        step(
            "DuplicateHandle",
            {"hSourceHandle": 3735928556, "dwDesiredAccess": 0, "dwOptions": "DUPLICATE_SAME_ACCESS"},
            False,
            "ERROR_INVALID_HANDLE",
            {"lpTargetHandle": "NULL"},
        ),
    ],
    "H-01-closing-what-is-no-open-handle": [
        step("CloseHandle", {"hObject": None}, False, "ERROR_INVALID_HANDLE"),
        step("CloseHandle", {"hObject": 3735928556}, False, "ERROR_INVALID_HANDLE"),
        step("CloseHandle", {"hObject": INVALID}, True),
    ],
    "I-10-an-overlapped-file-needs-an-overlapped": [
        *open_file(),
        buffer(),
        transfer("ReadFile", 4, None, error="ERROR_INVALID_PARAMETER"),
        buffer("abcd"),
        transfer("WriteFile", 4, None, error="ERROR_INVALID_PARAMETER"),
    ],
    "I-02-a-synchronous-file-with-an-overlapped": [
        *open_file(flags=0),
        buffer(),
        overlapped(Offset=7),
        transfer("ReadFile", 8, "$ov", True, None, 3),
        step("@ov", {"overlapped": "$ov"}, None, None, {"Internal": "STATUS_SUCCESS", "InternalHigh": 3}),
        transfer("ReadFile", 8, None, True, None, 0),
        step("@set_offset", {"overlapped": "$ov", "Offset": 50}),
        transfer("ReadFile", 8, "$ov", False, "ERROR_HANDLE_EOF", 0),
        step("@ov", {"overlapped": "$ov"}, None, None, {"Internal": "STATUS_END_OF_FILE", "InternalHigh": 0}),
    ],
    "I-15-a-mode-does-not-skip-what-pended": [
        create_port(),
        *open_file(),
        associate("file", "port", 1),
        step(
            "SetFileCompletionNotificationModes",
            {"FileHandle": "$file", "Flags": "FILE_SKIP_COMPLETION_PORT_ON_SUCCESS"},
            True,
        ),
        buffer(),
        overlapped(),
        transfer("ReadFile", 4),
        dequeue(4, 1, "$ov"),
        step(
            "NtQueryInformationFile",
            {"FileHandle": "$file", "FileInformationClass": "FileIoCompletionNotificationInformation"},
            "STATUS_SUCCESS",
            None,
            {"Status": "STATUS_SUCCESS", "Flags": 1},
        ),
    ],
    "I-30-a-bad-event-is-found-before-anything-happens": [
        create_port(),
        *open_file(),
        associate("file", "port", 1),
        buffer(),
        overlapped(hEvent=3735928556),
        transfer("ReadFile", 4, error="ERROR_INVALID_HANDLE"),
        fails("WAIT_TIMEOUT"),
    ],
    "I-40-nothing-to-cancel-on-a-disk-file": [
        *open_file(),
        overlapped(),
        step("CancelIo", {"hFile": "$file"}, True),
        step("CancelIoEx", {"hFile": "$file", "lpOverlapped": "$ov"}, False, "ERROR_NOT_FOUND"),
        step("CancelIoEx", {"hFile": "$file", "lpOverlapped": None}, False, "ERROR_NOT_FOUND"),
        step("CancelIo", {"hFile": 3735928556}, False, "ERROR_INVALID_HANDLE"),
    ],
    "G-10-a-control-code-that-no-disk-file-has": [
        create_port(),
        *open_file(),
        associate("file", "port", 1),
        overlapped(),
        step(
            "DeviceIoControl",
            {"hDevice": "$file", "dwIoControlCode": "FSCTL_PIPE_LISTEN", "lpOverlapped": "$ov"},
            False,
            "ERROR_INVALID_FUNCTION",
        ),
        fails("WAIT_TIMEOUT"),
    ],
    "C-14-the-association-replaced-and-removed": [
        create_port("p"),
        create_port("q"),
        *open_file(),
        associate("file", "p", 1),
        *(
            step(
                "NtSetInformationFile",
                {"FileHandle": "$file", "FileInformationClass": "FileReplaceCompletionInformation", **what},
                "STATUS_SUCCESS",
                None,
                {"Status": "STATUS_SUCCESS"},
            )
            for what in ({"Port": "$q", "Key": 2}, {"Port": None, "Key": 0})
        ),
        associate("file", "q", 3),
        buffer(),
        overlapped(),
        transfer("ReadFile", 4),
        dequeue(4, 3, "$ov", port="q"),
    ],
    "I-09-nt-writes-with-and-without-a-context": [
        create_port(),
        *open_file(),
        associate("file", "port", 1),
        buffer("abcd"),
        *(
            step(
                "NtWriteFile",
                {
                    "FileHandle": "$file",
                    "Event": None,
                    "ApcRoutine": None,
                    "ApcContext": context,
                    "Buffer": "$buf",
                    "Length": 4,
                    "ByteOffset": offset,
                },
                "STATUS_PENDING",
                as_=name,
            )
            for name, context, offset in (("io1", None, 2), ("io2", 77, -1))
        ),
        dequeue(4, 1, 77),
        step("@iosb", {"iosb": "$io1"}, None, None, {"Status": "STATUS_SUCCESS", "Information": 4}),
        fails("WAIT_TIMEOUT"),
        step("@read_file", {"path": "tmp:file"}, None, None, {"data": "01abcd6789abcd"}),
    ],
    "I-29-results-by-hand": [
        overlapped(Internal="STATUS_PENDING", InternalHigh=7),
        *(
            step(
                "GetOverlappedResultEx",
                {"hFile": None, "lpOverlapped": "$ov", "dwMilliseconds": timeout, "bAlertable": False},
                False,
                error,
                {"lpNumberOfBytesTransferred": "untouched"},
            )
            for timeout, error in ((0, "ERROR_IO_INCOMPLETE"), (10, "ERROR_INVALID_HANDLE"))
        ),
        step("HasOverlappedIoCompleted", {"lpOverlapped": "$ov"}, False),
        step("CreateEventW", {"bManualReset": True, "bInitialState": False}, "$ev", as_="ev"),
        overlapped("slow", Internal="STATUS_PENDING", InternalHigh=7, hEvent="$ev"),
        start(
            "A",
            "GetOverlappedResultEx",
            {"hFile": None, "lpOverlapped": "$slow", "dwMilliseconds": "INFINITE", "bAlertable": True},
        ),
        blocked("A"),
        step("QueueUserAPC", {"hThread": "$A", "dwData": 1}, True),
        wait("A", False, {"lpNumberOfBytesTransferred": "untouched"}, "WAIT_IO_COMPLETION"),
        step("SetEvent", {"hEvent": "$ev"}, True),
        step("WaitForSingleObject", {"hHandle": "$ev", "dwMilliseconds": 0}, "WAIT_OBJECT_0"),
        step("ResetEvent", {"hEvent": "$ev"}, True),
        step("WaitForSingleObject", {"hHandle": "$ev", "dwMilliseconds": 0}, "WAIT_TIMEOUT"),
        step("SetEvent", {"hEvent": 3735928556}, False, "ERROR_INVALID_HANDLE"),
    ],
    "X-04-a-job-is-terminated": [
        *job_with_port(),
        spawn("one", 60000, 0),
        spawn("two", 60000, 0),
        assign("one"),
        assign("two"),
        message(6, "one"),
        message(6, "two"),
        step("TerminateJobObject", {"hJob": "$job", "uExitCode": 3}, True),
        message(7, "one", group="ends"),
        message(7, "two", group="ends"),
        message(4, None),
        fails("WAIT_TIMEOUT"),
        assign("one", False, "ERROR_ACCESS_DENIED"),
        step("TerminateProcess", {"hProcess": "$one", "uExitCode": 0}, False, "ERROR_ACCESS_DENIED"),
    ],
    "X-04-a-suspended-process-runs-when-resumed": [
        *job_with_port(),
        spawn("p", 0, 0xC0000005, suspended=1),
        assign("p"),
        message(6, "p"),
        step("@sleep", {"ms": 100}),
        fails("WAIT_TIMEOUT"),
        step("ResumeThread", {"hThread": "$p.thread"}, 1),
        message(8, "p"),
        message(4, None),
        step("WaitForSingleObject", {"hHandle": "$p", "dwMilliseconds": 0}, "WAIT_OBJECT_0"),
        step("GetExitCodeProcess", {"hProcess": "$p"}, True, None, {"lpExitCode": 0xC0000005}),
    ],
    "X-04-a-process-ends-by-itself": [
        *job_with_port(),
        spawn("p", 1500, 4321),
        assign("p"),
        message(6, "p"),
        message(7, "p"),
        message(4, None),
        step("GetExitCodeProcess", {"hProcess": "$p"}, True, None, {"lpExitCode": 4321}),
    ],
    "X-04-one-port-per-job-and-none-at-last": [
        *job_with_port(),
        step(
            "SetInformationJobObject",
            {"hJob": "$job", "CompletionKey": 9, "CompletionPort": "$port"},
            False,
            "ERROR_INVALID_PARAMETER",
        ),
        step("SetInformationJobObject", {"hJob": "$job", "CompletionKey": 0, "CompletionPort": None}, True),
        spawn("p", 60000, 0),
        assign("p"),
        fails("WAIT_TIMEOUT"),
        step(
            "SetInformationJobObject",
            {"hJob": "$job", "CompletionKey": 9, "CompletionPort": "$job"},
            False,
            "ERROR_INVALID_HANDLE",
        ),
        step("TerminateProcess", {"hProcess": "$p", "uExitCode": 0}, True),
    ],
    "Q-08-a-suspended-waiter-comes-back-on-top": [
        create_port(),
        start("A", GQCS, ENDLESS),
        blocked("A"),
        start("B", GQCS, ENDLESS),
        blocked("B"),
        step("SuspendThread", {"hThread": "$A"}, 0),
        step("ResumeThread", {"hThread": "$A"}, 1),
        post(1),
        wait("A", True, {"lpCompletionKey": 1}),
        post(2),
        wait("B", True, {"lpCompletionKey": 2}),
    ],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str) -> None:
    """The product does every step of the script as the catalogue says."""
    vector = {"id": name, "category": "script", "judge": True, "steps": SCRIPTS[name]}
    verdict = replay(vector, load_adapter())
    assert verdict.outcome is Outcome.PASSED, verdict.report()
    assert not verdict.left_blocked
