"""One step of a world as others look at it: what was seen on both sides, whether it was right, what it shows.

Theory.  What one verb may do depends on the thread that it names, on the ports that it names or changes and on the
threads that it changes; who else there is makes no difference.  So steps that agree in all of that are judged once, and
a `Judge` remembers.  Where the packets are is compared at every step.

Own rule.  Whatever does not fit is judged from its views, never from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import status
from ..kernel.queue import RemoveOutcome
from ..kernel.thread import WaitResult
from ..profiles import Profile
from .bounds import DEQUEUES, Move, Verb
from .coverage import rules_of
from .properties import Delivery, Step, judge, require
from .world import Action, Outcome, Refused, World

Sides = tuple[Sequence[int], Sequence[Any]]
"""Codes of threads and of ports at one moment."""

Woken = Sequence[tuple[int, WaitResult]]
"""Threads that were made ready, with what their waits have brought."""

_REENTERING = frozenset({Verb.RESUME, Verb.KERNEL_APC})


def make_step(world: World, move: Move, before: Sides, outcome: Outcome, woken: Woken) -> Step:
    """The step that has led from `before` to the world as it is, `read` already.  O(state)."""
    threads_before, ports_before = world.views(*before)
    packets = [tuple(port.queue.packets) for port in world.ports]
    threads_after, ports_after = world.views(*world.read(), packets)
    is_refused = isinstance(outcome, Refused)
    inserted = None if is_refused else inserts_at(world, move, before[0])
    fresh = {} if inserted is None else {inserted: (len(ports_before[inserted].packets),)}
    got = None
    if isinstance(outcome, list):
        assert move.thread is not None
        assert move.port is not None
        got = _delivery(move.thread, move.port, outcome)
    return Step(
        verb="remove" if move.verb in DEQUEUES else move.verb.value,
        actor=move.thread,
        port=move.port,
        threads_before=threads_before,
        threads_after=threads_after,
        ports_before=ports_before,
        ports_after=ports_after,
        outcome=outcome,
        is_poll=move.verb is Verb.POLL,
        got=got,
        readied=[thread for thread, _ in woken],
        woken_with=[
            _delivery(thread, home, result)
            for thread, result in woken
            if isinstance(result, list)
            for home in [threads_before[thread].home]
        ],
        reentered=frozenset({move.thread} if move.thread is not None and move.verb in _REENTERING else ()),
        fresh=fresh,
        inserts=len(fresh),
    )


def _delivery(thread: int, port: int | None, packets: list[Any]) -> Delivery:
    """What a thread got; a packet of another port is no packet of this one."""
    return Delivery(
        thread,
        -1 if port is None else port,
        tuple(packet.information if packet.key == port else -1 for packet in packets),
    )


def inserts_at(world: World, move: Move, codes: Sequence[int]) -> int | None:
    """The port into which a move inserts a packet."""
    if move.verb is Verb.POST:
        return move.port
    if move.verb is Verb.KERNEL_APC and move.thread is not None:
        return world.image(codes[move.thread]).home
    return None


def judge_step(step: Step, verb: Verb, profile: Profile) -> tuple[str, ...]:
    """The rules that the step exercises; raises `InvariantViolation` if anything is wrong with it.  O(state)."""
    named = None if step.port is None else step.ports_before[step.port]
    was_closed = named is not None and named.is_closed
    if isinstance(step.outcome, Refused):
        unchanged = step.threads_before == step.threads_after and step.ports_before == step.ports_after
        require(unchanged and not step.readied, "P-13", f"{step.verb} was refused and has changed something")
        expected = was_closed and step.outcome.status == status.STATUS_INVALID_HANDLE
        name = status.status_name(step.outcome.status)
        require(expected, "P-13", f"{step.verb} was refused with {name} although it is legal")
        return ("O-20",)
    require(not was_closed or verb not in DEQUEUES | {Verb.POST}, "P-13", f"a closed port has accepted {step.verb}")
    judge(step, profile)
    return rules_of(step, verb)


class Judge:
    """Judges the steps of one world, each kind of step once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.profile = world.bounds.system
        self._known: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def __call__(
        self,
        action: Action,
        before: tuple[list[int], list[Any]],
        after: tuple[list[int], list[Any]],
        outcome: Outcome,
        woken: Woken,
    ) -> tuple[str, ...]:
        """The rules that the step exercises; raises `InvariantViolation`.  O(threads + ports), O(state) if unknown."""
        world, (verb, thread, port) = self.world, action.move
        codes, port_codes = before
        brought: dict[int, list[Any]] = {}
        kind: Any = outcome
        for number, result in woken:
            if type(result) is list:
                home = world.image(codes[number]).home
                if home is not None:
                    brought.setdefault(home, []).extend(result)
        if type(outcome) is list:
            assert port is not None
            kind = -len(outcome)
            brought.setdefault(port, []).extend(outcome)
        elif type(outcome) is RemoveOutcome:
            kind = outcome.name
        key = [action.kind, kind, len(woken), len(brought), -1 if thread is None else codes[thread]]
        inserted = None
        if (verb is Verb.POST or verb is Verb.KERNEL_APC) and type(outcome) is not Refused:
            inserted = inserts_at(world, action.move, codes)
        fits = True
        for number, queue in enumerate(world.queues):
            old, new = port_codes[number], after[1][number]
            seen = [*brought[number], *queue.packets] if number in brought else list(queue.packets)
            expected = world.queued[number][world.depth(old) + (number == inserted)]
            if seen != expected:
                # Right only where the port has just been run down and has counted what it dropped.
                dropped = not seen and verb is Verb.CLOSE and world.ports[number].dropped == len(expected)
                fits = fits and dropped and number == port
            if old != new or number == port:
                key += (number, old, new)
        for old, new in zip(codes, after[0], strict=True):
            if old != new:
                key += (old, new)
        frozen = tuple(key)
        rules = self._known.get(frozen) if fits else None
        if rules is None:
            step = make_step(world, action.move, before, outcome, woken)
            rules = judge_step(step, verb, self.profile)
            if fits:
                self._known[frozen] = rules
        return rules


