"""The properties of chapter P that speak of histories, judged from outside: two views and what a verb answered.

Theory.  Every packet carries a stamp, growing in the order in which packets came into being, and every parking gets
the time of the step in which it was seen.  With that, order and number of deliveries can be judged without knowing how
the queue works: a packet is delivered when a dequeue answers with it or a readied thread holds it.

Own rules.  Nothing here asks the naive model; a property that both models broke together would still be found.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from iocp_emu import status
from iocp_emu.profiles import IssuerAffinity, Profile
from tests.stateful.driver import Completion, Driver, Outcome

View = dict[str, list[Any]]

GIVES_UP_A_SLOT = frozenset({"block", "exit", "suspend", "wait", "remove"})
"""Verbs that may release one waiter because their thread stops running, or leaves its port (P-10)."""


class History:
    """Watches a driver step by step.  `observe` raises AssertionError with the rule's id."""

    def __init__(self, driver: Driver, profile: Profile) -> None:
        self.driver = driver
        self.profile = profile
        self.before: View = driver.view()
        self.steps = 0
        self.parked_at: dict[int, tuple[int, int]] = {}
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
        self.steps += 1
        after = self.driver.view()
        step = Step(self, verb, arguments, outcome, after)
        step.check_packets()
        step.check_counts()
        step.check_releases()
        step.check_dequeue()
        step.check_ends()
        step.check_status_blocks()
        self.before = after


