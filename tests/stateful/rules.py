"""The rules of the machines: what random histories are made of.

Theory.  One class for each part of the world, so that a machine can take the whole of it or dwell on a part; a rule
that draws many things reaches less per second than several that draw few.

Own rule.  A rule chooses by remainder among whatever there is: every draw means something, and smaller draws mean
earlier things, which is what shrinking needs.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from iocp_emu import status
from tests.stateful.lockstep import Lockstep
from tests.stateful.records import QUERY, SYNCHRONIZE, Event, File, Port

MOST_THREADS, MOST_PORTS, MOST_FILES, MOST_EVENTS, MOST_OUTSTANDING = 6, 3, 3, 3, 8
LIMITS = st.sampled_from([1, 1, 1, 2, 2, 3, 8, 0xFFFFFFFF])

PICK = st.integers(0, 11)
"""Chooses among whatever there is to choose from, by remainder."""

PORT = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3, 7])
"""The same for ports, with a favourite, so that packets and waiters meet."""

CODES = st.sampled_from(
    [status.STATUS_SUCCESS, status.STATUS_SUCCESS, status.STATUS_BUFFER_OVERFLOW, status.STATUS_CONNECTION_REFUSED]
)
SCRIPTS = st.sampled_from(["pend", "pend", "pend", "complete", "complete", "pend and complete"])
FLAG = st.booleans()
RARELY = st.sampled_from([False, False, False, True])
OFTEN = st.sampled_from([True, True, True, False])


class QueueRules(Lockstep):
    """The beginning, and what touches nothing but ports and threads (chapters 1, 4, 5 and 8)."""

    @initialize(
        limits=st.lists(LIMITS, min_size=1, max_size=2),
        threads=st.sampled_from([2, 4, 5, 6]),
        parked=st.integers(0, 4),
        queued=st.integers(0, 3),
        issued=st.lists(FLAG, max_size=3),
        eager=FLAG,
    )
    def begin(self, limits: list[int], threads: int, parked: int, queued: int, issued: list[bool], eager: bool) -> None:
        """Ports and a bound file that both processes know, threads in both; perhaps all of it in use."""
        for process, limit in enumerate(limits):
            handle = self.do("create_port", process, limit)
            self.do("duplicate", process, handle, 1 - process, None)
        for number in range(threads):
            self.do("create_thread", int(number % 3 == 2))
        for auto in (False, True):
            self.do("create_event", 0, auto, False)
        file = self.do("create_file", 0, True, eager)
        self.do("duplicate", 0, file, 1, None)
        self.do("associate", 0, file, 0, "file")
        for number, has_event in enumerate(issued):
            actor = self.actor(number)
            event = self.some_handle(0, actor.process, Event) if has_event else None
            own = self.some_handle(0, actor.process, File)
            self.do("issue", actor.number, own, True, event, False, "pend", status.STATUS_SUCCESS)
        for _ in range(min(parked, threads - 1)):
            self.remove(0, 0, 1, False, False)
        for _ in range(queued):
            self.do("post", 0, 0, self.fresh_key())

    @precondition(lambda self: self.runnable())
    @rule(thread=PICK, port=PORT)
    def get(self, thread: int, port: int) -> None:
        """The call that everybody makes."""
        self.remove(thread, port, 1, False, False)

    @precondition(lambda self: self.runnable())
    @rule(port=PORT, times=st.integers(2, 4))
    def get_in_turn(self, port: int, times: int) -> None:
        """Several threads call one after another."""
        for number in range(times):
            if self.runnable():
                self.remove(number, port, 1, False, False)

    @precondition(lambda self: self.runnable())
    @rule(thread=PICK, port=PORT)
    def poll(self, thread: int, port: int) -> None:
        """The call with timeout 0."""
        self.remove(thread, port, 1, True, False)

    @precondition(lambda self: self.runnable())
    @rule(thread=PICK, port=PORT, maximum=st.integers(1, 4), due=FLAG, alertable=OFTEN)
    def get_batch(self, thread: int, port: int, maximum: int, due: bool, alertable: bool) -> None:
        """The Ex call."""
        self.remove(thread, port, maximum, due, alertable)

    @rule(port=PORT)
    def post(self, port: int) -> None:
        """One packet."""
        found = self.some_port(port)
        if found is not None:
            self.do("post", *found, self.fresh_key())

    @rule(port=PORT, times=st.integers(2, 4))
    def post_several(self, port: int, times: int) -> None:
        """Several packets."""
        for _ in range(times):
            self.post(port)

    @precondition(lambda self: any(thread.result is not None for thread in self.runnable()))
    @rule(thread=PICK)
    def collect(self, thread: int) -> None:
        """A readied thread returns from its call, in any order."""
        ready = [thread for thread in self.runnable() if thread.result is not None]
        self.do("collect", ready[thread % len(ready)].number)

    @precondition(lambda self: any(thread.call or thread.wait or thread.result for thread in self.alive()))
    @rule(thread=PICK)
    def expire(self, thread: int) -> None:
        """A timeout passes, perhaps just after the wait has ended (Q-33)."""
        waiting = [thread for thread in self.alive() if thread.call or thread.wait or thread.result]
        self.do("expire", waiting[thread % len(waiting)].number)

    @precondition(lambda self: self.runnable() or self.outside())
    @rule(thread=PICK, goes_on=FLAG)
    def block(self, thread: int, goes_on: bool) -> None:
        """A runnable thread blocks elsewhere; or one goes on."""
        blocked = self.outside()
        if blocked and (goes_on or len(self.runnable()) < 2):
            self.do("unblock", blocked[thread % len(blocked)].number)
        elif self.runnable():
            self.do("block", self.actor(thread).number)

    @precondition(lambda self: self.alive())
    @rule(thread=PICK, goes_on=st.sampled_from([True, True, False]))
    def suspend(self, thread: int, goes_on: bool) -> None:
        """A thread is suspended, perhaps once more; or one is resumed."""
        suspended = [thread for thread in self.alive() if thread.suspensions]
        if suspended and goes_on:
            self.do("resume", suspended[thread % len(suspended)].number)
        else:
            self.do("suspend", self.alive()[thread % len(self.alive())].number)

    @precondition(lambda self: self.alive())
    @rule(thread=PICK, runs=FLAG)
    def exit(self, thread: int, runs: bool) -> None:
        """A thread ends, in whatever state it is, and another one starts if few are left."""
        victims = (self.runnable() if runs else []) or self.alive()
        victim = victims[thread % len(victims)]
        self.do("exit", victim.number)
        if len(self.alive()) < 4:
            self.do("create_thread", victim.process)

    @precondition(lambda self: self.alive())
    @rule(thread=PICK, of_user=FLAG, ports=st.lists(PORT, max_size=2))
    def apc(self, thread: int, of_user: bool, ports: list[int]) -> None:
        """User APCs; or a kernel APC that may post, preferably in a parked thread."""
        if of_user:
            for _ in ports or [0]:
                self.do("user_apc", self.alive()[thread % len(self.alive())].number)
        else:
            parked = [thread for thread in self.alive() if thread.doing == "parked"] or self.alive()
            target = parked[thread % len(parked)]
            handles = [self.some_handle(port, target.process, Port) for port in ports]
            self.do("kernel_apc", target.number, [handle for handle in handles if handle is not None])


class WaitRules(Lockstep):
    """Waits for events, files and port handles (O-10 to O-13, Q-23, Q-29)."""

    @precondition(lambda self: self.runnable())
    @rule(
        thread=PICK,
        picks=st.lists(st.tuples(st.sampled_from([Event, Port, File]), PICK), max_size=2),
        every=RARELY,
        due=RARELY,
        alertable=FLAG,
    )
    def wait(self, thread: int, picks: list[tuple[type[Any], int]], every: bool, due: bool, alertable: bool) -> None:
        """Wait for some objects, or sleep."""
        actor = self.actor(thread)
        handles = [self.some_handle(pick, actor.process, kind) for kind, pick in picks]
        self.do("wait", actor.number, [handle for handle in handles if handle is not None], every, due, alertable)

    @precondition(lambda self: self.runnable())
    @rule(thread=PICK, port=PORT)
    def wait_for_port(self, thread: int, port: int) -> None:
        """The plain wait on a port's handle."""
        actor = self.actor(thread)
        handle = self.some_handle(port, actor.process, Port)
        if handle is not None:
            self.do("wait", actor.number, [handle], False, False, False)

    @rule(pick=PICK, signalled=OFTEN)
    def change_event(self, pick: int, signalled: bool) -> None:
        """Set or reset an event."""
        handle = self.some_handle(pick, 0, Event)
        if handle is not None:
            self.do("set_event" if signalled else "reset_event", 0, handle)


