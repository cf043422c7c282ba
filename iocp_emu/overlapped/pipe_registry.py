"""Where processes of one user find each other's pipes: a directory with a socket for each name that is served.

Theory.  A name is served by at most one process at a time.  Whoever serves it holds an exclusive lock on a file, and
listens on a Unix socket beside it; both are called by a hash of the name, so that any name fits.  The host gives the
lock back when a process dies, however it dies: who gets the lock next removes what the dead one has left.  The file of
the lock is removed under the lock, and whoever gets a lock looks whether the file is still the one of that name.

The directory belongs to the user, who alone may enter: `IOCP_EMU_PIPE_DIR`, else `iocp_emu` in `XDG_RUNTIME_DIR`, else
`iocp_emu-UID` among the temporary files.  It is never used if it is a link, somebody else's, or open to others.  Who
comes in all the same is asked for the user it runs as, where the host can tell.

Rules of this file: none of semantics.md; what is seen of it is `pipe_names`'s.

Own rules.  Nothing here waits for another process but `dial`.  Whoever cannot use the directory has no pipes between
processes, and says so once if the directory is unsafe; pipes within the process never depend on it.  On hosts without
Unix sockets there are no pipes between processes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
import stat
import struct
import tempfile
import warnings
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
BACKLOG = 128

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

    def directory(self) -> str:
        """The directory, made if need be, and checked.  `OSError`; `UnsafeDirectory` with a warning at the first time."""
        path = self._path or default_directory()
        if len(os.fsencode(path)) + HASH_DIGITS + 1 > LONGEST_PATH:
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

        `NameTaken` when a living process serves it; `OSError` when the directory cannot be used.  Does not wait.
        """
        path = os.path.join(self.directory(), file_name(name))
        lock_path = f"{path}.lock"
        lock = _lock(lock_path)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
                try:
                    listener.listen(BACKLOG)
                    listener.setblocking(False)
                    return Endpoint(path, lock_path, lock, listener.detach())
                except BaseException:
                    os.unlink(path)
                    raise
        except BaseException:
            _unlock(lock_path, lock)
            raise

    def dial(self, name: str, timeout: float) -> socket.socket:
        """A connection to the process that serves `name`, still without a word.  Waits for `timeout` seconds at most.

        `OSError`: `FileNotFoundError` and `ConnectionRefusedError` when nobody does, `TimeoutError` when it is too busy,
        `Stranger`, `UnsafeDirectory`.
        """
        path = os.path.join(self.directory(), file_name(name))
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
    """A name that this process serves: its lock, and the descriptor that listens.  Closing it frees the name."""

    __slots__ = ("__weakref__", "_lock", "_lock_path", "_owner", "_path", "descriptor")

    def __init__(self, path: str, lock_path: str, lock: int, descriptor: int) -> None:
        self._path = path
        self._lock_path = lock_path
        self._lock = lock
        self._owner = os.getpid()
        self.descriptor = descriptor
        give_up_in_child(self)

    def accept(self) -> socket.socket:
        """Let the next process in; it does not block.  `BlockingIOError` when nobody is there; `Stranger`."""
        with socket.socket(fileno=os.dup(self.descriptor)) as listener:
            connection, _ = listener.accept()
        try:
            connection.setblocking(False)
            peer_process(connection)
            return connection
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Serve no more; the files are removed.  Closing again does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        os.close(descriptor)
        _unlock(self._lock_path, self._lock)

    def abandon(self) -> None:
        """In a forked child: the name is the parent's."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            os.close(self._lock)

    def __del__(self) -> None:
        # The whole system was forgotten with the pipe open.
        self.close()


def default_directory() -> str:
    """Where the processes of this user meet."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    if chosen:
        return chosen
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(os.fsencode(runtime)) + HASH_DIGITS + len("//iocp_emu") <= LONGEST_PATH and os.path.isdir(runtime):
        return os.path.join(runtime, "iocp_emu")
    return os.path.join(tempfile.gettempdir(), f"iocp_emu-{os.geteuid()}")


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


def _lock(path: str) -> int:
    """The descriptor of the locked file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(descriptor, path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise NameTaken(errno.EBUSY, os.strerror(errno.EBUSY), path) from None
        except BaseException:
            os.close(descriptor)
            raise
        # Who had it before has removed the file after we had opened it.
        os.close(descriptor)


def _is_same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _unlock(path: str, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
    os.close(descriptor)
