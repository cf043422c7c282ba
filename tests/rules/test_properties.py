"""Chapter P: the properties P-01 to P-18 over random histories.

Each property looks at every moment of a history (`histories.py`) from both sides and computes what it claims from
threads and lists, not with the kernel's own check; that check runs after every verb besides.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import status
from iocp_emu.kernel.completion import IoCompletion
from iocp_emu.kernel.file import FileObject, IoRequest
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from iocp_emu.kernel.waits import Timeout
from iocp_emu.profiles import WIN10, XP, Profile
from tests.rules.devices import CANCELLED, SUCCESS, Bench, Obedient, Overlapped
from tests.rules.histories import Glimpse, History, Machine, Moment, Move, Verb, histories

few = settings(max_examples=60)

GIVES_A_SLOT_UP = (Verb.BLOCK, Verb.EXIT, Verb.SUSPEND)


def ports(moment: Moment) -> list[tuple[str, Glimpse, Glimpse]]:
    """Each port by name, before and after."""
    return [(name, moment.before[name], after) for name, after in moment.after.items()]


def closing(history: History, port: str = "P") -> History:
    """The same history with the port's last handle closed after its first half."""
    middle = len(history.moves) // 2
    moves = (*history.moves[:middle], Move(Verb.CLOSE, port=port), *history.moves[middle:])
    return History(history.limits, history.threads, moves)


@few
@given(histories())
def test_p01_the_count_is_the_number_of_runnable_members(history: History) -> None:
    """P-01: after every verb, on both ports."""
    for moment in Machine(history).play():
        for _, _, after in ports(moment):
            assert after.count == len(after.runnable)


@few
@given(histories())
def test_p02_no_packet_is_stranded(history: History) -> None:
    """P-02: packets and waiters side by side only at the limit."""
    for moment in Machine(history).play():
        for _, _, after in ports(moment):
            assert not (after.depth and after.waiters) or after.count >= after.limit


@few
@given(histories())
def test_p03_an_insert_hands_over_only_from_an_empty_queue(history: History) -> None:
    """P-03: and then it is the inserted packet that is handed over, and the depth stays 0."""
    for moment in Machine(history).play():
        if moment.move.verb is Verb.POST and moment.deliveries:
            name = moment.move.port
            assert [(got.port, got.packets) for got in moment.deliveries] == [(name, (moment.posted,))]
            assert (moment.before[name].depth, moment.after[name].depth) == (0, 0)


@few
@given(histories())
def test_p04_delivery_order_is_queueing_order(history: History) -> None:
    """P-04: on each port, batches flattened: 1, 2, 3, without a gap."""
    delivered: dict[str, list[int]] = {"P": [], "R": []}
    for moment in Machine(history).play():
        for delivery in moment.deliveries:
            delivered[delivery.port].extend(delivery.packets)
        for numbers in delivered.values():
            assert numbers == list(range(1, len(numbers) + 1))


@few
@given(histories())
def test_p05_delivered_once_and_nothing_lost(history: History) -> None:
    """P-05: delivered, queued and dropped packets together are the posted ones, at every moment."""
    delivered: dict[str, Counter[int]] = {"P": Counter(), "R": Counter()}
    posted = {"P": 0, "R": 0}
    machine = Machine(history)
    for moment in machine.play():
        for delivery in moment.deliveries:
            delivered[delivery.port].update(delivery.packets)
        for name, _, after in ports(moment):
            posted[name] = machine.next_packet[name]
            assert max(delivered[name].values(), default=1) == 1
            assert not delivered[name].keys() & set(after.packets)
            assert delivered[name].total() + after.depth + after.dropped == posted[name]


def may_lift_above_the_limit(moment: Moment) -> bool:
    """Unblocking, timeouts, APC returns and kernel APCs (P-06)."""
    if moment.move.verb is Verb.GET:
        return moment.result in (RemoveOutcome.TIMEOUT, RemoveOutcome.USER_APC)
    return moment.move.verb in (
        Verb.UNBLOCK, Verb.RESUME, Verb.EXPIRE, Verb.USER_APC, Verb.KERNEL_APC, Verb.KERNEL_APC_INSERTS
    )  # fmt: skip


@few
@given(histories())
def test_p06_no_delivery_lifts_the_count_above_the_limit(history: History) -> None:
    """P-06: after a delivery the count is within the limit, and what lifts it beyond is never a delivery."""
    for moment in Machine(history).play():
        for name, before, after in ports(moment):
            if any(delivery.port == name for delivery in moment.deliveries):
                assert after.count <= after.limit
            if after.count > max(before.count, after.limit):
                assert may_lift_above_the_limit(moment)