class FileRules(Lockstep):
    """Files, their associations and their requests (chapters 3 and 6)."""

    @precondition(lambda self: self.living(self.naive.files) < MOST_FILES)
    @rule(process=RARELY, overlapped=OFTEN, eager=FLAG, port=PORT, bound=FLAG)
    def create_file(self, process: bool, overlapped: bool, eager: bool, port: int, bound: bool) -> None:
        """A file, at once bound to a port or not."""
        handle = self.do("create_file", int(process), overlapped, eager)
        target = self.some_handle(port, int(process), Port)
        if bound and target is not None:
            self.do("associate", int(process), handle, target, f"f{handle}")

    @precondition(lambda self: self.living(self.naive.files))
    @rule(change=st.sampled_from(["associate", "associate", "replace", "remove"]), process=RARELY, file=PICK, port=PORT)
    def bind(self, change: str, process: bool, file: int, port: int) -> None:
        """Bind a file, which may be bound already (C-06); bind it elsewhere, or nowhere."""
        handle = self.some_handle(file, int(process), File)
        target = self.some_handle(port, int(process), Port)
        if handle is not None and change == "remove":
            self.do("replace", int(process), handle, None, "")
        elif handle is not None and target is not None:
            self.do(change, int(process), handle, target, self.fresh_key())

    @precondition(lambda self: self.living(self.naive.files))
    @rule(file=PICK, flags=st.sampled_from([0, 1, 1, 2, 4, 8]))
    def add_modes(self, file: int, flags: int) -> None:
        """Notification modes."""
        handle = self.some_handle(file, 0, File)
        if handle is not None:
            self.do("add_modes", 0, handle, flags)

    @precondition(lambda self: self.runnable() and len(self.outstanding()) < MOST_OUTSTANDING)
    @rule(
        thread=PICK,
        file=PICK,
        context=OFTEN,
        event=st.none() | PICK,
        routine=RARELY,
        script=SCRIPTS,
        code=CODES,
    )
    def issue(
        self, thread: int, file: int, context: bool, event: int | None, routine: bool, script: str, code: int
    ) -> None:
        """A request in one of its variants."""
        actor = self.actor(thread)
        handle = self.some_handle(file, actor.process, File)
        found = None if event is None else self.some_handle(event, actor.process, Event)
        if handle is not None:
            self.do("issue", actor.number, handle, context, found, routine, script, code)

    @precondition(lambda self: self.runnable() and len(self.outstanding()) < MOST_OUTSTANDING)
    @rule(file=PICK, times=st.integers(1, 3))
    def issue_in_turn(self, file: int, times: int) -> None:
        """Several threads issue the common request, which pends."""
        for number in range(times):
            actor = self.actor(number)
            handle = self.some_handle(file, actor.process, File)
            if handle is not None:
                self.do("issue", actor.number, handle, True, None, False, "pend", status.STATUS_SUCCESS)

    @precondition(lambda self: self.outstanding())
    @rule(request=PICK, code=CODES)
    def complete(self, request: int, code: int) -> None:
        """A device is done."""
        self.do("complete", self.outstanding()[request % len(self.outstanding())], code)

    @precondition(lambda self: self.outstanding())
    @rule(pick=PICK, way=st.sampled_from(["thread", "process", "request"]))
    def cancel(self, pick: int, way: str) -> None:
        """CancelIo or CancelIoEx, on the file of some outstanding request."""
        number = self.outstanding()[pick % len(self.outstanding())]
        request = self.naive.requests[number]
        process = int(pick % 3 == 2) if way == "process" else request.thread.process
        handles = [
            number
            for number, handle in enumerate(self.naive.handles)
            if handle.is_open and handle.object is request.file and handle.process == process
        ]
        if handles and way == "thread" and request.thread.runnable:
            self.do("cancel_io", request.thread.number, handles[0])
        elif handles and way != "thread":
            self.do("cancel_io_ex", process, handles[0], number if way == "request" else None)


