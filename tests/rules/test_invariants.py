"""`kernel/invariants.py`: each violation is found in a state that was corrupted on purpose, and named by its rule.

The corrupted states bypass the verbs: no verb leads there.  What the verbs do is checked after each of them elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from iocp_emu.kernel.file import RequestState
from iocp_emu.kernel.invariants import InvariantViolation, check, check_thread, describe
from iocp_emu.kernel.queue import Dequeue
from iocp_emu.kernel.thread import ThreadState
from iocp_emu.kernel.waits import Alertability, Timeout
from tests.rules.devices import Bench, Overlapped, packet


class Scene(Bench):
    """Port P of limit 1 with T1 parked at the bottom, T2 on top, T3 running, two packets queued; an empty port."""

    def __init__(self) -> None:
        super().__init__()
        self.home, self.handle = self.port(1)
        self.empty, _ = self.port(2)
        self.t1, self.t2, self.t3 = (self.thread(name) for name in ("T1", "T2", "T3"))
        self.poll(self.t3, self.home)
        self.park(self.t1, self.home)
        self.park(self.t2, self.home)
        self.post(self.home, "a")
        self.post(self.home, "b")
        file, _ = self.bound_file(self.home, "file")
        self.request = self.start(file, Overlapped())


def count_one_too_many(scene: Scene) -> None:
    """The count differs from the threads."""
    scene.home.queue.current_count += 1


def count_one_too_few(scene: Scene) -> None:
    """The count differs from the threads."""
    scene.home.queue.current_count -= 1


def strand_a_packet(scene: Scene) -> None:
    """The running member stops without a release step."""
    scene.t3.state = ThreadState.BLOCKED
    scene.home.queue.current_count -= 1


def unwatched_waiters(scene: Scene) -> None:
    """A post would not look whether somebody waits."""
    scene.home.queue.is_watched = False


def more_takers_than_run(scene: Scene) -> None:
    """Two threads may take packets without a verb, one is counted."""
    scene.home.queue.takers.update((1, 2))


def takers_above_the_limit(scene: Scene) -> None:
    """Nobody gets a packet while the limit is exceeded."""
    scene.home.queue.takers.add(1)
    scene.home.queue.maximum_count = 0


def waiter_that_is_no_member(scene: Scene) -> None:
    """On the waiter list but not associated."""
    del scene.home.queue.members[scene.t1]
    scene.t1.queue = None


def waiter_that_belongs_elsewhere(scene: Scene) -> None:
    """On the waiter list, pointing to another queue."""
    scene.t1.queue = scene.empty.queue
    scene.empty.queue.members[scene.t1] = None


def waiter_that_is_not_parked(scene: Scene) -> None:
    """On the waiter list, but blocked."""
    scene.t1.state = ThreadState.BLOCKED


def parked_but_on_no_list(scene: Scene) -> None:
    """Parked, associated, and forgotten."""
    del scene.home.queue.waiters[scene.t1]


def parked_without_a_call(scene: Scene) -> None:
    """On the list, but without the call that it is to return from."""
    scene.t1.dequeue = None


def parked_nowhere(scene: Scene) -> None:
    """Parked, without any port."""
    stranger = scene.thread("stranger")
    stranger.state = ThreadState.PARKED


def pointing_to_a_queue_that_does_not_know_it(scene: Scene) -> None:
    """Associated from one side only."""
    scene.thread("stranger").queue = scene.home.queue


def exited_but_associated(scene: Scene) -> None:
    """A thread that ended without leaving."""
    scene.home.queue.current_count -= 1
    scene.home.queue.maximum_count = 0
    scene.t3.state = ThreadState.EXITED


def members_after_the_close(scene: Scene) -> None:
    """A thread that stayed on a closed port."""
    scene.empty.running_down = True
    scene.empty.queue.members[scene.main] = None
    scene.main.queue = scene.empty.queue
    scene.main.state = ThreadState.BLOCKED


def packets_after_the_close(scene: Scene) -> None:
    """A packet that was queued on a closed port."""
    scene.empty.running_down = True
    scene.empty.queue.packets.append(packet())


def count_after_the_close(scene: Scene) -> None:
    """A thread that is counted on a closed port."""
    scene.empty.running_down = True
    scene.empty.queue.members[scene.main] = None
    scene.main.queue = scene.empty.queue
    scene.empty.queue.current_count = 1


def waiters_without_a_handle(scene: Scene) -> None:
    """A port whose last handle is gone, and whose waiters were not told."""
    scene.home.handle_count = 0


def alive_without_references(scene: Scene) -> None:
    """An object that should have been freed."""
    scene.empty.references = 0


def never_referenced(scene: Scene) -> None:
    """An object that nobody holds: without handle or reference it is its maker's fault."""
    scene.kernel.create_port(1)


