"""Where processes of one user find each other's pipes: a directory with a socket for each name that is served.

Theory.  A name is served by at most one process at a time, which listens on a Unix socket called by a hash of the name,
so that any name fits.  Names are claimed under an exclusive lock of the directory.  The socket of a process that has
died, however it died, refuses connections: who claims the name next removes it.  That nobody mistakes a living socket
for a dead one is why it is bound and made to listen under the lock, and removed before it is closed.

The directory belongs to the user, who alone may enter: `IOCP_EMU_PIPE_DIR`, else `iocp_emu` in `XDG_RUNTIME_DIR`, else
`iocp_emu-UID` among the temporary files.  It is never used if it is a link, somebody else's, or open to others.  Who
comes in all the same is asked for the user it runs as, where the host can tell.

Rules of this file: none of semantics.md; what is seen of it is `pipe_names`'s.

Own rules.  Nothing here waits for another process but `dial`, and a claim for one that is made at the same moment.
Whoever cannot use the directory has no pipes between processes, and says so once if the directory is unsafe; pipes
within the process never depend on it.  On hosts without Unix sockets there are no pipes between processes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import socket
import stat
import struct
import warnings
from collections.abc import Generator, Iterator
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    import fcntl
else:
    try:
        import fcntl
    except ImportError:  # a host without Unix sockets does not have it either
        fcntl = None

DIRECTORY_VARIABLE = "IOCP_EMU_PIPE_DIR"
"""Environment variable: the directory to use.  Processes meet that use the same one."""

LONGEST_PATH = 100
"""Bytes of a socket's path that every host takes."""
HASH_DIGITS = 32
OUR_NAMES = re.compile(f"[0-9a-f]{{{HASH_DIGITS}}}")
BACKLOG = 128
SWEPT_AT_ONCE = 16
CLAIM_SECONDS = 1.0
CLAIM_PAUSE_SECONDS = 0.0005

_CREDENTIALS = struct.Struct("3i")
HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX") and fcntl is not None and hasattr(os, "geteuid")


class UnsafeDirectory(OSError):
    """The directory is not the user's alone."""


class Stranger(ConnectionError):
    """The other process runs as another user."""


class NameTaken(OSError):
    """Another process serves the name."""


class Inherited(Protocol):
    """Something with descriptors that a forked child must not keep.  Compared and hashed by identity."""

    def abandon(self) -> None:
        """In the child: close the copies, and nothing else."""


_inherited: WeakSet[Inherited] = WeakSet()


def give_up_in_child(resource: Inherited) -> None:
    """After a fork the child calls `resource.abandon()`; as long as the resource lives."""
    _inherited.add(resource)


def _after_fork_in_child() -> None:
    for resource in list(_inherited):
        resource.abandon()
    _inherited.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