@few
@given(histories())
def test_p07_a_parked_thread_is_on_one_list_and_not_runnable(history: History) -> None:
    """P-07: on the list of its own port, once; and nobody else is on a list."""
    machine = Machine(history)
    for moment in machine.play():
        places = [(name, waiter) for name, _, after in ports(moment) for waiter in after.waiters]
        parked = [
            (name, thread.name)
            for thread in machine.threads
            for name, port in machine.ports.items()
            if thread.state is ThreadState.PARKED and thread.queue is port.queue
        ]
        assert sorted(places) == sorted((name, waiter or "") for name, waiter in parked)
        for _, _, after in ports(moment):
            assert not set(after.waiters) & set(after.runnable)
            assert set(after.waiters) <= set(after.members)


@few
@given(histories())
def test_p08_at_most_one_port_and_it_is_that_of_the_last_call(history: History) -> None:
    """P-08: after a dequeue returned or parked; but for the APC that a stranger's call runs first (G-14)."""
    for moment in Machine(history).play():
        members = [member for after in moment.after.values() for member in after.members]
        assert len(members) == len(set(members))
        if moment.move.verb is Verb.GET and moment.refused_with is None:
            homes = [name for name, _, after in ports(moment) if moment.subject in after.members]
            if moment.result is RemoveOutcome.USER_APC and not moment.was_home:
                assert homes == [name for name, before, _ in ports(moment) if moment.subject in before.members]
            else:
                assert homes == [moment.move.port]


@few
@given(histories())
def test_p09_release_order_is_the_reverse_of_parking_order(history: History) -> None:
    """P-09: whoever gets a packet as a waiter has parked last of all who were waiting there."""
    parked_at: dict[str, int] = {}
    for now, moment in enumerate(Machine(history).play()):
        looked_itself = moment.move.verb in (Verb.RESUME, Verb.KERNEL_APC, Verb.KERNEL_APC_INSERTS)
        for delivery in moment.deliveries:
            waiters = moment.before[delivery.port].waiters
            if delivery.thread in waiters and not (looked_itself and delivery.thread == moment.subject):
                candidates = [name for name in waiters if not (looked_itself and name == moment.subject)]
                assert delivery.thread == max(candidates, key=lambda name: parked_at[name])
        for _, before, after in ports(moment):
            for name in after.waiters:
                if name not in before.waiters or (looked_itself and name == moment.subject):
                    parked_at[name] = now
            assert list(after.waiters) == sorted(after.waiters, key=lambda name: parked_at[name])


@few
@given(histories())
def test_p10_each_verb_releases_at_most_one_waiter_or_none(history: History) -> None:
    """P-10: post, block, exit and move: one at most; unblocking, timeouts and APCs: none."""
    for moment in Machine(history).play():
        verb = moment.move.verb
        changed = sum(set(before.waiters) != set(after.waiters) for _, before, after in ports(moment))
        if verb is Verb.POST:
            assert changed <= 1
            assert len(moment.readied) <= 1
            gone = set(moment.before[moment.move.port].waiters) - set(moment.after[moment.move.port].waiters)
            assert gone == set(moment.readied)
        elif verb in (*GIVES_A_SLOT_UP, Verb.GET):
            assert len(moment.others) <= 1
            if verb is Verb.GET and moment.was_home:
                assert moment.others == []
        elif verb in (Verb.UNBLOCK, Verb.RESUME, Verb.EXPIRE, Verb.USER_APC, Verb.KERNEL_APC):
            assert moment.others == []


@few
@given(histories())
def test_p11_a_zero_timeout_never_parks_and_a_passed_one_ends_the_call(history: History) -> None:
    """P-11: at once for a parked thread; when it is resumed, for one that was suspended meanwhile."""
    machine = Machine(history)
    overdue: set[KernelThread] = set()
    for moment in machine.play():
        subject = next((thread for thread in machine.threads if thread.name == moment.subject), None)
        if moment.move.verb is Verb.GET and moment.move.timeout is Timeout.DUE:
            assert moment.result is not None or moment.refused_with is not None
        if moment.move.verb is Verb.EXPIRE and subject is not None:
            assert subject.state is not ThreadState.PARKED
            if subject.dequeue is not None:
                overdue.add(subject)
        for thread in overdue:
            assert thread.state is not ThreadState.PARKED
        if subject is not None and subject.dequeue is None:
            overdue.discard(subject)