class HandleRules(Lockstep):
    """Handles and lifetimes (chapters 2 and 7)."""

    @rule(
        change=st.sampled_from(["duplicate"] * 4 + ["close"] * 3 + ["close last", "port", "event"]),
        pick=st.integers(0, 40),
        process=FLAG,
        access=st.sampled_from([None, None, QUERY, SYNCHRONIZE, QUERY | SYNCHRONIZE]),
        limit=LIMITS,
    )
    def change_handles(self, change: str, pick: int, process: bool, access: int | None, limit: int) -> None:
        """Another handle, here or there, perhaps with fewer rights; one handle less; none left; something new."""
        found = self.any_open_handle(pick)
        if change == "port" and self.living(self.naive.ports) < MOST_PORTS:
            self.do("create_port", int(process), limit)
        elif change == "event" and self.living(self.naive.events) < MOST_EVENTS:
            self.do("create_event", int(process), pick % 2 == 1, pick % 3 == 2)
        elif found is not None and change == "duplicate":
            self.do("duplicate", *found, int(process), access)
        elif found is not None and change == "close":
            self.do("close", *found)
        elif found is not None and change == "close last":
            self.close_all(self.naive.handles[found[1]].object)

    @precondition(lambda self: self.living(self.naive.files))
    @rule(pick=PICK, process=st.sampled_from([0, 1, None]))
    def close_file(self, pick: int, process: int | None) -> None:
        """Every handle of a file, in one process or in both, with whatever is outstanding (I-33, I-43, I-44)."""
        files = [file for file in self.naive.files if not file.freed]
        self.close_all(files[pick % len(files)], process)


