"""Chapter 8: threads and their one port, A-01 to A-11, rule by rule."""

from __future__ import annotations

import pytest

from iocp_emu.kernel.file import IoMode
from iocp_emu.kernel.queue import RemoveOutcome
from iocp_emu.kernel.thread import KernelThread, ThreadState
from tests.rules.devices import ByHand, Overlapped
from tests.rules.world import World


def workers(world: World, number: int) -> list[str]:
    """Park T1 to T<number> on P, T1 at the bottom."""
    names = [f"T{index}" for index in range(1, number + 1)]
    world.do_all(*(f"{name}: get(P)" for name in names))
    return names


def running(world: World) -> list[str]:
    """The named threads that are runnable, strangers included."""
    return [name for name, thread in world.threads.items() if thread.state is ThreadState.RUNNABLE]


def members(world: World, port: str = "P") -> list[KernelThread]:
    """The threads associated with the port."""
    return list(world.ports[port].queue.members)


def test_a01_association_begins_with_the_first_dequeue() -> None:
    """A-01: not with creating the port, posting to it, binding a file to it or starting I/O on that file."""
    world = World(P=2)
    thread, port = world["T1"], world.ports["P"]
    world.do("T1: post a")
    file = world.keep(world.kernel.create_file(ByHand(), IoMode.OVERLAPPED))
    file.associate(port, "key")
    block = Overlapped()
    request = file.start_request(thread, block, context=block)
    request.pend()
    request.return_to_caller()
    assert world.kernel.wait(thread, [port]) == 0
    assert thread.queue is None
    assert members(world) == []
    assert world.do("T1: get(P)") == "T1 gets a"
    assert thread.queue is port.queue
    assert members(world) == [thread]


def test_a01_a_call_that_runs_an_apc_first_does_not_associate() -> None:
    """A-01: the exception, G-14."""
    world = World(P=2)
    world.do_all("post a", "QueueUserAPC to T1")
    assert world.do("T1: get(P, timeout=0, alertable)") == "T1 returns USER_APC"
    assert world["T1"].queue is None


@pytest.mark.parametrize("end", ["T1 exits", "T1: get(R, timeout=0)", "last handle of P closed"])
def test_a02_association_ends_by_exit_another_port_or_close(end: str) -> None:
    """A-02: and by nothing else (A-03)."""
    world = World(P=2, R=2)
    world.do("T1: get(P, timeout=0)")
    world.do(end)
    assert world["T1"] not in members(world)
    assert world["T1"].queue is not world.ports["P"].queue
    assert world.ports["P"].queue.current_count == 0


def test_a03_it_does_not_end_by_anything_the_thread_does_meanwhile() -> None:
    """A-03: finishing a packet, blocking, timing out, suspension, posting elsewhere, an hour of silence."""
    world = World(P=1, R=1)
    world.do_all("post a to P", "T1: get(P)", "T1 blocks on something else", "T1's other wait is satisfied")
    world.do_all("T1: get(P, timeout=0)", "T1: get(P)", "T1's timeout elapses", "T1: post b to R")
    world.do_all("SuspendThread(T1)", "ResumeThread(T1)", "T1: spins for a second")
    assert members(world) == [world["T1"]]
    assert world.columns().counts == "P: 1/1 ; R: 0/1"


def test_a03_a_thread_that_called_once_holds_its_slot() -> None:
    """A-03: T1 called once and computes; packets queue up although a worker waits (K-16)."""
    world = World(P=1)
    world.do_all("T1: get(P, timeout=0)", "T2: get(P)")
    for number in range(5):
        assert world.do(f"post p{number}") == f"queued (previous depth {number})"
    assert world.columns() == ("1/1", "T1", "T2", "p0 p1 p2 p3 p4")


def test_a04_at_most_one_port_and_alternating_costs_a_release_each_time() -> None:
    """A-04: each zero-timeout call on the other port leaves the first, where a waiter is released."""
    world = World(P=1, R=1)
    world.do_all("T1: get(P, timeout=0)", "T2: get(P)", "T3: get(R)", "post a to P", "post b to R")
    assert world.columns() == ("P: 1/1 ; R: 1/1", "T1 ; T3", "T2 ; -", "a ; -")
    world.do_all("T3: get(R)", "T4: get(R, timeout=0)", "post c to R", "T4 exits")
    assert world.columns() == ("P: 1/1 ; R: 1/1", "T1 ; T3", "T2 ; -", "a ; -")
    assert world.do("T1: get(R, timeout=0)") == "T1 returns TIMEOUT; side effect: T2 gets a"
    assert [members(world, "P"), members(world, "R")] == [[world["T2"]], [world["T3"], world["T1"]]]
    world.do_all("T3: get(R)", "post d to R")
    assert world.columns() == ("P: 1/1 ; R: 1/1", "T2 ; T1", "- ; T3", "- ; d")
    assert world.do("T1: get(P, timeout=0)") == "T1 returns TIMEOUT; side effect: T3 gets d"
    assert world.columns() == ("P: 2/1 ; R: 1/1", "T1,T2 ; T3", "- ; -", "- ; -")


