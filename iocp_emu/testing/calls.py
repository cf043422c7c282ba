"""What a worker of a test does, as data: calls that a machine makes on the kernel, or that a thread makes for real.

Theory.  A worker under test is a generator that yields calls and is sent what they bring.  A `Program` is workers made
of nothing but calls; it can be played by a `PortMachine`, or its workers run as plain blocking functions, on real
threads or in a simulation, whichever system is in use.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..port import CompletionPort
from ..sync import compute, sleep


@dataclass(frozen=True, slots=True)
class Get:
    """Dequeue: a packet, or None when the time is over.  `timeout` in seconds; None waits for ever, 0 never."""

    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """Post a packet with this key to the port."""

    key: Any


@dataclass(frozen=True, slots=True)
class Block:
    """Block on something that is not the port, for so many seconds; the slot is free meanwhile (Q-23)."""

    seconds: float = 0.001


@dataclass(frozen=True, slots=True)
class Compute:
    """Compute for so many seconds; the slot stays taken (Q-29)."""

    seconds: float = 0.001


Call: TypeAlias = "Get | Post | Block | Compute"
Worker: TypeAlias = Generator[Call, Any, None]
"""A worker under test."""


@dataclass(frozen=True)
class Program:
    """Workers on one port with the concurrency value `limit`: each a list of calls, made one after another.

    >>> Program(limit=1, workers=((Post("a"), Get(0)),)).size
    2
    """

    limit: int
    workers: tuple[tuple[Call, ...], ...]

    @property
    def size(self) -> int:
        """Calls in all."""
        return sum(map(len, self.workers))

    def worker(self, number: int) -> Worker:
        """One worker, as a generator."""
        yield from self.workers[number]

    def run(self, number: int, port: CompletionPort) -> list[Any]:
        """One worker, for real: the keys that it has got, None for a timeout.  Blocks as its calls do."""
        got: list[Any] = []
        for call in self.workers[number]:
            if isinstance(call, Get):
                try:
                    got.append(port.get(call.timeout).key)
                except TimeoutError:
                    got.append(None)
            elif isinstance(call, Post):
                port.post(key=call.key)
            elif isinstance(call, Block):
                sleep(call.seconds)
            else:
                compute(call.seconds)
        return got
