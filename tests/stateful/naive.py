"""A second completion port, so naive that it can be checked against the law by reading it.

Theory.  Everything is a list of small records.  Nothing is counted: how many threads of a port run, how often an object
is referred to, who is signalled, is looked up anew whenever it is asked (Q-02).  Nothing is fast.  Verbs are methods
with plain arguments (numbers, strings, lists of these) and plain outcomes, so that the same call can be put to the
kernel, written down, and played again.

Written from semantics.md; it shares nothing with the kernel but the numbers of `iocp_emu.status`.  Where the law is
silent and a state would show it, the model has to choose, and says so with [CHOICE] at the place.  This file holds what
goes beyond the queue (chapters 3, 6 and 7): files, requests, how things end, and what can be seen of it all.

Own rules.  A verb either raises `Refusal` before it has changed anything, or does all of its work.  `None` as the
status of a refusal means: refused, with a status that the law does not name.
"""

from __future__ import annotations

from typing import Any

from iocp_emu import status
from tests.stateful.naive_ports import ABANDONED, NaivePorts, Outcome, Refusal
from tests.stateful.records import MODIFY, Event, File, Object, Packet, Port, Request, Thread


class Naive(NaivePorts):
    """The whole machine.  `do(verb, *arguments)` is the door; the verbs are the methods without an underscore."""

    def do(self, verb: str, *arguments: Any) -> Outcome:
        """Perform one verb; who became ready through it is in `readied`."""
        self.readied = []
        try:
            outcome = getattr(self, verb)(*arguments)
        except Refusal as refusal:
            return ("refused", refusal.code)
        self._free_what_nobody_refers_to()
        return outcome

    # -- files and requests ------------------------------------------------------------------------------------

    def associate(self, process: int, file_handle: int, port_handle: int, key: str) -> None:
        """C-04 to C-17."""
        file: File = self._find(process, file_handle, File)
        port = self._find(process, port_handle, Port, MODIFY)
        if not file.overlapped or file.association is not None:
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        self._bind(file, port, key)

    def replace(self, process: int, file_handle: int, port_handle: int | None, key: str) -> None:
        """C-14."""
        file: File = self._find(process, file_handle, File)
        port = None if port_handle is None else self._find(process, port_handle, Port, MODIFY)
        if not self.switches.replaceable:
            raise Refusal
        if not file.overlapped:
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        file.association = None
        if port is not None:
            self._bind(file, port, key)

    def _bind(self, file: File, port: Port, key: str) -> None:
        file.association = (port, key)
        if self.switches.association_signals_file:
            self._signal_file(file)

    def add_modes(self, process: int, handle: int, flags: int) -> None:
        """I-18, I-19."""
        file: File = self._find(process, handle, File)
        if not self.switches.notification_modes:
            raise Refusal
        if not file.overlapped:
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        file.modes |= flags & 7

    def issue(
        self, number: int, handle: int, context: bool, event_handle: int | None, routine: bool, script: str, code: int
    ) -> int:
        """I-01 to I-09: start a request; `script` is what the device does before the call returns.

        `pend`: nothing; `complete`: ends it at once with `code`; `pend and complete`: I-06.
        """
        thread = self.threads[number]
        file: File = self._find(thread.process, handle, File)
        event = None if event_handle is None else self._find(thread.process, event_handle, Event, MODIFY)
        if routine and file.association is not None and self.switches.routine_refused_on_port:
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        agnostic = file.association is not None and context and event is None and not routine
        agnostic = agnostic and self.switches.agnostic_requests
        request = Request(len(self.requests), file, thread, context, event, routine, agnostic)
        self.requests.append(request)
        file.signalled = False
        if event is not None:
            event.signalled = False
        request.pended = script != "complete"
        if script != "pend":
            self._finish(request, code)
        request.returned = True
        return status.STATUS_PENDING if request.pended else code

    def complete(self, number: int, code: int) -> None:
        """The device is done with a request."""
        request = self.requests[number]
        if not request.outstanding:
            raise Refusal(status.STATUS_INVALID_PARAMETER)
        self._finish(request, code)

    def _finish(self, request: Request, code: int) -> None:
        self.stamp += 1
        information = self.stamp
        request.outstanding = False
        request.result = (code, information)
        if not request.pended and code >= 0xC0000000:
            request.result = request.block  # I-03; nothing is written (fact ntpipe-read-immediate-error)
            return
        affinity = self.switches.issuer_affinity
        if affinity == "all requests" or (affinity == "thread-bound requests" and not request.agnostic):
            self._in_kernel_apc(request.thread, lambda interrupted: self._report(request, interrupted))  # I-34
        else:
            self._report(request, None)

    def _report(self, request: Request, interrupted: Thread | None) -> None:
        """I-01 to I-09, I-15, I-26 to I-28."""
        association = request.file.association
        skipped = not request.pended and request.file.modes & 1
        wanted = association is not None and request.has_context and not request.has_routine and not skipped
        # "Immediate completion" (I-26) is read as: before the call returned, whether or not it also pended [CHOICE].
        immediate = not request.returned
        # H-06 would leave the block pending when nobody can dequeue any more; vector close-12 sees it written [CHOICE].
        lost = association is not None and association[0].run_down
        late = wanted and request.agnostic and not immediate and not lost and self.switches.late_status_block
        if not late:
            self._write(request)
        if request.has_routine and request.thread.doing != "gone":
            self.user_apc(request.thread.number)
        if wanted and association is not None:
            port, key = association
            self._insert(port, Packet(key, f"r{request.number}", *request.result, request.number), interrupted)

    def cancel_io(self, number: int, handle: int) -> int:
        """CancelIo: the calling thread's requests on the file, the newest first (I-40); how many there were."""
        thread = self.threads[number]
        file = self._find(thread.process, handle, File)
        found = [r for r in reversed(self.requests) if r.outstanding and r.file is file and r.thread is thread]
        for request in found:
            self._cancel(request)
        return len(found)

    def cancel_io_ex(self, process: int, handle: int, number: int | None) -> None:
        """CancelIoEx: the process's requests on the file, all or one (I-40)."""
        file = self._find(process, handle, File)
        found = [r for r in reversed(self.requests) if r.outstanding and r.file is file and r.thread.process == process]
        if number is not None:
            found = [request for request in found if request.number == number]
        if not found and (number is not None or self.switches.cancelling_nothing_is_refused):
            raise Refusal(status.STATUS_NOT_FOUND)
        for request in found:
            self._cancel(request)

    def _cancel(self, request: Request) -> None:
        """I-41: only asking."""
        request.cancelling = True
        if request.file.eager:
            self._finish(request, status.STATUS_CANCELLED)

    # -- handles and ends --------------------------------------------------------------------------------------

    def exit(self, number: int) -> None:
        """Q-28, then I-31; the port is left before the requests are cancelled [CHOICE]."""
        thread = self.threads[number]
        if thread.doing == "gone":
            raise Refusal
        if thread in self.waiting:
            self.waiting.remove(thread)
        port, was_runnable = thread.port, thread.runnable
        if port is not None and thread in port.waiters:
            port.waiters.remove(thread)
        thread.doing, thread.port, thread.call, thread.wait = "gone", None, None, None
        thread.result, thread.apcs = None, 0
        if was_runnable:
            self._release(port)
        for request in reversed(self.requests):
            if request.outstanding and request.thread is thread and not request.agnostic:
                self._cancel(request)

    def duplicate(self, process: int, handle: int, target: int, access: int | None) -> int:
        """C-12, O-26."""
        source = self._entry(process, handle)
        return self._open(target, source.object, source.access if access is None else access)

    def close(self, process: int, number: int) -> None:
        """O-20, O-26, I-33, I-43 to I-45."""
        handle = self._entry(process, number)
        handle.is_open = False
        obj = handle.object
        left = [other for other in self.handles if other.is_open and other.object is obj]
        if isinstance(obj, File):
            outstanding = [request for request in self.requests if request.outstanding and request.file is obj]
            for request in reversed(outstanding) if left else outstanding:
                if not left and obj.eager:
                    self._finish(request, status.STATUS_PIPE_BROKEN)
                is_last_here = left and not any(other.process == process for other in left)
                if is_last_here and request.agnostic and request.thread.process == process:
                    self._cancel(request)
        elif isinstance(obj, Port) and not left and self.switches.close_wakes_waiters:
            self._run_down(obj)

    def _run_down(self, port: Port) -> None:
        """O-21 to O-23, Q-34: the waiters are abandoned, top first [CHOICE O-21], and every association ends.

        A suspended waiter is told when it is resumed.
        """
        port.run_down = True
        for thread in reversed(port.waiters[:]):
            self._ready(thread, ABANDONED)
        for thread in self.threads:
            if thread.port is port:
                if thread.doing == "parked":
                    self._ready(thread, ABANDONED)
                thread.port = None
        port.dropped += len(port.packets)
        port.packets = []
        self._signal(port)

    def _free_what_nobody_refers_to(self) -> None:
        """H-03, H-05, O-24: whatever has no reference is gone, and then perhaps what it referred to."""
        objects: list[Object] = [*self.files, *self.ports, *self.events]
        for obj in objects:
            if not obj.freed and not self._references(obj):
                obj.freed = True
                if isinstance(obj, File):
                    obj.association = None
                if isinstance(obj, Port) and not obj.run_down:
                    self._run_down(obj)

    # -- what can be seen --------------------------------------------------------------------------------------

    def view(self) -> dict[str, list[Any]]:
        """Everything visible, as plain data; the kernel's driver has the same view of the kernel."""
        return {
            "port": [None if port.freed else self._view_of_port(port) for port in self.ports],
            "dropped": [port.dropped for port in self.ports],
            "thread": [self._view_of_thread(thread) for thread in self.threads],
            "file": [None if file.freed else self._view_of_file(file) for file in self.files],
            "event": [None if event.freed else (event.signalled, self._references(event)) for event in self.events],
            "request": [(r.outstanding, r.cancelling, *r.block) for r in self.requests],
            "open handle": [number for number, handle in enumerate(self.handles) if handle.is_open],
        }

    def _view_of_port(self, port: Port) -> dict[str, Any]:
        return {
            "limit": port.limit,
            "count": self._count(port),
            "depth": len(port.packets),
            "packets": [packet.plain for packet in port.packets],
            "waiters": [thread.number for thread in port.waiters],
            "members": [thread.number for thread in self.threads if thread.port is port],
            "references": self._references(port),
            "signalled": self._is_signalled(port),
            "run down": port.run_down,
        }

    def _view_of_thread(self, thread: Thread) -> dict[str, Any]:
        if thread.doing == "gone":
            state = "exited"
        elif thread.doing in ("outside", "waiting"):
            state = "blocked"
        elif thread.suspensions:
            state = "suspended"
        else:
            state = "parked" if thread.doing == "parked" else "runnable"
        result = thread.result
        return {
            "state": state,
            "port": None if thread.port is None else thread.port.number,
            "result": [packet.plain for packet in result] if isinstance(result, list) else result,
            "apcs": thread.apcs,
            "suspensions": thread.suspensions,
        }

    def _view_of_file(self, file: File) -> dict[str, Any]:
        return {
            "association": None if file.association is None else (file.association[0].number, file.association[1]),
            "modes": file.modes,
            "signalled": file.signalled,
            "outstanding": [
                request.number for request in self.requests if request.outstanding and request.file is file
            ],
            "references": self._references(file),
        }