def test_a05_a_worker_that_never_blocks_wakes_nobody() -> None:
    """A-05: with packets always waiting and the worker coming back itself, no other thread is made ready."""
    world = World(P=1)
    workers(world, 3)
    world.do_all("post p0", "post p1")
    for number in range(1, 100):
        world.do(f"post p{number + 1}")
        assert world.do("T3: get(P)") == f"T3 gets p{number}"
    assert world.columns() == ("1/1", "T3", "T1 T2", "p100")


@pytest.mark.parametrize(
    "stop", ["T3 blocks on something else", "T3 exits", "SuspendThread(T3)", "T3: get(R, timeout=0)"]
)
def test_a05_any_stop_wakes_one(stop: str) -> None:
    """A-05: a block, an exit, a move: the next thread goes on with the next packet."""
    world = World(P=1, R=1)
    workers(world, 3)
    world.do_all("post a to P", "post b to P", "post c to P")
    assert world.do(stop).endswith("; side effect: T2 gets b")


def test_a06_the_limit_bounds_hand_outs_and_nothing_else() -> None:
    """A-06: more threads than the limit are associated, hold packets, and run at once."""
    world = World(P=1)
    names = workers(world, 3)
    world.do("post a")
    world.do("T3 blocks on something else")
    world.do("post b")
    world.do("T2 blocks on something else")
    world.do("post c")
    assert world.columns() == ("1/1", "T1", "-", "-")  # three packets in progress
    assert len(members(world)) == 3
    world.do_all("T3's other wait is satisfied", "T2's other wait is satisfied")
    assert world.columns().counts == "3/1"
    assert running(world) == names


def test_a06_threads_that_never_dequeued_are_no_concern_of_the_port() -> None:
    """A-06: runnable strangers occupy no slot."""
    world = World(P=1)
    assert world["stranger"] is not world["other"]
    workers(world, 1)
    assert world.do("post a") == "handed straight to T1 (previous depth 0)"
    assert sorted(running(world)) == ["T1", "other", "stranger"]


def test_a07_blocking_lets_up_to_n_more_run_again_and_again() -> None:
    """A-07: limit 2, nine workers: the packets in progress are bounded by the pool, and all may run at once later."""
    world = World(P=2)
    names = workers(world, 9)
    for number in range(10):
        world.do(f"post p{number}")
    assert running(world) == ["T8", "T9"]
    for top in range(9, 2, -1):
        assert world.do(f"T{top} blocks on something else").endswith(f"; side effect: T{top - 2} gets p{11 - top}")
        assert world.columns().counts == "2/2"
    assert world.columns() == ("2/2", "T1,T2", "-", "p9")
    for top in range(9, 2, -1):
        assert world.do(f"T{top}'s other wait is satisfied") == f"T{top} runs again"
    assert world.columns() == ("9/2", ",".join(names), "-", "p9")


@pytest.mark.parametrize(("limit", "in_progress"), [(1, 1), (2, 2), (4, 4), (8, 6)])
def test_a08_a_larger_limit_lets_more_packets_be_in_progress(limit: int, in_progress: int) -> None:
    """A-08: with six computing workers and ten packets, as many as the limit or the pool allows."""
    world = World(P=limit)
    workers(world, 6)
    for number in range(10):
        world.do(f"post p{number}")
    assert len(running(world)) == in_progress
    assert world.ports["P"].depth == 10 - in_progress


def test_a08_threads_beyond_the_limit_help_only_when_others_block() -> None:
    """A-08: the spare worker is idle until then."""
    world = World(P=2)
    workers(world, 3)
    world.do_all("post a", "post b", "post c")
    assert world.columns() == ("2/2", "T2,T3", "T1", "c")
    assert world.do("T2 blocks on something else") == "T2 stops running; side effect: T1 gets c"


def test_a09_a_parked_thread_never_counts_and_a_ready_one_does() -> None:
    """A-09: not in a dequeue; but from the moment it is made ready, though it has not run yet."""
    world = World(P=2)
    workers(world, 2)
    assert world.columns().counts == "0/2"
    world.kernel.expire(world["T1"])
    assert world.kernel.readied == [world["T1"]]
    assert world.columns().counts == "1/2"
    assert world.collect() == [("T1", RemoveOutcome.TIMEOUT)]
    world.step("T1 is preempted (Ready, not Running)", "no effect on the port", "1/2", "T1", "T2")


def test_a10_the_bottom_waiter_may_starve() -> None:
    """A-10: after a thousand packets T1 is still where it was."""
    world = World(P=1)
    workers(world, 2)
    for number in range(1000):
        assert world.do(f"post p{number}") == "handed straight to T2 (previous depth 0)"
        assert world.do("T2: get(P)") == "T2 parks"
    assert world.columns() == ("0/1", "-", "T1 T2", "-")


@pytest.mark.parametrize("processors", [1, 2, 4, 8])
def test_a11_as_many_run_as_there_are_processors(processors: int) -> None:
    """A-11: ten workers that only compute, default limit: the active threads equal the logical processors."""
    world = World(processors=processors, P=0)
    workers(world, 10)
    for number in range(20):
        world.do(f"post p{number}")
    assert len(running(world)) == processors
    for name in running(world):
        world.do(f"{name}: get(P)")
    assert len(running(world)) == processors