class IllegalRules(Lockstep):
    """Verbs that must be refused and change nothing, and some that merely look like it."""

    @rule(
        thread=PICK,
        handle=st.integers(0, 40),
        verb=st.sampled_from(["remove", "wait", "post", "query", "associate"]),
    )
    def use_any_handle(self, thread: int, handle: int, verb: str) -> None:
        """A handle that may be closed, of the other process, of another type, or without the right (C-07 to C-10)."""
        number = handle % len(self.naive.handles)
        process = thread % 2
        if verb == "post":
            self.do("post", process, number, self.fresh_key())
        elif verb == "query":
            self.do("query", process, number)
        elif verb == "associate":
            self.do("associate", process, number, (handle // 2) % len(self.naive.handles), self.fresh_key())
        elif self.runnable():
            actor = self.actor(thread)
            if verb == "remove":
                self.do("remove", actor.number, number, 1, True, False)
            else:
                self.do("wait", actor.number, [number, number] if thread > 8 else [number], False, True, False)

    @precondition(lambda self: any(not thread.runnable for thread in self.naive.threads))
    @rule(
        thread=PICK,
        pick=PICK,
        verb=st.sampled_from(["remove", "wait", "block", "unblock", "suspend", "exit", "user_apc"]),
        due=FLAG,
        alertable=FLAG,
    )
    def misuse_thread(self, thread: int, pick: int, verb: str, due: bool, alertable: bool) -> None:
        """Calls of threads that cannot make them: parked, blocked, suspended or gone."""
        idle = [thread for thread in self.naive.threads if not thread.runnable]
        target = idle[thread % len(idle)]
        handle = self.some_handle(pick, target.process, Port if verb == "remove" else Event)
        if verb == "remove" and handle is not None:
            self.do("remove", target.number, handle, 1, due, alertable)
        elif verb == "wait":
            self.do("wait", target.number, [] if handle is None else [handle], False, due, alertable)
        elif verb == "block" or (verb == "unblock" and target.doing != "outside") or target.doing == "gone":
            self.do("block" if verb == "remove" else verb, target.number)

    @rule(thread=PICK, pick=PICK, verb=st.sampled_from(["complete", "remove", "query"]), due=FLAG)
    def ask_in_vain(self, thread: int, pick: int, verb: str, due: bool) -> None:
        """A device that completes twice; a dequeue with room for no packet (O-08); and the depth."""
        done = [request.number for request in self.naive.requests if not request.outstanding]
        port = self.some_port(pick)
        if verb == "complete" and done:
            self.do("complete", done[pick % len(done)], status.STATUS_SUCCESS)
        elif verb == "remove" and self.runnable():
            self.remove(thread, pick, 0, due, False)
        elif verb == "query" and port is not None:
            self.do("query", *port)
