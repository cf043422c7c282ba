"""How one process looks at the ports of another: a socket that answers whoever of the same user knocks.

Theory.  A process that allows it listens on a Unix socket in a directory that only its user can enter, served by a
thread of its own, so that it answers while every other thread is parked.  Who connects is sent one JSON document, and
that is all: nothing is read from the visitor, so nothing it does can steer the process.

Rules of this file: none of semantics.md.

Own rules.  Without `allow_inspection()`, or `IOCP_EMU_INSPECT` in the environment, nothing listens.  Who does not take
its answer is cut off after a while.  Answers of others are data, of a limited size, and checked.  After a fork the
child is not looked at until it allows it itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import warnings
from collections.abc import Iterator
from time import monotonic

from ..overlapped.pipe_registry import HAS_UNIX_SOCKETS, Endpoint, Registry, default_directory
from .pictures import ProcessPicture, from_document, picture, to_document

VARIABLE = "IOCP_EMU_INSPECT"
"""Environment variable: with any text but "0" and "", a process allows inspection as soon as it imports iocp_emu."""

ANSWER_SECONDS = 5.0
LARGEST_ANSWER_BYTES = 16 << 20
PIECE_BYTES = 1 << 16


class NotInspectable(LookupError):
    """A process cannot be looked at; the message says why and what to do."""


_allowing = threading.Lock()
_door: Endpoint | None = None


def allow_inspection() -> None:
    """Let other processes of this user look at the ports of this one, with `iocp-emu ps`, until it ends.

    Starts a daemon thread; doing it again does nothing.  `OSError` when the user's directory cannot be used,
    `NotImplementedError` on hosts without Unix sockets.  Does not block.
    """
    global _door
    if not HAS_UNIX_SOCKETS:
        raise NotImplementedError("this host has no Unix sockets, by which processes could look at each other")
    with _allowing:
        if _door is not None and _door.descriptor >= 0:
            return
        _door = _registry().claim(str(os.getpid()))
        threading.Thread(target=_serve, args=[_door], name="iocp_emu inspection", daemon=True).start()


def allow_if_asked() -> None:
    """`allow_inspection()` because the environment says so; what is in the way is a warning."""
    try:
        allow_inspection()
    except (OSError, NotImplementedError) as error:
        warnings.warn(f"{VARIABLE} is set, but this process cannot be inspected: {error}", RuntimeWarning, stacklevel=2)


def inspect_process(pid: int) -> ProcessPicture:
    """The ports of the process `pid`, which may be this one.  Blocks for its answer, 5 s at most.

    `NotInspectable` when there is no such process, or it does not allow it, or answers nonsense.
    """
    if pid == os.getpid():
        return picture()
    if not HAS_UNIX_SOCKETS:
        raise NotInspectable("this host has no Unix sockets, by which processes could look at each other")
    try:
        connection = _registry().dial(str(pid), ANSWER_SECONDS)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotInspectable(_why_not(pid)) from None
    except OSError as error:
        raise NotInspectable(f"process {pid} cannot be asked: {error}") from error
    with connection:
        return _answer_of(connection, f"process {pid}")


def inspect_all() -> list[ProcessPicture]:
    """The ports of every process of this user that allows it, by pid.  Blocks for their answers.

    A process that does not answer, or not sensibly, is left out.
    """
    found: list[ProcessPicture] = []
    if HAS_UNIX_SOCKETS:
        for connection in _registry().dial_all(ANSWER_SECONDS):
            with connection, contextlib.suppress(NotInspectable):
                found.append(_answer_of(connection, "a process"))
    return sorted(found, key=lambda each: each.pid)


def _registry() -> Registry:
    """A directory of its own beside that of the pipes, so that no name of one is a name of the other."""
    return Registry(f"{default_directory()}-ps")


def _why_not(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return f"there is no process {pid}"
    except PermissionError:
        return f"process {pid} belongs to another user"
    return (
        f"process {pid} does not allow inspection: start it with {VARIABLE}=1, "
        "or let it call iocp_emu.allow_inspection()"
    )


def _answer_of(connection: socket.socket, who: str) -> ProcessPicture:
    deadline = monotonic() + ANSWER_SECONDS
    pieces: list[bytes] = []
    try:
        while piece := connection.recv(PIECE_BYTES):
            pieces.append(piece)
            if len(pieces) * PIECE_BYTES > LARGEST_ANSWER_BYTES or monotonic() > deadline:
                raise NotInspectable(f"{who} answers too much or too slowly")
            connection.settimeout(ANSWER_SECONDS)
        return from_document(json.loads(b"".join(pieces)))
    except (ValueError, RecursionError) as error:
        raise NotInspectable(f"{who} answers nonsense: {error}") from error
    except OSError as error:
        raise NotInspectable(f"{who} does not answer: {error}") from error


# -- the side that is looked at ------------------------------------------------------------------------------------


def _serve(door: Endpoint) -> None:
    """Answer one visitor after another, until the door is closed."""
    for visitor in _visitors(door):
        with visitor, contextlib.suppress(OSError):
            visitor.settimeout(ANSWER_SECONDS)
            visitor.sendall(json.dumps(to_document(picture())).encode())


def _visitors(door: Endpoint) -> Iterator[socket.socket]:
    while door.descriptor >= 0:
        try:
            select.select([door.descriptor], [], [])
            yield door.accept()
        except (BlockingIOError, ConnectionError):
            continue
        except (OSError, ValueError):
            return