@few
@given(histories())
def test_p12_an_excess_never_grows_by_deliveries_and_each_parking_reduces_it(history: History) -> None:
    """P-12: while above the limit, a delivery leaves the count, and a counted caller that parks takes one off."""
    for moment in Machine(history).play():
        for name, before, after in ports(moment):
            if before.count > before.limit and any(got.port == name for got in moment.deliveries):
                assert after.count <= before.count
        before, after = moment.before[moment.move.port], moment.after[moment.move.port]
        if moment.move.verb is Verb.GET and moment.was_home and moment.subject in after.waiters:
            assert after.count == before.count - 1


@few
@given(histories())
def test_p13_nothing_is_left_after_the_last_close(history: History) -> None:
    """P-13: no waiter, association or delivery; every later call by handle fails with 6."""
    closed = False
    for moment in Machine(closing(history)).play():
        by_handle = moment.move.verb in (Verb.GET, Verb.POST, Verb.CLOSE) and moment.move.port == "P"
        if closed:
            assert moment.after["P"].is_empty
            assert not any(delivery.port == "P" for delivery in moment.deliveries)
            assert not by_handle or moment.refused_with == status.STATUS_INVALID_HANDLE
        if moment.move.verb is Verb.CLOSE and moment.move.port == "P":
            closed = True
            assert moment.after["P"].is_empty
            assert sorted(moment.readied) == sorted(moment.before["P"].waiters)
    assert closed
    assert status.status_to_error(status.STATUS_INVALID_HANDLE) == 6


@pytest.mark.parametrize("profile", [WIN10, XP], ids=lambda profile: profile.name)
@few
@given(history=histories())
def test_p14_a_port_lives_while_it_has_references_and_is_freed_once(profile: Profile, history: History) -> None:
    """P-14: where closing wakes the waiters, and where their calls keep it alive (O-25)."""
    freed: Counter[int] = Counter()
    original = IoCompletion.on_freed

    def on_freed(port: IoCompletion) -> None:
        freed[id(port)] += 1
        original(port)

    with mock.patch.object(IoCompletion, "on_freed", on_freed):
        machine = Machine(closing(history), profile)
        for _ in machine.play():
            for port in machine.ports.values():
                calls = sum(thread.dequeue is not None and thread.queue is port.queue for thread in machine.threads)
                assert port.references == port.handle_count + calls
                is_alive = port in machine.kernel.objects
                assert is_alive == (port.references > 0) == (not port.freed)
                assert freed[id(port)] == (not is_alive)


# -- requests --------------------------------------------------------------------------------------------------


class Issue(enum.Enum):
    """How a request is issued and what becomes of it at once."""

    PENDS = "context, no event: thread-agnostic on an associated file"
    PENDS_WITH_EVENT = "context and event"
    PENDS_WITHOUT_CONTEXT = "low bit of hEvent: no packet"
    SUCCEEDS = "at once, with success"
    WARNS = "at once, with a warning"
    FAILS = "at once, with an error"


class Order(NamedTuple):
    """One step of a history of requests; `which` selects a file, request or thread, modulo how many there are."""

    verb: str
    which: int = 0
    issue: Issue = Issue.PENDS
    code: int = SUCCESS


ORDERS: tuple[Order, ...] = (
    *(Order("issue", which, issue) for which in range(4) for issue in Issue),
    *(Order("issue", which) for which in range(4)),
    *(Order("complete", which, code=code) for which in range(5) for code in (SUCCESS, 0x80000005, CANCELLED)),
    *(Order("cancel", which) for which in range(3)),
    *(Order("get", which) for which in range(3) for _ in range(3)),
    *(Order("exit", which) for which in range(3)),
    Order("bind"),
    Order("close", 0),
    Order("close", 1),
)


