"""Other people's Windows code, unmodified: the guest loader, and the modules that such code imports.

Theory.  A shim translates names and shapes; what happens is decided by the kernel and the I/O wing.  Code becomes a
*guest*: it runs from its own files, with unchanged code objects, but with its own `import` (`guests`).  So it finds
`_overlapped`, `msvcrt` and a `sys.platform` of 'win32', and the rest of the program does not.

    guests              the guest loader
    views               modules that differ in some names from the host's: sys, os, errno, signal, socket, tempfile
    processes           `subprocess` with Windows' names, and children whose handles can be waited on
    hooks               what Winsock does at methods of `socket.socket`
    asyncio             the standard library's proactor event loop, on
    overlapped_module   `_overlapped`
    winapi_module       `_winapi`
    msvcrt_module       `msvcrt`
    pytest_proactor     the pytest option `--proactor`
    pywin32             the modules of pywin32
    twisted             Twisted's IOCP reactor, on
    iocpsupport_module  `twisted_iocpsupport.iocpsupport`
    redirected          pywin32's `CreateProcess` with pipes for the child's streams
    trio                trio's Windows backend, on
    ffi_module          cffi that finds Windows' libraries
    ffi_libraries       kernel32, ntdll and ws2_32 for cffi

Own rule.  Nothing is put into `sys.modules` under a name by which other code tells Windows from other systems:
`msvcrt` and `_winapi` are found by guests alone.
"""

from __future__ import annotations

from .guests import ABSENT, Guests, ModuleView, guest, run_guest

__all__ = ["ABSENT", "Guests", "ModuleView", "guest", "run_guest"]
