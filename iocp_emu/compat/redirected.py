"""`win32process.CreateProcess` with handles of pipes for the child's standard input, output and error.

Theory.  The pipe ends that the child shall have are handed to the host, as descriptors that it inherits; the parent's
ends stay where they are.  What the parent then closes, the child alone still has.

Own rules.  Handing over uses the handles up: their `PyHANDLE`s are empty afterwards, and closing them does nothing.
Only ends of pipes can be handed over, each once; an end that is given for two streams is one descriptor.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from .. import status
from ..kernel.objects import NtError
from ..overlapped.pipe_links import hand_to_host
from ..runtime.ambient import current_system
from .processes import watch
from .pywin32 import pywintypes, win32process
from .pywin32.commandline import split_command_line
from .pywin32.errors import text_of
from .pywin32.handles import PyHANDLE

STREAMS = (("hStdInput", os.O_RDONLY), ("hStdOutput", os.O_WRONLY), ("hStdError", os.O_WRONLY))


class ProcessHANDLE(PyHANDLE):
    """The handle of a child; collects its exit status when it is closed."""

    __slots__ = ("popen",)

    def __init__(self, value: int, popen: subprocess.Popen[bytes]) -> None:
        super().__init__(value)
        self.popen = popen

    def Close(self) -> None:
        """Close the handle; the child goes on if it has not ended."""
        super().Close()
        self.popen.poll()

    close = Close


def CreateProcess(
    appName: str | None,
    commandLine: str | None,
    processAttributes: Any,
    threadAttributes: Any,
    bInheritHandles: Any,
    dwCreationFlags: Any,
    newEnvironment: Mapping[str, str] | None,
    currentDirectory: str | None,
    startupinfo: Any,
    /,
) -> tuple[PyHANDLE, PyHANDLE, int, int]:
    """As pywin32's, and with STARTF_USESTDHANDLES; Blocks until the host has started it.  Raises `error`."""
    if not startupinfo.dwFlags & win32process.STARTF_USESTDHANDLES:
        return win32process.CreateProcess(
            *(appName, commandLine, processAttributes, threadAttributes, bInheritHandles, dwCreationFlags),
            *(newEnvironment, currentDirectory, startupinfo),
        )
    system = current_system()
    words = split_command_line(commandLine or "")
    with contextlib.ExitStack() as opened:
        descriptors: dict[int, int] = {}
        for name, flags in STREAMS:
            handle = getattr(startupinfo, name)
            if int(handle) and int(handle) not in descriptors:
                try:
                    descriptors[int(handle)] = hand_to_host(system, int(handle), flags)
                except NtError as refusal:
                    raise _error(status.status_to_error(refusal.status)) from None
                opened.callback(os.close, descriptors[int(handle)])
        streams = [descriptors.get(int(getattr(startupinfo, name)), subprocess.DEVNULL) for name, _ in STREAMS]
        for name, _ in STREAMS:
            handle = getattr(startupinfo, name)
            if isinstance(handle, PyHANDLE):
                handle.Detach()
        try:
            popen = subprocess.Popen(
                words,
                executable=appName,
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                env=None if newEnvironment is None else dict(newEnvironment),
                cwd=currentDirectory,
            )
        except OSError as failure:
            raise _error(status.status_to_error(status.errno_to_status(failure.errno or 0))) from None
    handle = watch(system, popen).Detach()
    return ProcessHANDLE(handle, popen), PyHANDLE(0), popen.pid, 0


def _error(code: int) -> Exception:
    return pywintypes.error(code, "CreateProcess", text_of(code))
