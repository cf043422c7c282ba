"""W2: handing packets from one thread to another, as a stream and as a rally."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from threading import Lock, Thread

from ..contestants import BARE_LOCK, PORT, QUEUE, SIMPLE_QUEUE, Channel, open_channel
from ..measure import Comparison, Effort, OneByOne, Sample
from ..staging import check_in_order, pinned, settle, spin, wait_until_parked
from .pool import PROCESSOR_TIME


class Stream(OneByOne):
    """One thread posts as fast as it can, a second takes, parked at the start; time per packet to the last.

    A long stream, for the reason given for bursts. Processor time is counted besides, as there.
    """

    packets: Mapping[Effort, int] = {Effort.WARM_UP: 500, Effort.QUICK: 10_000, Effort.FULL: 20_000}

    def __init__(self) -> None:
        super().__init__(
            "stream",
            (Comparison(PORT, QUEUE, goal=0.10), Comparison(PORT, SIMPLE_QUEUE)),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return PORT, QUEUE, SIMPLE_QUEUE

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        count = self.packets[effort]
        channel = open_channel(contestant)
        payloads = [channel.payload(number) for number in range(count)]
        numbers: list[int] = []
        finished: list[float] = []

        def consume() -> None:
            take, keep = channel.take, numbers.append
            for _ in range(count):
                keep(take().bytes)
            finished.append(time.perf_counter())

        consumer = Thread(target=consume, daemon=True)
        consumer.start()
        wait_until_parked(channel, 1)
        put = channel.put
        used = time.process_time()
        start = time.perf_counter()
        for payload in payloads:
            put(payload)
        consumer.join()
        used = time.process_time() - used
        channel.close()
        check_in_order(numbers, 0, count)
        return Sample((finished[0] - start) / count, {PROCESSOR_TIME: used / count * 1e6})


Player = Callable[[], object]


class PingPong(OneByOne):
    """Two threads on one processor hand one packet to and fro, with jittered work in between; cost one way.

    The work keeps the rally from falling into step with the scheduler; its own time, measured in the same
    sample, is taken off. A pair of bare locks is the limit: nothing but the wake-up of a thread.
    """

    rounds: Mapping[Effort, int] = {Effort.WARM_UP: 100, Effort.QUICK: 1_500, Effort.FULL: 6_000}
    longest_work_turns = 60

    def __init__(self) -> None:
        super().__init__(
            "ping-pong",
            (
                Comparison(PORT, BARE_LOCK, goal=1.75),
                Comparison(PORT, QUEUE),
                Comparison(PORT, SIMPLE_QUEUE),
            ),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return PORT, QUEUE, SIMPLE_QUEUE, BARE_LOCK

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        count = self.rounds[effort]
        there = [random.randrange(self.longest_work_turns) for _ in range(count)]
        back = [random.randrange(self.longest_work_turns) for _ in range(count)]
        served: list[int] = []
        returned: list[int] = []
        channels: list[Channel] = []
        if contestant == BARE_LOCK:
            ping, pong = Lock(), Lock()
            ping.acquire()
            pong.acquire()
            serve = _lock_server(pong, ping, there, returned)
            reply = _lock_replier(ping, pong, back, served)
        else:
            ball, answer = open_channel(contestant), open_channel(contestant)
            channels = [ball, answer]
            serve = _channel_server(answer, ball, there, returned)
            reply = _channel_replier(ball, answer, back, served)
        with pinned(random):
            replier = Thread(target=reply, daemon=True)
            replier.start()
            if channels:
                wait_until_parked(channels[0], 1)
            else:
                settle()
            start = time.perf_counter()
            serve()
            elapsed = time.perf_counter() - start
            replier.join()
            start = time.perf_counter()
            for turns in there + back:
                spin(turns)
            work = time.perf_counter() - start
        for channel in channels:
            channel.close()
        check_in_order(served, 0, count)
        check_in_order(returned, 0, count)
        return Sample((elapsed - work) / (2 * count))


def _channel_server(incoming: Channel, outgoing: Channel, work: Sequence[int], log: list[int]) -> Player:
    payloads = [outgoing.payload(number) for number in range(len(work))]

    def serve() -> None:
        put, take, keep = outgoing.put, incoming.take, log.append
        for payload, turns in zip(payloads, work, strict=True):
            spin(turns)
            put(payload)
            keep(take().bytes)

    return serve


def _channel_replier(incoming: Channel, outgoing: Channel, work: Sequence[int], log: list[int]) -> Player:
    payloads = [outgoing.payload(number) for number in range(len(work))]

    def reply() -> None:
        put, take, keep = outgoing.put, incoming.take, log.append
        for payload, turns in zip(payloads, work, strict=True):
            keep(take().bytes)
            spin(turns)
            put(payload)

    return reply


def _lock_server(incoming: Lock, outgoing: Lock, work: Sequence[int], log: list[int]) -> Player:
    def serve() -> None:
        put, take, keep = outgoing.release, incoming.acquire, log.append
        for number, turns in enumerate(work):
            spin(turns)
            put()
            take()
            keep(number)

    return serve


def _lock_replier(incoming: Lock, outgoing: Lock, work: Sequence[int], log: list[int]) -> Player:
    def reply() -> None:
        put, take, keep = outgoing.release, incoming.acquire, log.append
        for number, turns in enumerate(work):
            take()
            keep(number)
            spin(turns)
            put()

    return reply