class Requests:
    """Two files, one of them not associated from the start, three threads, and a consumer that takes every packet."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.port, _ = self.bench.port(8)
        bound, unbound = self.bench.file(Obedient()), self.bench.file(Obedient())
        self.files: list[tuple[FileObject, int]] = [bound, unbound]
        self.closed: set[FileObject] = set()
        self.bench.bind(bound[0], self.port, "bound")
        self.bound = {bound[0]}
        self.threads = [self.bench.thread(f"T{number}") for number in range(3)]
        self.consumer = self.bench.thread("consumer")
        self.outstanding: list[IoRequest] = []
        self.pended: dict[IoRequest, Overlapped] = {}
        self.agnostic: dict[IoRequest, Overlapped] = {}
        self.failed: list[Overlapped] = []
        self.owed: dict[Overlapped, int] = {}
        self.taken: Counter[Overlapped] = Counter()

    def do(self, order: Order) -> None:
        """Perform one step; impossible ones do nothing."""
        bench = self.bench
        if order.verb == "issue":
            file, _ = self.files[order.which % 2]
            if file not in self.closed:
                self._issue(file, self.threads[order.which % 3], order.issue)
        elif order.verb == "bind":
            file, _ = self.files[1]
            if file not in self.closed | self.bound:
                bench.bind(file, self.port, "late")
                self.bound.add(file)
        elif order.verb == "close":
            file, handle = self.files[order.which]
            if file not in self.closed:
                self.closed.add(file)
                bench.close(handle)
        elif order.verb == "exit":
            bench.exit(self.threads[order.which])
            self.threads[order.which] = bench.thread(f"T{order.which}")
        elif order.verb == "get":
            self._take()
        elif self.outstanding:
            request = self.outstanding[order.which % len(self.outstanding)]
            if order.verb == "complete":
                bench.complete(request, order.code, 9)
            else:
                request.cancel()
        self._note_what_ended()

    def finish(self) -> None:
        """End what is outstanding and take every packet that is left."""
        for request in list(self.outstanding):
            self.bench.complete(request, CANCELLED)
        self._note_what_ended()
        while self._take():
            pass

    def _issue(self, file: FileObject, thread: KernelThread, issue: Issue) -> None:
        bench, overlapped = self.bench, Overlapped()
        at_once = {Issue.SUCCEEDS: SUCCESS, Issue.WARNS: 0x80000005, Issue.FAILS: CANCELLED}
        if issue in at_once:
            bench.at_once(file, overlapped, at_once[issue], 3)
            if issue is Issue.FAILS:
                self.failed.append(overlapped)
            else:
                self.owed[overlapped] = int(file in self.bound)
            return
        event = bench.event() if issue is Issue.PENDS_WITH_EVENT else None
        wants_packet = issue is not Issue.PENDS_WITHOUT_CONTEXT
        request = bench.start(file, overlapped, thread=thread, wants_packet=wants_packet, event=event)
        self.outstanding.append(request)
        self.pended[request] = overlapped
        if issue is Issue.PENDS and file in self.bound:
            self.agnostic[request] = overlapped

    def _note_what_ended(self) -> None:
        for request in [each for each in self.outstanding if each not in each.file.requests]:
            self.outstanding.remove(request)
            wanted = request.context is not None and request.file in self.bound
            self.owed[self.pended[request]] = int(wanted)

    def _take(self) -> bool:
        result: Any = self.bench.poll(self.consumer, self.port)
        if not isinstance(result, list):
            return False
        for got in result:
            self.taken[got.overlapped] += 1
        return True


request_histories = st.integers(0, 50).flatmap(
    lambda length: st.lists(st.sampled_from(ORDERS), min_size=length, max_size=length)
)


@few
@given(request_histories)
def test_p15_one_packet_for_each_request_that_pended(orders: list[Order]) -> None:
    """P-15: before or after the file's handle is closed; none for one that failed at once, nor without a context.

    Whether the file is associated counts when the request ends, not when it was issued (C-15).
    """
    requests = Requests()
    for order in orders:
        requests.do(order)
    requests.finish()
    assert {ov: requests.taken[ov] for ov in requests.owed} == requests.owed
    assert not any(requests.taken[ov] for ov in requests.failed)
    assert requests.taken.total() == sum(requests.owed.values())


@few
@given(request_histories)
def test_p16_the_status_block_is_pending_until_the_dequeue(orders: list[Order]) -> None:
    """P-16: for requests without an event on an associated file; final from the dequeue on."""
    requests = Requests()
    for order in [*orders, None]:
        if order is None:
            requests.finish()
        else:
            requests.do(order)
        for overlapped in requests.agnostic.values():
            assert overlapped.is_pending == (not requests.taken[overlapped])
    assert all(requests.taken[overlapped] for overlapped in requests.agnostic.values())


# -- histories as a whole --------------------------------------------------------------------------------------


@few
@given(histories())
def test_p17_the_same_history_gives_the_same_trace(history: History) -> None:
    """P-17: every moment and every picture in between."""

    def trace() -> list[tuple[Any, ...]]:
        return [
            (moment.subject, moment.after, moment.deliveries, str(moment.result), moment.readied, picture)
            for moment, picture in Machine(history).run()
        ]

    assert trace() == trace()


@few
@given(histories(limits=st.sampled_from([8, 64, 0xFFFFFFFF])))
def test_p18_without_a_limit_nobody_waits_beside_a_packet(history: History) -> None:
    """P-18: a limit that the threads cannot reach makes the port a plain hand-off queue."""
    for moment in Machine(history).play():
        for _, _, after in ports(moment):
            assert not (after.waiters and after.depth)