class Step:
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

    def _require(self, condition: bool, rule: str, message: str) -> None:
        if not condition:
            raise AssertionError(f"{rule}: {message}")

    def _ports(self) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
        """Number, view before and view after of every port that lived before and lives now."""
        both = zip(self.before["port"], self.after["port"], strict=False)
        return [(number, old, new) for number, (old, new) in enumerate(both) if old and new]

    # -- packets -----------------------------------------------------------------------------------------------

    def check_packets(self) -> None:
        """P-03, P-04, P-05 and, by what is owed, P-15."""
        history = self.history
        fresh: dict[int, list[int]] = {}
        for stamp, port in self.effects.posted:
            history.port_of_stamp[stamp] = port
            fresh.setdefault(port, []).append(stamp)
        for fact in self.effects.completions:
            if fact.port is not None and owes_a_packet(fact):
                history.port_of_stamp[fact.stamp] = fact.port
                fresh.setdefault(fact.port, []).append(fact.stamp)
        for port, stamps in fresh.items():
            history.owed[port] = history.owed.get(port, 0) + len(stamps)
        for stamp in self.delivered:
            self._require(stamp in history.port_of_stamp, "P-15", f"packet {stamp} is of no port and owed by nobody")
            history.delivered.setdefault(history.port_of_stamp[stamp], []).append(stamp)
        for number, view in enumerate(self.after["port"]):
            queued = [packet[3] for packet in view["packets"]] if view else []
            delivered = history.delivered.get(number, [])
            strays = [stamp for stamp in queued if history.port_of_stamp.get(stamp) != number]
            self._require(not strays, "P-15", f"port {number} queues {strays}, which are not its own")
            seen = delivered + queued
            self._require(
                all(earlier < later for earlier, later in pairwise(seen)),
                "P-04",
                f"port {number} delivered {delivered} and queues {queued}",
            )
            total = len(seen) + self.after["dropped"][number]
            owed = history.owed.get(number, 0)
            self._require(total == owed, "P-05", f"port {number}: {total} delivered, queued or dropped of {owed}")
            handed = [stamp for stamp in fresh.get(number, []) if stamp in self.delivered]
            if handed:
                # Packets that the same verb has taken away before do not stand in its way.
                older = [s for s in self.delivered if history.port_of_stamp[s] == number and s not in handed]
                depth = self.before["port"][number]["depth"]
                self._require(depth == len(older), "P-03", f"port {number}: {handed} handed off at depth {depth}")

    # -- counts ------------------------------------------------------------------------------------------------

    def check_counts(self) -> None:
        """P-06, P-12, P-18 and the count itself (P-01)."""
        threads = self.after["thread"]
        for number, old, new in self._ports():
            runnable = [t for t in new["members"] if threads[t]["state"] == "runnable"]
            self._require(new["count"] == len(runnable), "P-01", f"port {number}: {new['count']} is not {runnable}")
            if not self.profile_limits:
                continue
            limit = new["limit"]
            deliveries = [s for s in self.delivered if self.history.port_of_stamp[s] == number]
            woken = [t for t in runnable if t in self.effects.readied and t not in self.taken_by]
            self._require(
                not deliveries or new["count"] - len(woken) <= limit,
                "P-06",
                f"port {number}: {deliveries} delivered at {new['count']}/{limit}",
            )
            excess = old["count"] - limit
            self._require(
                excess <= 0 or not deliveries,
                "P-12",
                f"port {number}: {deliveries} delivered at {old['count']}/{limit}",
            )
            if excess > 0 and self.verb == "remove" and self.outcome == "parked" and self.actor in old["members"]:
                self._require(
                    new["count"] == old["count"] - 1, "P-12", f"port {number}: parking left {new['count']}/{limit}"
                )
        for number, view in enumerate(self.after["port"]):
            if view and (not self.profile_limits or view["limit"] >= len(threads)):
                self._require(not (view["waiters"] and view["depth"]), "P-18", f"port {number} keeps {view}")

    @property
    def profile_limits(self) -> bool:
        """Whether the concurrency value means anything."""
        return self.history.profile.limit_enforced

    # -- waiters -----------------------------------------------------------------------------------------------

    def check_releases(self) -> None:
        """P-07, P-09, P-10."""
        history = self.history
        threads = self.after["thread"]
        again = [*self.effects.interrupted]
        if self.verb == "resume" and self.actor is not None:
            again.append(self.actor)
        for fact in self.effects.completions:
            if history.runs_in_issuer(fact):
                again.append(history.driver.threads.index(history.driver.requests[fact.request].thread))
        released_anywhere = 0
        for number, old in enumerate(self.before["port"]):
            new = self.after["port"][number]
            steady = [t for t in old["waiters"] if t not in again] if old else []
            released = [t for t in self.taken_by if t in steady]
            released_anywhere += len(released)
            rest = [t for t in steady if new and t in new["waiters"]]
            for position, thread in enumerate(released):
                for other in [*released[position + 1 :], *rest]:
                    self._require(
                        history.parked_at[other] < history.parked_at[thread],
                        "P-09",
                        f"T{thread} was released before T{other}, which had parked later",
                    )
        slots = int(self.verb in GIVES_UP_A_SLOT)
        inserts = len(self.effects.posted) + len(self.effects.completions)
        self._require(
            released_anywhere <= slots + inserts,
            "P-10",
            f"{self.verb} released {released_anywhere} waiters with {inserts} packets",
        )
        for number, new in enumerate(self.after["port"]):
            old = self.before["port"][number] if number < len(self.before["port"]) else None
            for position, thread in enumerate(new["waiters"] if new else []):
                if old is None or thread not in old["waiters"] or thread in again:
                    history.parked_at[thread] = (history.steps, position)
                fits = threads[thread]["state"] == "parked" and threads[thread]["port"] == number
                self._require(fits, "P-07", f"T{thread} waits on port {number} but is {threads[thread]}")
        parked = [number for number, thread in enumerate(threads) if thread["state"] == "parked"]
        listed = sorted(thread for view in self.after["port"] if view for thread in view["waiters"])
        self._require(parked == listed, "P-07", f"parked are {parked}, on the lists {listed}")

    # -- the dequeuing thread ----------------------------------------------------------------------------------

    def check_dequeue(self) -> None:
        """P-08 and P-11."""
        history = self.history
        threads = self.after["thread"]
        if self.verb == "remove" and not self.is_refused:
            assert self.actor is not None
            history.expired.discard(self.actor)
            state, home = threads[self.actor]["state"], threads[self.actor]["port"]
            _, handle, _, due, _ = self.arguments
            named = history.driver.ports.index(history.driver.find_for(self.actor, handle, object))
            if self.outcome == "USER_APC" and home != named:
                self._require(home == self.before["thread"][self.actor]["port"], "G-14", "the association changed")
            else:
                self._require(home == named, "P-08", f"T{self.actor} dequeued from {named}, belongs to {home}")
            self._require(not due or state == "runnable", "P-11", f"T{self.actor} is {state} after a poll")
        if self.verb == "expire":
            assert self.actor is not None
            history.expired.add(self.actor)
        for number in list(history.expired):
            state = threads[number]["state"]
            self._require(state != "parked", "P-11", f"T{number} is parked although its time is over")
            if state in ("runnable", "exited"):
                history.expired.discard(number)

    # -- the end of a port -------------------------------------------------------------------------------------

    def check_ends(self) -> None:
        """P-13, P-14."""
        for number, old in enumerate(self.before["port"]):
            new = self.after["port"][number]
            self._require(not (old is None and new), "P-14", f"port {number} is back")
            if new and new["run down"]:
                empty = not (new["waiters"] or new["members"] or new["packets"] or new["count"])
                self._require(empty, "P-13", f"port {number} is run down: {new}")
        kernel_ports = self.history.driver.ports
        for number, port in enumerate(kernel_ports):
            if port.is_closed and self.history.profile.close_wakes_waiters:
                stamps = [s for s in self.delivered if self.history.port_of_stamp[s] == number]
                self._require(not stamps, "P-13", f"port {number} is closed and delivered {stamps}")
                new = self.after["port"][number]
                self._require(new is None or new["run down"], "P-13", f"port {number} is closed: {new}")

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
                self._require(block[0] == status.STATUS_PENDING, "P-16", f"r{number} is {block} before its dequeue")
            else:
                history.final_blocks[number] = packet[2:]
                del history.late[stamp]
        for number, final in history.final_blocks.items():
            block = self.after["request"][number][2:]
            self._require(tuple(block) == tuple(final), "P-16", f"r{number} is {block}, not {final}")


def owes_a_packet(fact: Completion) -> bool:
    """I-01 to I-05, I-15, for P-15: exactly one packet, or none."""
    if fact.port is None or not fact.has_context or fact.has_routine:
        return False
    return fact.has_pended or (not is_error(fact.code) and not fact.modes & 1)


def is_error(code: int) -> bool:
    """Whether an NTSTATUS is of the error class (I-03, I-04)."""
    return code >= 0xC0000000
