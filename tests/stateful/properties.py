"""The properties of chapter P that speak of histories, judged from outside: two views and what a verb answered.

Theory.  What a single verb may do is judged by the product (`iocp_emu.testing.properties`), from two views in which
every packet carries a stamp, growing in the order in which packets came into being.  Here is what only a whole history
shows: that in the end nothing is lost, what a request owes (P-15, P-16), and that time that is over stays over (P-11).

Own rules.  Nothing here asks the naive model; a property that both models broke together would still be found.
"""

from __future__ import annotations

from typing import Any

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.profiles import IssuerAffinity, Profile
from iocp_emu.testing.properties import (
    GIVES_UP_A_SLOT,
    Delivery,
    PortView,
    Step,
    ThreadView,
    judge,
    require,
)
from tests.stateful.driver import STATES, Completion, Driver, Outcome

View = dict[str, list[Any]]


class History:
    """Watches a driver step by step.  `observe` raises AssertionError with the rule's id."""

    def __init__(self, driver: Driver, profile: Profile) -> None:
        self.driver = driver
        self.profile = profile
        self.before: View = driver.view()
        self.owed: dict[int, int] = {}
        self.port_of_stamp: dict[int, int] = {}
        self.delivered: dict[int, list[int]] = {}
        self.expired: set[int] = set()
        self.agnostic: set[int] = set()
        self.late: dict[int, int] = {}
        self.final_blocks: dict[int, tuple[int, int]] = {}

    def runs_in_issuer(self, fact: Completion) -> bool:
        """Whether this completion is a kernel APC of the issuing thread (I-34)."""
        affinity = self.profile.issuer_affinity
        thread_bound = fact.request not in self.agnostic
        return affinity is IssuerAffinity.ALL or (affinity is IssuerAffinity.WITH_EVENT and thread_bound)

    def observe(self, verb: str, arguments: tuple[Any, ...], outcome: Outcome) -> None:
        """Judge one step."""
        after = self.driver.view()
        Watched(self, verb, arguments, outcome, after).judge()
        self.before = after


