"""What guests need to happen beside their own calls: at methods of `socket.socket`, and in the background.

Theory.  A Windows program calls methods of real socket objects between its overlapped operations.  Some of them mean
something else on Windows, and are wrapped in the class, for every socket of the process, as long as somebody wants it:

    close         operations under way end with 995, and the number is free for another socket
    send...       what was sent overlapped, and has not gone out, comes first
    recv..., listen, accept, connect, and sends that would wait: what WSAEventSelect asked for can be told again
    setsockopt    the two SO_UPDATE_*_CONTEXT options exist, and have nothing to do here
    shutdown      happens after what was sent overlapped has gone out; no error once the peer has reset the connection,
                  nor on a datagram socket without a peer

Sockets that the emulator has never seen behave as ever, but for the two options and those datagram sockets.

The threads of the reactor and of the alarm clock run as long as the hooks are in place, so that programs which count
their threads before and after some work do not find them among their own.

Own rules.  Users are counted: with the last one the class is as it was before, and the threads end.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import threading
from collections.abc import Callable
from math import inf
from typing import Any

from .. import status
from ..errors import win32_error
from ..kernel.objects import NtError
from ..overlapped import network_events
from ..overlapped.reactor import EVENT_READ, REACTOR
from ..overlapped.sockets import drain, shutdown_after_sends, socket_closed
from ..runtime.ambient import current_system
from ..runtime.timers import CLOCK
from .closing import is_inside_verb

SO_UPDATE_ACCEPT_CONTEXT = 0x700B
SO_UPDATE_CONNECT_CONTEXT = 0x7010
SHUTDOWNS = (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR)
_CONTEXT_OPTIONS = frozenset({SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT})


def _close_hook(host: Callable[..., None]) -> Callable[..., None]:
    def _real_close(self: socket.socket, *args: Any) -> None:
        number = self.fileno()
        # A finalizer inside a verb cannot tell; then the close is noticed when the number is next used.
        if number >= 0 and not is_inside_verb():
            socket_closed(current_system(), number)
        host(self, *args)

    return _real_close


def _setsockopt_hook(host: Callable[..., None]) -> Callable[..., None]:
    def setsockopt(self: socket.socket, *args: Any) -> None:
        if args[:1] == (socket.SOL_SOCKET,) and args[1:2] and args[1] in _CONTEXT_OPTIONS:
            return
        host(self, *args)

    return setsockopt


def _shutdown_hook(host: Callable[..., None]) -> Callable[..., None]:
    def shutdown(self: socket.socket, how: int) -> None:
        number = self.fileno()
        try:
            is_done = how in SHUTDOWNS and number >= 0 and shutdown_after_sends(current_system(), number, how)
        except NtError as error:
            raise win32_error(status.winsock_error(error.status)) from None
        if is_done:
            return
        try:
            host(self, how)
        except OSError as error:
            if error.errno != errno.ENOTCONN or self.type != socket.SOCK_DGRAM:
                raise

    return shutdown


def _send_hook(host: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(host)
    def send(self: socket.socket, *args: Any) -> Any:
        number = self.fileno()
        if number >= 0:
            timeout = self.gettimeout()
            if not drain(current_system(), number, timeout):
                raise TimeoutError("timed out") if timeout else BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        try:
            return host(self, *args)
        except BlockingIOError:
            _tried(self, is_incoming=False, has_to_wait=True)
            raise

    return send


def _tried(sock: socket.socket, *, is_incoming: bool, has_to_wait: bool) -> None:
    """The program has called a method that may enable network events again."""
    if network_events.is_anything_selected() and not is_inside_verb():
        network_events.tried(current_system(), sock.fileno(), is_incoming=is_incoming, has_to_wait=has_to_wait)


def _receive_hook(host: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(host)
    def receive(self: socket.socket, *args: Any, **keywords: Any) -> Any:
        try:
            return host(self, *args, **keywords)
        finally:
            _tried(self, is_incoming=True, has_to_wait=False)

    return receive


def _listen_hook(host: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(host)
    def listen(self: socket.socket, *args: Any) -> None:
        host(self, *args)
        _tried(self, is_incoming=True, has_to_wait=False)

    return listen


def _accept_hook(host: Callable[..., Any]) -> Callable[..., Any]:
    def _accept(self: socket.socket) -> Any:
        try:
            accepted = host(self)
        finally:
            _tried(self, is_incoming=True, has_to_wait=False)
        if network_events.is_anything_selected() and not is_inside_verb():
            network_events.inherit(current_system(), self.fileno(), accepted[0])
        return accepted

    return _accept


def _connect_hook(host: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(host)
    def connect(self: socket.socket, *args: Any) -> Any:
        try:
            return host(self, *args)
        finally:
            _tried(self, is_incoming=False, has_to_wait=False)

    return connect


_HOOKS: dict[str, Callable[[Callable[..., None]], Callable[..., None]]] = {
    "_real_close": _close_hook,
    "setsockopt": _setsockopt_hook,
    "shutdown": _shutdown_hook,
    **dict.fromkeys(("send", "sendall", "sendmsg", "sendto"), _send_hook),
    **dict.fromkeys(("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into"), _receive_hook),
    "listen": _listen_hook,
    "_accept": _accept_hook,
    **dict.fromkeys(("connect", "connect_ex"), _connect_hook),
}


class _Presence:
    """While it watches a pipe into which nobody writes, and has an alarm that never rings, both threads run."""

    def __init__(self) -> None:
        self._ends = os.pipe()
        REACTOR.watch(self._ends[0], EVENT_READ, self)
        self._alarm = CLOCK.set(inf, lambda: None)

    def system(self) -> None:
        """No machine has to do with this."""

    def on_ready(self, events: int) -> None:
        """Never called."""

    def end(self) -> None:
        """Let the threads go."""
        CLOCK.cancel(self._alarm)
        REACTOR.unwatch(self._ends[0], self)
        for end in self._ends:
            os.close(end)


_lock = threading.Lock()
_users = 0
_before: dict[str, Any] = {}
"""What the class itself had under these names; a name that it inherits is not here."""
_presence: _Presence | None = None


def hook_sockets() -> None:
    """Have the hooks in place from now on; once more for each further user."""
    global _users, _presence
    with _lock:
        _users += 1
        if _users > 1:
            return
        _presence = _Presence()
        for name, hook in _HOOKS.items():
            if not hasattr(socket.socket, name):
                continue
            if name in vars(socket.socket):
                _before[name] = vars(socket.socket)[name]
            setattr(socket.socket, name, hook(getattr(socket.socket, name)))


def unhook_sockets() -> None:
    """One user less; with the last one `socket.socket` is as it was."""
    global _users, _presence
    with _lock:
        _users -= 1
        if _users:
            return
        if _presence is not None:
            _presence.end()
            _presence = None
        for name in _HOOKS:
            if name in _before:
                setattr(socket.socket, name, _before.pop(name))
            else:
                with contextlib.suppress(AttributeError):
                    delattr(socket.socket, name)