def freed_but_listed(scene: Scene) -> None:
    """An object that was freed and is still found."""
    scene.empty.freed = True


def fewer_references_than_handles(scene: Scene) -> None:
    """Each handle is a reference (H-02)."""
    scene.empty.handle_count = 5


def finished_but_outstanding(scene: Scene) -> None:
    """A request that has been reported and is listed all the same."""
    scene.request.state = RequestState.FINISHED


CORRUPTIONS: list[tuple[str, Callable[[Scene], None], str]] = [
    ("P-01", count_one_too_many, "1 runnable members but count 2/1"),
    ("P-01", count_one_too_few, "1 runnable members but count 0/1"),
    ("P-02", strand_a_packet, "stranded"),
    ("P-02", unwatched_waiters, "nobody would offer"),
    ("P-06", more_takers_than_run, "2 threads may take"),
    ("P-06", takers_above_the_limit, "1 threads may take"),
    ("P-07", waiter_that_is_no_member, "T1 is a waiter"),
    ("P-07", waiter_that_belongs_elsewhere, "T1 is a waiter"),
    ("P-07", waiter_that_is_not_parked, "blocked elsewhere"),
    ("P-07", parked_but_on_no_list, "T1 is parked but on no waiter list"),
    ("P-07", parked_without_a_call, "T1 is parked but on no waiter list"),
    ("P-07", parked_nowhere, "stranger is parked but on no waiter list"),
    ("P-08", pointing_to_a_queue_that_does_not_know_it, "does not know it"),
    ("P-08", exited_but_associated, "T3 has exited but is still associated"),
    ("P-13", members_after_the_close, "not empty"),
    ("P-13", packets_after_the_close, "not empty"),
    ("P-13", count_after_the_close, "not empty"),
    ("P-13", waiters_without_a_handle, "waiters without a handle"),
    ("P-14", alive_without_references, "is alive"),
    ("P-14", never_referenced, "is alive with 0 handles"),
    ("P-14", freed_but_listed, "is alive"),
    ("P-14", fewer_references_than_handles, "with 5 handles"),
    ("P-15", finished_but_outstanding, "is listed but nothing more will happen"),
]


def test_p14_what_is_not_opened_yet_is_passed_over() -> None:
    """P-14: an object between its making and its first handle is named by who knows; no other is passed over."""
    scene = Scene()
    fresh = scene.kernel.create_port(1)
    check(scene.kernel, {fresh})
    with pytest.raises(InvariantViolation, match="is alive with 0 handles"):
        check(scene.kernel)


@pytest.mark.parametrize(("rule", "corrupt", "words"), CORRUPTIONS, ids=lambda each: getattr(each, "__name__", None))
def test_each_violation_is_found(rule: str, corrupt: Callable[[Scene], None], words: str) -> None:
    """P-01, P-02, P-06, P-07, P-08, P-13, P-14, P-15: a healthy scene passes, a corrupted one is named by its rule."""
    scene = Scene()
    check(scene.kernel)
    corrupt(scene)
    with pytest.raises(InvariantViolation) as violation:
        check(scene.kernel)
    assert violation.value.rule == rule
    assert str(violation.value).startswith(f"{rule}: ")
    assert words in str(violation.value)


def test_a_violation_is_an_assertion_error() -> None:
    """A violation is the product's fault: test runners report it as a failed assertion."""
    assert issubclass(InvariantViolation, AssertionError)


def test_the_description_reads_like_a_row() -> None:
    """Count and limit, who runs, who waits from bottom to top, what is queued from the oldest on."""
    assert describe(Scene().home) == "count 1/1 runnable ['T3'] waiters ['T1', 'T2'] packets ['a', 'b']"


def test_a_thread_is_checked_where_its_port_cannot_see_it() -> None:
    """P-07: a thread that is parked on a queue whose list has it, with a call: in order."""
    scene = Scene()
    scene.main.state = ThreadState.PARKED
    scene.main.queue = scene.empty.queue
    scene.main.dequeue = Dequeue(1, Timeout.LATER, Alertability.PLAIN)
    scene.empty.queue.members[scene.main] = None
    with pytest.raises(InvariantViolation):
        check_thread(scene.main)
    scene.empty.queue.waiters[scene.main] = scene.main.dequeue
    scene.empty.queue.is_watched = True
    check_thread(scene.main)
    check(scene.kernel)