class Watched:
    """One verb with both sides of it."""

    def __init__(self, history: History, verb: str, arguments: tuple[Any, ...], outcome: Outcome, after: View) -> None:
        self.history = history
        self.verb = verb
        self.arguments = arguments
        self.outcome = outcome
        self.before = history.before
        self.after = after
        self.effects = history.driver.effects
        self.is_refused = isinstance(outcome, tuple) and outcome[0] == "refused"
        self.actor: int | None = arguments[0] if verb in GIVES_UP_A_SLOT | {"resume", "expire", "issue"} else None
        self.taken_directly = [packet[3] for packet in self._got(outcome)] if verb == "remove" else []
        self.taken_by = {
            thread: [packet[3] for packet in result]
            for thread in dict.fromkeys(self.effects.readied)
            if isinstance(result := after["thread"][thread]["result"], list) and not self._held(thread)
        }
        self.delivered = [stamp for stamps in self.taken_by.values() for stamp in stamps] + self.taken_directly

    def _held(self, thread: int) -> bool:
        """Whether the thread held a result already, with which it is resumed now."""
        return self.before["thread"][thread]["result"] is not None

    @staticmethod
    def _got(outcome: Outcome) -> list[Any]:
        return outcome[1] if isinstance(outcome, tuple) and outcome[0] == "got" else []

    def judge(self) -> None:
        """All that chapter P says of one verb, as the product judges it, and what only a whole history shows."""
        fresh = self._fresh()
        self.check_totals()
        if not self.is_refused:
            judge(self._step(fresh), self.history.profile)
        self.check_expired()
        self.check_status_blocks()

    def _step(self, fresh: dict[int, list[int]]) -> Step:
        """The step in the product's words."""
        named = None
        if self.verb in ("remove", "post"):
            _, handle, *_ = self.arguments
            obj = self.history.driver.processes[self._process()].handles.lookup(
                self.history.driver.handles[handle], IoCompletion
            )
            named = self.history.driver.ports.index(obj)
        is_outcome = isinstance(self.outcome, str) and self.outcome in RemoveOutcome.__members__
        direct = self._delivery(self.actor, self.taken_directly)
        return Step(
            verb=self.verb,
            actor=self.actor,
            port=named,
            threads_before=threads_of(self.before),
            threads_after=threads_of(self.after),
            ports_before=self._ports(self.before),
            ports_after=self._ports(self.after),
            outcome=RemoveOutcome[self.outcome] if is_outcome else self.outcome,
            is_poll=self.verb == "remove" and self.arguments[3],
            got=direct if self.taken_directly else None,
            readied=self.effects.readied,
            woken_with=[self._delivery(thread, stamps) for thread, stamps in self.taken_by.items()],
            reentered=frozenset(self._reentered()),
            fresh=fresh,
            inserts=len(self.effects.posted) + len(self.effects.completions),
        )

    def _process(self) -> int:
        """The process in whose table the verb looks its handle up."""
        driver = self.history.driver
        if self.verb == "post":
            return int(self.arguments[0])
        return driver.processes.index(driver.threads[self.arguments[0]].process)

    def _delivery(self, thread: int | None, stamps: list[int]) -> Delivery:
        port = self.history.port_of_stamp[stamps[0]] if stamps else -1
        return Delivery(-1 if thread is None else thread, port, tuple(stamps))

    def _ports(self, view: View) -> list[PortView | None]:
        ports = self.history.driver.ports
        return [
            None
            if port is None
            else PortView(
                port["count"],
                port["limit"],
                tuple(port["waiters"]),
                tuple(port["members"]),
                tuple(packet[3] for packet in port["packets"]),
                view["dropped"][number],
                ports[number].is_closed,  # no view shows it; it is looked at only after the verb
                port["run down"],
            )
            for number, port in enumerate(view["port"])
        ]

    def _reentered(self) -> list[int]:
        """Threads that have been taken out of their wait and have looked again (Q-08, Q-17, I-34)."""
        history = self.history
        again = [*self.effects.interrupted]
        if self.verb == "resume" and self.actor is not None:
            again.append(self.actor)
        for fact in self.effects.completions:
            if history.runs_in_issuer(fact):
                again.append(history.driver.threads.index(history.driver.requests[fact.request].thread))
        return again

    # -- packets -----------------------------------------------------------------------------------------------

    def _fresh(self) -> dict[int, list[int]]:
        """The packets that came into being, by port: posted ones, and those that are owed (P-15)."""
        history = self.history
        fresh: dict[int, list[int]] = {}
        for stamp, port in self.effects.posted:
            fresh.setdefault(port, []).append(stamp)
        for fact in self.effects.completions:
            if fact.port is not None and owes_a_packet(fact):
                fresh.setdefault(fact.port, []).append(fact.stamp)
        for port, stamps in fresh.items():
            history.owed[port] = history.owed.get(port, 0) + len(stamps)
            history.port_of_stamp.update(dict.fromkeys(stamps, port))
        return fresh

    def check_totals(self) -> None:
        """P-05 over the whole life of a port, its end included, and P-15: nothing comes that is not owed."""
        history = self.history
        for stamp in self.delivered:
            require(stamp in history.port_of_stamp, "P-15", f"packet {stamp} is of no port and owed by nobody")
            history.delivered.setdefault(history.port_of_stamp[stamp], []).append(stamp)
        for number, view in enumerate(self.after["port"]):
            queued = [packet[3] for packet in view["packets"]] if view else []
            strays = [stamp for stamp in queued if history.port_of_stamp.get(stamp) != number]
            require(not strays, "P-15", f"port {number} queues {strays}, which are not its own")
            total = len(history.delivered.get(number, [])) + len(queued) + self.after["dropped"][number]
            owed = history.owed.get(number, 0)
            require(total == owed, "P-05", f"port {number}: {total} delivered, queued or dropped of {owed}")

    # -- the dequeuing thread ----------------------------------------------------------------------------------

    def check_expired(self) -> None:
        """P-11 over a history: a call whose time passed while its thread was suspended never parks again."""
        history = self.history
        threads = self.after["thread"]
        if self.verb == "remove" and not self.is_refused:
            history.expired.discard(self.arguments[0])
        if self.verb == "expire":
            history.expired.add(self.arguments[0])
        for number in list(history.expired):
            state = threads[number]["state"]
            require(state != "parked", "P-11", f"T{number} is parked although its time is over")
            if state in ("runnable", "exited"):
                history.expired.discard(number)

    # -- status blocks -----------------------------------------------------------------------------------------

    def check_status_blocks(self) -> None:
        """P-16: pending from issue to dequeue for thread-agnostic requests, and final for ever after."""
        history = self.history
        if self.verb == "issue" and not self.is_refused:
            _, handle, has_context, event, has_routine, _, _ = self.arguments
            assert self.actor is not None
            file = history.driver.files.index(history.driver.find_for(self.actor, handle, object))
            is_plain = has_context and event is None and not has_routine
            is_bound = self.before["file"][file]["association"] is not None
            if history.profile.thread_agnostic_requests and is_bound and is_plain:
                history.agnostic.add(len(history.driver.requests) - 1)
        for fact in self.effects.completions:
            came_after_the_call = not (self.verb == "issue" and fact.request == len(history.driver.requests) - 1)
            is_late = history.profile.late_status_block and fact.request in history.agnostic and came_after_the_call
            if is_late and owes_a_packet(fact) and not fact.port_is_run_down:
                history.late[fact.stamp] = fact.request
            elif fact.has_pended or not is_error(fact.code):
                history.final_blocks[fact.request] = (fact.code, fact.stamp)
        returned = self._got(self.outcome)
        for stamp, number in list(history.late.items()):
            block = self.after["request"][number][2:]
            packet = next((packet for packet in returned if packet[3] == stamp), None)
            if packet is None:
                require(block[0] == status.STATUS_PENDING, "P-16", f"r{number} is {block} before its dequeue")
            else:
                history.final_blocks[number] = packet[2:]
                del history.late[stamp]
        for number, final in history.final_blocks.items():
            block = self.after["request"][number][2:]
            require(tuple(block) == tuple(final), "P-16", f"r{number} is {block}, not {final}")


def threads_of(view: View) -> list[ThreadView]:
    """The threads of a view in the product's words."""
    states = {name: state for state, name in STATES.items()}
    return [ThreadView(states[thread["state"]], thread["port"]) for thread in view["thread"]]


def owes_a_packet(fact: Completion) -> bool:
    """I-01 to I-05, I-15, for P-15: exactly one packet, or none."""
    if fact.port is None or not fact.has_context or fact.has_routine:
        return False
    return fact.has_pended or (not is_error(fact.code) and not fact.modes & 1)


def is_error(code: int) -> bool:
    """Whether an NTSTATUS is of the error class (I-03, I-04)."""
    return code >= 0xC0000000
