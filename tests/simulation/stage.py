"""Plays the tables of semantics.md 12.2 with plain blocking functions in a simulation.

Theory.  Row number r happens at r virtual seconds.  Every thread of the table is a function that computes until its
next row (runnable, as the tables mean it), then makes the blocking call that the row names.  A "hand", which belongs to
no port, does what no thread of the table does, and half a second after each row it looks at the ports and at what the
threads have told meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from iocp_emu import CompletionPort, Event, Packet, PortClosed, ResetMode, Simulation, compute, sleep
from iocp_emu.kernel.invariants import check
from iocp_emu.kernel.queue import Place, RemoveOutcome
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import Alertability
from iocp_emu.runtime.virtual_threads import VirtualThread
from tests.rules.k_scenarios import Scenario

FOR_EVER = 1e6
GET = re.compile(r"(\w+): get\((\w)((?:, [^)]+)?)\)")
POST = re.compile(r"(?:(\w+): )?post (\w+)( at head)?(?: to (\w))?")
CALLS = re.compile(r"(\w+)(?:: | blocks| exits)(.*)")
ELAPSES = re.compile(r"(\w+)'s timeout elapses")


class Stage:
    """One scenario on one simulation."""

    def __init__(self, scenario: Scenario, simulation: Simulation) -> None:
        self.scenario = scenario
        self.simulation = simulation
        simulation.kernel.processors = scenario.processors
        self.ports = {name: CompletionPort(limit) for name, limit in scenario.limits.items()}
        self.actions = [step.action for step in scenario.steps]
        self.told: list[tuple[str, str]] = []
        self.posted = ""
        names = dict.fromkeys(name for action in self.actions for name in re.findall(r"\b(?:T\d|M)\b", action))
        self.events = {name: Event(ResetMode.AUTO) for name in names}
        self.threads: dict[str, VirtualThread] = {
            name: simulation.spawn(self.play, name, name=name) for name in names
        }
        self.mismatches: list[str] = []

    def run(self) -> None:
        """Play every row; an `AssertionError` names the rows and cells that differ."""
        self.simulation.run(until=self.simulation.spawn(self.direct, name="hand"))
        assert not self.mismatches, "\n".join(self.mismatches)

    # -- the threads of the table ------------------------------------------------------------------------------

    def play(self, name: str) -> None:
        """The function of one thread."""
        for row, action in enumerate(self.actions, start=1):
            match = CALLS.fullmatch(action)
            if match is not None and match[1] == name:
                compute(row - self.simulation.now)
                if action.endswith("exits"):
                    return
                self.call(name, row, action)
        compute(FOR_EVER)

    def call(self, name: str, row: int, action: str) -> None:
        """One blocking call, and what it has brought."""
        get = GET.fullmatch(action)
        post = POST.fullmatch(action)
        if get is not None:
            self.told.append((name, self.get(name, row, self.ports[get[2]], get[3])))
        elif post is not None:
            self.post(post[2], post[4])
        elif action.endswith("blocks on something else"):
            self.events[name].wait()
            self.told.append((name, f"{name} runs again"))
        elif action.endswith("already signalled event"):
            event = Event()
            event.set()
            assert event.wait()
        elif "Sleep(0)" in action:
            sleep(0)
        else:
            assert action.endswith(("spins for a second", "(Ready, not Running)"))
            compute(0.25)

    def get(self, name: str, row: int, port: CompletionPort, options: str) -> str:
        """A dequeue call in the words of the tables; its timeout is such that it elapses in the row that says so."""
        timeout = 0.0 if "timeout=0" in options else None
        for later, action in enumerate(self.actions[row:], start=row + 1):
            match = ELAPSES.fullmatch(action)
            if match is not None and match[1] == name:
                timeout = later - self.simulation.now
        count = re.search(r"n=(\d)", options)
        try:
            if "alertable" in options:
                found = self.simulation.remove_many(port.waitable, 1, timeout, Alertability.ALERTABLE)
                if isinstance(found, RemoveOutcome):
                    return f"{name} returns {found.name}"
            else:
                found = port.get_many(int(count[1]), timeout) if count else [port.get(timeout)]
        except TimeoutError:
            return f"{name} returns TIMEOUT"
        except PortClosed as closed:
            return f"{name} returns ABANDONED" if closed.winerror == 735 else f"{name} fails INVALID_HANDLE"
        return f"{name} gets {'+'.join(packet.key for packet in found)}"

    def post(self, packet: str, port: str | None, *, at_head: bool = False) -> None:
        """A post; `posted` remembers the depth before."""
        target = self.ports[port or "P"]
        self.posted = f"(previous depth {target.depth})"
        if at_head:
            self.simulation.perform(target.waitable.queue.insert, Packet(packet, None, 0, 0, None), Place.HEAD)
        else:
            target.post(key=packet)

    # -- the hand ----------------------------------------------------------------------------------------------

    def direct(self) -> None:
        """Do what no thread of the table does, and look."""
        for row, step in enumerate(self.scenario.steps, start=1):
            sleep(row - self.simulation.now)
            lost = [[packet.key for packet in port.waitable.queue.packets] for port in self._open_ports()]
            self.handle(step.action)
            sleep(0.5)
            check(self.simulation.kernel)
            found = (self.outcome(step.action, [key for keys in lost for key in keys]), *self.columns())
            self.told.clear()
            if found != tuple(step[1:]):
                self.mismatches.append(f"row {row}, {step.action}: expected {tuple(step[1:])}, found {found}")

    def _open_ports(self) -> list[CompletionPort]:
        return [port for port in self.ports.values() if not port.closed]

    def handle(self, action: str) -> None:
        """What is done to a thread or a port from outside."""
        perform = self.simulation.perform
        post = POST.fullmatch(action)
        if post is not None and post[1] is None:
            self.post(post[2], post[4], at_head=bool(post[3]))
            return
        by_hand: tuple[tuple[str, Callable[..., Any]], ...] = (
            (r"(\w+)'s other wait is satisfied", lambda name: self.events[name].set()),
            (r"QueueUserAPC to (\w+)", lambda name: perform(self.threads[name].queue_user_apc, lambda: None)),
            (r"SuspendThread\((\w+)\)", lambda name: perform(self.threads[name].suspend)),
            (r"ResumeThread\((\w+)\)", lambda name: perform(self.threads[name].resume)),
            (r"a kernel APC runs in (\w+)", lambda name: perform(self.threads[name].run_kernel_apc, lambda: None)),
            (r"a kernel APC in parked (\w+) itself inserts (\w+) on (\w)", self._insert_in_apc),
            (r"last handle of (\w) closed", lambda name: self.ports[name].close()),
        )
        for pattern, do in by_hand:
            match = re.fullmatch(pattern, action)
            if match is not None:
                do(*match.groups())

    def _insert_in_apc(self, name: str, packet: str, port: str) -> None:
        thread, target = self.threads[name], self.ports[port].waitable

        def insert() -> None:
            target.set(Packet(packet, None, 0, 0, None), interrupted=thread)

        self.simulation.perform(thread.run_kernel_apc, insert)

    # -- what has become of it ---------------------------------------------------------------------------------

    def outcome(self, action: str, lost: list[str]) -> str:
        """The outcome cell, from what the threads have told since the row began."""
        told = dict(self.told)
        post = POST.fullmatch(action)
        if post is not None:
            receivers = [name for name, text in told.items() if text == f"{name} gets {post[2]}"]
            how = f"handed straight to {', '.join(receivers)}" if receivers else "queued"
            return f"{how} {self.posted}"
        if action.startswith("last handle"):
            abandoned = [name for name in self.threads if told.get(name) == f"{name} returns ABANDONED"]
            parts = [f"{', '.join(abandoned)} return ABANDONED"] if abandoned else []
            parts += [f"queued {' '.join(lost)} can no longer be dequeued"] if lost else []
            return "; ".join(parts) or "closed"
        subject = re.search(r"\b(?:T\d|M)\b", action)
        assert subject is not None
        name = subject[0]
        own = told.pop(name, None) or self._own(name, action)
        return f"{own}; side effect: {', '.join(told.values())}" if told else own

    def _own(self, name: str, action: str) -> str:
        """What the thread itself would say, had its call returned."""
        parked = self.threads[name].state is ThreadState.PARKED
        words = (
            ("get(", f"{name} parks"),
            ("blocks on", f"{name} stops running"),
            ("exits", f"{name} is gone"),
            ("QueueUserAPC", f"{name} has a pending APC"),
            ("SuspendThread", f"{name} suspended"),
            ("ResumeThread", f"{name} re-parks on top" if parked else f"{name} runs again"),
            ("a kernel APC", f"{name} re-parks"),
        )
        return next((outcome for word, outcome in words if word in action), "no effect on the port")

    def columns(self) -> tuple[str, str, str, str]:
        """The other cells: counts, runnable threads, waiters, queue."""
        cells = [self._columns_of(port) for port in self.ports.values()]
        if len(cells) == 1:
            return cells[0]
        counts = " ; ".join(f"{name}: {each[0]}" for name, each in zip(self.ports, cells, strict=True))
        rest = [" ; ".join(column) for column in list(zip(*cells, strict=True))[1:]]
        return counts, rest[0], rest[1], rest[2]

    def _columns_of(self, port: CompletionPort) -> tuple[str, str, str, str]:
        queue = port._port.queue
        runnable = [
            name
            for name, thread in self.threads.items()
            if thread.queue is queue and thread.state is ThreadState.RUNNABLE
        ]
        return (
            f"{queue.current_count}/{queue.maximum_count}",
            ",".join(runnable) or "-",
            " ".join(thread.name or "" for thread in queue.waiters) or "-",
            " ".join(packet.key for packet in queue.packets) or "-",
        )