class Registry:
    """The directory at `path`; None: the one that all processes of the user have.  Thread-safe."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._has_warned = False
        self._has_swept = False

    def directory(self) -> str:
        """The directory, made if need be, and checked.  `OSError`; `UnsafeDirectory`, with a warning the first time."""
        path = self._path or default_directory()
        if not fits(path):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        about = os.lstat(path)
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"no pipes between processes: {path} must be a directory of this user, mode 0700",
                    RuntimeWarning,
                    stacklevel=2,
                )
            raise UnsafeDirectory(errno.EPERM, os.strerror(errno.EPERM), path)
        return path

    def claim(self, name: str) -> Endpoint:
        """Serve `name` from now on; also instead of a process that has died.

        `NameTaken` when a living process serves it; `OSError` when the directory cannot be used.  Waits for nobody but
        whoever claims at this moment.
        """
        directory = self.directory()
        path = os.path.join(directory, file_name(name))
        with _alone_in(directory), socket.socket(socket.AF_UNIX) as listener:
            if not self._has_swept:
                self._has_swept = True
                _sweep(directory)
            try:
                listener.bind(path)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                if not remove_if_dead(path):
                    raise NameTaken(errno.EBUSY, os.strerror(errno.EBUSY), path) from None
                listener.bind(path)
            try:
                listener.listen(BACKLOG)
                listener.setblocking(False)
            except BaseException:
                os.unlink(path)
                raise
            return Endpoint(path, listener.detach())

    def dial(self, name: str, timeout: float) -> socket.socket:
        """A connection to the process that serves `name`, still without a word.  Waits for `timeout` seconds at most.

        `OSError`: `FileNotFoundError` and `ConnectionRefusedError` when nobody does, `TimeoutError` or
        `BlockingIOError` when it is too busy, `Stranger`, `UnsafeDirectory`.
        """
        return _connect(os.path.join(self.directory(), file_name(name)), timeout)

    def dial_all(self, timeout: float) -> Iterator[socket.socket]:
        """A connection to each process that serves a name and can be reached; `timeout` is for each.

        `OSError` when the directory cannot be used.
        """
        directory = self.directory()
        for name in sorted(name for name in os.listdir(directory) if OUR_NAMES.fullmatch(name)):
            with contextlib.suppress(OSError):
                yield _connect(os.path.join(directory, name), timeout)


def _connect(path: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(path)
        peer_process(connection)
        return connection
    except BaseException:
        connection.close()
        raise


class Endpoint:
    """A name that this process serves, and the descriptor that listens.  Closing it frees the name."""

    __slots__ = ("__weakref__", "_path", "descriptor")

    def __init__(self, path: str, descriptor: int) -> None:
        self._path = path
        self.descriptor = descriptor
        give_up_in_child(self)

    def accept(self) -> socket.socket:
        """Let the next process in; it does not block.  `BlockingIOError` when nobody is there; `Stranger`."""
        with socket.socket(fileno=os.dup(self.descriptor)) as listener:
            listener.setblocking(False)
            connection, _ = listener.accept()
        try:
            connection.setblocking(False)
            peer_process(connection)
            return connection
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Serve no more; the file is removed.  Closing again does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            # In this order: while it listens, nobody else may have the name.
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(descriptor)

    def abandon(self) -> None:
        """In a forked child: the name is the parent's."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        # The whole system was forgotten with the pipe open.
        self.close()


def default_directory() -> str:
    """Where the processes of this user meet."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    if chosen:
        return chosen
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        path = os.path.join(runtime, "iocp_emu")
        if fits(path):
            return path
    import tempfile

    return os.path.join(tempfile.gettempdir(), f"iocp_emu-{os.geteuid()}")


def fits(directory: str) -> bool:
    """Whether the sockets in it have paths that every host takes."""
    return len(os.fsencode(directory)) + 1 + HASH_DIGITS <= LONGEST_PATH


def file_name(name: str) -> str:
    """What the socket of a pipe is called; `name` as `pipe_names.name_in` gives it."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


def peer_process(connection: socket.socket) -> int | None:
    """The process at the other side, None where the host cannot tell.  `Stranger` if it runs as another user."""
    option: int | None = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    process_id, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    if user != os.geteuid():
        raise Stranger(errno.EPERM, os.strerror(errno.EPERM))
    return process_id or None


def remove_if_dead(path: str) -> bool:
    """Remove the socket of a process that has died; whether nothing is left there.  Only for who is alone."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            # No file of ours: to connect to it would be refused as well.
            return False
    except FileNotFoundError:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            return False
        else:
            return False
    return True


def _sweep(directory: str) -> None:
    """Remove some of what dead processes have left; who comes later removes some more."""
    names = sorted(name for name in os.listdir(directory) if OUR_NAMES.fullmatch(name))
    start = os.getpid() % max(1, len(names))
    for name in (names[start:] + names[:start])[:SWEPT_AT_ONCE]:
        with contextlib.suppress(OSError):
            remove_if_dead(os.path.join(directory, name))


@contextlib.contextmanager
def _alone_in(directory: str) -> Generator[None]:
    """Keep other processes and threads from claiming names; `NameTaken` if somebody does it for too long."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        deadline = monotonic() + CLAIM_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise NameTaken(errno.EBUSY, os.strerror(errno.EBUSY), directory) from None
                sleep(CLAIM_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)
