"""The contestants that carry packets, each behind the same five callables.

Theory. A wrapper around `put` would cost a slim contestant more than a fat one, so an adapter holds the
contestant's own bound methods and the workload's loop calls them directly. The loop reads `.bytes` of what
it takes. A completion port makes that object itself, so it is given a bare number; the peers are given a
`Message` made before the clock starts, which spares them the cost of building one.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Protocol

PORT = "port"
SIMPLE_QUEUE = "SimpleQueue"
QUEUE = "queue.Queue"
DEQUE = "deque"
BARE_LOCK = "bare lock"
THREAD_POOL = "thread pool"
WINE = "Wine's port"

WINE_IN_QUEUES = 32 / 4.9
"""What post and get cost at Wine 8.0's own port (C client and server), in puts and gets of `queue.Queue`: both as once
measured on one machine, in microseconds.  Wine is not needed for a run."""

CONCURRENCY = 2  # of every port here: fixed, so that counts of workers mean the same on every machine
STOP = 2**32 - 1  # the number that ends a worker; the largest that a packet's `bytes` can hold


class Received(Protocol):
    """What a contestant hands to the consumer."""

    @property
    def bytes(self) -> int: ...


@dataclass(slots=True)
class Message:
    """What a peer carries: as much as the reader of a packet looks at here."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Channel:
    """One contestant, freshly made: how to put, take, and make what is put."""

    put: Callable[[Any], object]
    take: Callable[[], Received]
    take_many: Callable[[int], Sequence[Received]]
    payload: Callable[[int], Any]
    waiting: Callable[[], int | None]  # threads parked in `take`; None where the contestant cannot tell
    close: Callable[[], object]


def _nobody_knows() -> None:
    return None


def _nothing_to_close() -> None:
    return None


def _number_itself(number: int) -> int:
    return number


def completion_port() -> Channel:
    """`iocp_emu.CompletionPort` through its object face; raises ImportError where the package is missing."""
    import iocp_emu  # here, so that listing workloads and testing the harness need no product

    port = iocp_emu.CompletionPort(concurrency=CONCURRENCY)
    return Channel(
        put=port.post,
        take=port.get,
        take_many=port.get_many,
        payload=_number_itself,
        waiting=lambda: port.waiting,
        close=port.close,
    )


def peer_channel(put: Callable[[Any], object], take: Callable[[], Received]) -> Channel:
    """A peer behind its own `put` and `take`: carries messages, has no batches, cannot tell its waiters."""

    def take_many(count: int) -> list[Received]:
        return [take() for _ in repeat(None, count)]

    return Channel(put, take, take_many, Message, _nobody_knows, _nothing_to_close)


def simple_queue() -> Channel:
    """`queue.SimpleQueue`, written in C: the best that the standard library has."""
    channel: queue.SimpleQueue[Message] = queue.SimpleQueue()
    return peer_channel(channel.put, channel.get)


def condition_queue() -> Channel:
    """`queue.Queue`, a lock and three conditions in Python: what most programs use."""
    channel: queue.Queue[Message] = queue.Queue()
    return peer_channel(channel.put, channel.get)


def plain_deque() -> Channel:
    """`collections.deque` without any waiting: the limit for one thread."""
    channel: deque[Message] = deque()
    return peer_channel(channel.append, channel.popleft)


CHANNELS: dict[str, Callable[[], Channel]] = {
    PORT: completion_port,
    SIMPLE_QUEUE: simple_queue,
    QUEUE: condition_queue,
    DEQUE: plain_deque,
}


def open_channel(contestant: str) -> Channel:
    """A fresh channel of the named contestant."""
    return CHANNELS[contestant]()
