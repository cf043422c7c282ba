"""Kernel and naive model side by side: one verb put to both, and everything compared after it.

Theory.  `do` gives a verb to the naive model and to the kernel.  The outcomes must be the same, then whatever can be
seen of the two worlds, then the invariants of the state and the history as chapter P wants them.  A verb that the model
refuses must be refused by the kernel too and must leave its snapshot as it was.

Own rule.  What is drawn depends on the naive model alone, so that a broken kernel cannot steer around its fault.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis import note
from hypothesis.stateful import RuleBasedStateMachine

from iocp_emu import status
from iocp_emu.kernel.snapshot import snapshot
from iocp_emu.profiles import get_profile
from tests.stateful.driver import Driver, Outcome
from tests.stateful.naive import Naive
from tests.stateful.properties import History
from tests.stateful.records import MODIFY, Port, Thread


def is_refusal(outcome: Outcome) -> bool:
    """Whether a verb was refused."""
    return isinstance(outcome, tuple) and outcome[0] == "refused"


class Lockstep(RuleBasedStateMachine):
    """What every machine shares: the two worlds, `do`, and how to choose among what there is."""

    profile: ClassVar[str] = "win10"

    def __init__(self) -> None:
        super().__init__()
        self.naive = Naive(self.profile)
        self.kernel = self.new_kernel()
        self.history = History(self.kernel, get_profile(self.profile))
        self.script: list[tuple[str, tuple[Any, ...], Outcome]] = []
        self.keys = 0
        self.failed = False

    def new_kernel(self) -> Driver:
        """The kernel's side."""
        return Driver(self.profile)

    # -- lockstep ----------------------------------------------------------------------------------------------

    def do(self, verb: str, *arguments: Any) -> Outcome:
        """Put one verb to both and compare everything; a thread that was alerted runs its APCs at once."""
        try:
            outcome = self._do(verb, arguments)
        except BaseException:
            if not self.failed:
                self.failed = True
                note(self._dump())
            raise
        if outcome in ("USER_APC", status.STATUS_USER_APC) and verb in ("remove", "wait", "collect"):
            self.do("run_apcs", arguments[0])
        return outcome

    def _do(self, verb: str, arguments: tuple[Any, ...]) -> Outcome:
        expected = self.naive.do(verb, *arguments)
        before = snapshot(self.kernel.kernel) if is_refusal(expected) else None
        outcome = self.kernel.do(verb, *arguments)
        self.record(verb, arguments, outcome)
        any_status = is_refusal(expected) and expected[1] is None and is_refusal(outcome)
        assert outcome == expected or any_status, f"{verb}{arguments} answered {outcome}, expected {expected}"
        if is_refusal(expected):
            assert snapshot(self.kernel.kernel) == before, f"{verb}{arguments} was refused and changed something"
        self.kernel.check()
        self.history.observe(verb, arguments, outcome)
        found, wanted = self.kernel.effects.readied, self.naive.readied
        assert found == wanted, f"{verb}{arguments} readied {found}, expected {wanted}"
        self.compare(self.history.before, f"after {verb}{arguments}")
        return outcome

    def record(self, verb: str, arguments: tuple[Any, ...], outcome: Outcome) -> None:
        """For the replay and, should this history fail, for the reader."""
        note(f"    {verb}{arguments} -> {outcome}")
        self.script.append((verb, arguments, outcome))

    def compare(self, seen: dict[str, list[Any]], when: str) -> None:
        """What can be seen of the kernel against what the naive model foresees."""
        foreseen = self.naive.view()
        if seen != foreseen:
            for kind in foreseen:
                for number, (found, wanted) in enumerate(zip(seen[kind], foreseen[kind], strict=True)):
                    assert found == wanted, f"{when}: {kind} {number} is {found}, expected {wanted}"

    def _dump(self) -> str:
        """Both worlds, line by line."""
        lines = ["The kernel, and where the naive model differs:"]
        seen, foreseen = self.kernel.view(), self.naive.view()
        for kind in seen:
            for number, (found, wanted) in enumerate(zip(seen[kind], foreseen[kind], strict=False)):
                lines.append(f"    {kind} {number}: {found}")
                if found != wanted:
                    lines.append(f"    {' ' * len(kind)} NOT {wanted}")
        return "\n".join(lines)

    def teardown(self) -> None:
        """P-17: the same history on a fresh kernel has the same outcomes and ends in the same state."""
        if self.failed:
            return
        replay = self.new_kernel()
        for verb, arguments, outcome in self.script:
            again = replay.do(verb, *arguments)
            assert again == outcome, f"P-17: {verb}{arguments} answered {outcome}, and {again} when replayed"
        assert snapshot(replay.kernel) == snapshot(self.kernel.kernel), "P-17: the replay ended differently"

    # -- choosing ----------------------------------------------------------------------------------------------

    def alive(self) -> list[Thread]:
        """Threads that have not exited."""
        return [thread for thread in self.naive.threads if thread.doing != "gone"]

    def runnable(self) -> list[Thread]:
        """Threads that could make a call."""
        return [thread for thread in self.naive.threads if thread.runnable]

    def outside(self) -> list[Thread]:
        """Threads that are blocked on their own account."""
        return [thread for thread in self.naive.threads if thread.doing == "outside"]

    def outstanding(self) -> list[int]:
        """The requests that a device has."""
        return [request.number for request in self.naive.requests if request.outstanding]

    def living(self, objects: list[Any]) -> int:
        """How many of these objects have not been freed."""
        return len([obj for obj in objects if not obj.freed])

    def actor(self, pick: int) -> Thread:
        """A runnable thread, which has returned from whatever it had been waiting for."""
        threads = self.runnable()
        thread = threads[pick % len(threads)]
        if thread.result is not None:
            self.do("collect", thread.number)
        return thread

    def remove(self, thread: int, port: int, maximum: int, due: bool, alertable: bool) -> None:
        """One dequeue of a runnable thread, if its process knows a port."""
        actor = self.actor(thread)
        handle = self.some_handle(port, actor.process, Port)
        if handle is not None:
            self.do("remove", actor.number, handle, maximum, due, alertable)

    def some_handle(self, pick: int, process: int, kind: type[Any]) -> int | None:
        """An open handle of the process to an object of this kind, with every right if there is one."""
        found = [
            (handle.access & MODIFY, number)
            for number, handle in enumerate(self.naive.handles)
            if handle.is_open and handle.process == process and isinstance(handle.object, kind)
        ]
        best = [number for strong, number in found if strong] or [number for _, number in found]
        return best[pick % len(best)] if best else None

    def some_port(self, pick: int) -> tuple[int, int] | None:
        """A process and its handle to a port."""
        process = int(pick % 4 == 3)
        handle = self.some_handle(pick, process, Port)
        return None if handle is None else (process, handle)

    def any_open_handle(self, pick: int) -> tuple[int, int] | None:
        """A process and any handle of its."""
        found = [(handle.process, number) for number, handle in enumerate(self.naive.handles) if handle.is_open]
        return found[pick % len(found)] if found else None

    def close_all(self, obj: Any, process: int | None = None) -> None:
        """Close every handle of an object, in one process or in both."""
        for number, handle in enumerate(self.naive.handles):
            if handle.object is obj and handle.is_open and process in (None, handle.process):
                self.do("close", handle.process, number)

    def fresh_key(self) -> str:
        """A key that names one packet."""
        self.keys += 1
        return f"k{self.keys}"
