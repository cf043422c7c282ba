"""Simulated disks and networks: latency, queue depth, faults, cancelling, closing, by the rules of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iocp_emu import CompletionPort, Packet, SimulatedDisk, SimulatedNetwork, Simulation, sleep, wait
from iocp_emu.kernel.invariants import check
from iocp_emu.overlapped.simulated import Fault, Faults
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.chance import Constant, Exponential, LogNormal, Uniform, exponential, logarithm
from iocp_emu.runtime.schedulers import ChoiceKind, ChoicePoint

ERROR_CODES = {
    Fault.FAIL: 1117,
    Fault.CANCEL: 995,
    Fault.WARNING: 234,
}


def play(program: Callable[[Simulation], Any], **options: Any) -> Any:
    """What a program returns as the only first thread of a simulation."""
    with Simulation(**options) as simulation:
        thread = simulation.spawn(program, simulation)
        simulation.run()
        check(simulation.kernel)
    return thread.result


def certain(fault: Fault) -> Faults:
    """A device to which this always happens."""
    return Faults(**{fault.name.lower(): 1.0})


def test_reading_and_writing(carrier: Carrier) -> None:
    """I-05, table 6.6: data, short reads at the end, end of file, gaps of zeros; each operation takes its latency."""

    def program(simulation: Simulation) -> Any:
        port, disk = CompletionPort(), SimulatedDisk(latency=0.01)
        file = disk.open("data", b"hello")
        port.associate(file, "key")

        def done(operation: Any) -> Any:
            assert not operation.done
            packet = port.get()
            assert (packet.key, packet.overlapped) == ("key", operation)
            return bytes(operation.data), packet.error.winerror if packet.error else None

        assert done(file.read(100)) == (b"hello", None)
        assert done(file.read(3, 3)) == (b"lo", None)
        assert done(file.read(3, 5)) == (b"", 38)
        assert done(file.write(b"X", 7)) == (b"X", None)
        assert done(file.read(0)) == (b"", None)
        assert disk.contents("data") == b"hello\0\0X"
        file.close()
        return simulation.now

    assert play(program, carrier=carrier) == 0.05


@pytest.mark.parametrize(("depth", "seconds"), [(1, 0.08), (2, 0.04), (4, 0.02), (8, 0.01), (100, 0.01)])
def test_queue_depth(depth: int, seconds: float) -> None:
    """So many operations are served at once; packets come in the order of completion (I-11)."""

    def program(simulation: Simulation) -> Any:
        port, disk = CompletionPort(), SimulatedDisk(0.01, queue_depth=depth)
        file = disk.open("data", bytes(8))
        port.associate(file)
        for number in range(8):
            file.read(1, number, tag=number)
        assert disk.outstanding == 8
        order = [port.get().overlapped.tag for _ in range(8)]
        return order, simulation.now

    assert play(program) == (list(range(8)), seconds)


@pytest.mark.parametrize("fault", [Fault.FAIL, Fault.CANCEL, Fault.WARNING, Fault.SHORT, Fault.LATE])
def test_faults_that_come_later(fault: Fault) -> None:
    """Each arrives as a packet: an error, fewer bytes, or ten times as late (I-05, G-02)."""

    def program(simulation: Simulation) -> Packet:
        port, file = CompletionPort(), SimulatedDisk(0.01, faults=certain(fault)).open("data", b"12345")
        port.associate(file)
        file.read(5)
        packet = port.get()
        assert simulation.now == (0.1 if fault is Fault.LATE else 0.01)
        return packet

    packet = play(program)
    assert (packet.error and packet.error.winerror) == ERROR_CODES.get(fault)
    assert packet.bytes == {Fault.SHORT: 3, Fault.WARNING: 5, Fault.LATE: 5}.get(fault, 0)


def test_synchronous_success_brings_a_packet() -> None:
    """I-02: the operation has ended when the call returns, and its packet is there."""

    def program(simulation: Simulation) -> Any:
        port, file = CompletionPort(), SimulatedDisk(0.01, faults=certain(Fault.SYNCHRONOUS_SUCCESS)).open("d", b"12")
        port.associate(file)
        operation = file.read(2)
        assert operation.done
        return port.get(timeout=0).overlapped is operation, simulation.now

    assert play(program) == (True, 0.0)


def test_synchronous_error_brings_none() -> None:
    """I-03: the call raises, and no packet ever comes."""

    def program(simulation: Simulation) -> None:
        port, file = CompletionPort(), SimulatedDisk(0.01, faults=certain(Fault.SYNCHRONOUS_ERROR)).open("d", b"12")
        port.associate(file)
        with pytest.raises(OSError, match="1117"):
            file.read(2)
        with pytest.raises(TimeoutError):
            port.get(timeout=1)

    play(program)


def test_cancel(carrier: Carrier) -> None:
    """I-40, I-41: a waiting and a served operation end early, each with its packet; the next one is served then."""

    def program(simulation: Simulation) -> Any:
        port, disk = CompletionPort(), SimulatedDisk(1.0)
        file = disk.open("data", bytes(3))
        port.associate(file)
        served, waiting, last = (file.read(1, number) for number in range(3))
        sleep(0.5)
        assert waiting.cancel()
        assert served.cancel()
        assert not served.cancel()
        found = [port.get() for _ in range(3)]
        assert [each.overlapped for each in found] == [waiting, served, last]
        return [each.error and each.error.winerror for each in found], simulation.now

    assert play(program, carrier=carrier) == ([995, 995, None], 1.5)


def test_a_cancel_that_comes_too_late() -> None:
    """I-41: what has begun may end normally all the same."""

    def program(simulation: Simulation) -> Any:
        port, file = CompletionPort(), SimulatedDisk(1.0, faults=certain(Fault.UNCANCELLABLE)).open("d", b"1")
        port.associate(file)
        operation = file.read(1)
        assert operation.cancel()
        return port.get().error, simulation.now

    assert play(program) == (None, 1.0)


def test_closing_cancels() -> None:
    """I-43: the last handle ends what is outstanding, and the packets still come."""

    def program(simulation: Simulation) -> Any:
        port, file = CompletionPort(), SimulatedDisk(1.0).open("d", bytes(3))
        port.associate(file)
        for number in range(3):
            file.read(1, number)
        file.close()
        with pytest.raises(ValueError, match="closed"):
            file.read(1)
        return [port.get().error.winerror for _ in range(3)], simulation.now  # type: ignore[union-attr]

    assert play(program) == ([995] * 3, 0.0)


def test_waiting_for_a_file_without_a_port() -> None:
    """I-08: without an event of its own an operation signals the file."""

    def program(simulation: Simulation) -> Any:
        file = SimulatedDisk(2.0).open("d", b"abc")
        operation = file.read(3)
        assert wait([file]) is file
        return bytes(operation.data), simulation.now

    assert play(program) == (b"abc", 2.0)


def test_the_network(carrier: Carrier) -> None:
    """Bytes arrive in order whatever their latencies; a receive waits for one; closing is told to the other end."""

    def program(simulation: Simulation) -> Any:
        network = SimulatedNetwork(Uniform(0.001, 0.01), queue_depth=4)
        left, right = network.connect()
        port = CompletionPort()
        port.associate(left, "left")
        port.associate(right, "right")
        sends = [left.send(bytes([number])) for number in range(20)]
        found = b""
        while len(found) < 20:
            operation = right.receive(5)
            while (packet := port.get()).overlapped is not operation:
                assert packet.key == "left"
                assert packet.overlapped in sends
            found += bytes(operation.data)
        pending = right.receive(5)
        left.close()
        while (packet := port.get()).overlapped is not pending:
            pass
        assert (packet.bytes, packet.error) == (0, None)
        right.send(b"nobody is there")
        while (packet := port.get()).key != "right":
            pass
        return found, packet.error and packet.error.winerror

    assert play(program, carrier=carrier) == (bytes(range(20)), 64)


def test_a_receive_can_be_cancelled() -> None:
    """I-41: one that waits ends at once."""

    def program(simulation: Simulation) -> Any:
        left, _right = SimulatedNetwork().connect()
        port = CompletionPort()
        port.associate(left)
        assert left.receive(1).cancel()
        packet = port.get()
        return packet.error and packet.error.winerror

    assert play(program) == 995


@pytest.mark.parametrize(
    ("fault", "code", "count"),
    [
        (Fault.FAIL, 64, 0),
        (Fault.CANCEL, 995, 0),
        (Fault.SHORT, None, 2),
        (Fault.WARNING, 234, 4),
        (Fault.LATE, None, 4),
    ],
)
def test_faults_of_receives(fault: Fault, code: int | None, count: int) -> None:
    """The same faults as on the disk; what a short receive has left comes with the next."""

    def program(simulation: Simulation) -> Any:
        left, right = SimulatedNetwork(faults=certain(fault)).connect()
        right._device.arrive(memoryview(b"abcd"))  # type: ignore[attr-defined]
        port = CompletionPort()
        port.associate(right)
        right.receive(10)
        packet = port.get()
        left.close()
        return packet.error and packet.error.winerror, packet.bytes

    assert play(program) == (code, count)


class Fixed:
    """Answers every outcome with the option of this fault, every step with the first."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen: list[ChoicePoint] = []

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def choose(self, point: ChoicePoint) -> int:
        """Remember what was asked."""
        if point.kind is ChoiceKind.STEP:
            return 0
        self.seen.append(point)
        return point.options.index(self.fault)


def test_faults_are_choices_of_the_scheduler() -> None:
    """An explorer sees every fault that is possible, and only those, and decides."""

    def program(simulation: Simulation) -> Any:
        faults = Faults(fail=0.01, short=0.01)
        port, file = CompletionPort(), SimulatedDisk(faults=faults).open("data", b"1234")
        port.associate(file)
        file.read(4)
        return port.get().bytes

    scheduler = Fixed(Fault.SHORT)
    assert play(program, scheduler=scheduler) == 2
    (point,) = scheduler.seen
    assert point.options == [Fault.NONE, Fault.FAIL, Fault.SHORT]
    assert point.weights == pytest.approx([0.98, 0.01, 0.01])
    assert point.subject == "read of data"


def test_faults_come_as_often_as_they_should() -> None:
    """A thousand operations under the seeded scheduler, each fault within four standard deviations."""

    def program(simulation: Simulation) -> Counter[int | None]:
        faults = Faults(fail=0.1, cancel=0.2, warning=0.3)
        port, file = CompletionPort(), SimulatedDisk(faults=faults).open("data", b"1234")
        port.associate(file)
        for _ in range(1000):
            file.read(4)
        errors = [port.get().error for _ in range(1000)]
        return Counter(error.winerror if error else None for error in errors)

    found = play(program)
    for code, share in ((1117, 0.1), (995, 0.2), (234, 0.3), (None, 0.4)):
        assert abs(found[code] - 1000 * share) < 4 * (1000 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("distribution", [Constant(2), Uniform(1, 3), Exponential(2), LogNormal(1, 0.5)])
def test_distributions_have_their_mean(distribution: Any) -> None:
    """Twenty thousand draws, within four standard errors."""
    random = Random(4)
    drawn = [distribution.draw(random) for _ in range(20000)]
    mean = sum(drawn) / len(drawn)
    deviation = (sum((each - mean) ** 2 for each in drawn) / len(drawn)) ** 0.5
    expected = 2.0 if not isinstance(distribution, LogNormal) else exponential(0.125)
    assert abs(mean - expected) <= 4 * deviation / len(drawn) ** 0.5
    assert min(drawn) >= 0


@given(st.floats(1e-300, 1e300), st.floats(-700, 700))
def test_own_logarithm_and_exponential(positive: float, exponent: float) -> None:
    """As those of the host, but for the last digits."""
    import math

    assert logarithm(positive) == pytest.approx(math.log(positive), rel=1e-14, abs=1e-15)
    assert exponential(exponent) == pytest.approx(math.exp(exponent), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10000),
    count=st.integers(1, 20),
    depth=st.integers(1, 5),
    cancels=st.lists(st.integers(0, 19), max_size=6),
)
def test_one_packet_for_every_operation_that_pended(seed: int, count: int, depth: int, cancels: list[int]) -> None:
    """P-15, P-16: whatever goes wrong, each accepted operation brings one packet, each refused one none."""

    def program(simulation: Simulation) -> None:
        faults = Faults(
            fail=0.1, short=0.1, cancel=0.1, late=0.1, synchronous_success=0.1, synchronous_error=0.1,
            warning=0.1, uncancellable=0.5,
        )  # fmt: skip
        port, disk = CompletionPort(), SimulatedDisk(Exponential(0.01), depth, faults)
        file = disk.open("data", bytes(100))
        port.associate(file)
        accepted, refused = [], []
        for number in range(count):
            try:
                accepted.append(file.read(10, number))
            except OSError as error:
                refused.append(error.winerror)  # type: ignore[attr-defined]
        for number in cancels:
            if number < len(accepted):
                sleep(0.005)
                accepted[number].cancel()
        found = [port.get().overlapped for _ in accepted]
        assert set(refused) <= {1117}
        assert Counter(map(id, found)) == Counter(map(id, accepted))
        assert all(operation.done for operation in accepted)
        with pytest.raises(TimeoutError):
            port.get(timeout=1000)
        assert disk.outstanding == 0

    play(program, seed=seed)


def test_devices_belong_to_a_simulation() -> None:
    """Outside of one, or with bad arguments, the reason is told."""
    with pytest.raises(RuntimeError, match="with Simulation"):
        SimulatedDisk()
    with Simulation():
        with pytest.raises(ValueError, match="queue_depth"):
            SimulatedDisk(queue_depth=0)
        with pytest.raises(ValueError, match="probabilities"):
            Faults(fail=0.7, late=0.7)
        with pytest.raises(ValueError, match="low must not be above high"):
            Uniform(2, 1)
        with pytest.raises(ValueError, match="mean must be 0 or more"):
            Exponential(-1)
        with pytest.raises(TypeError, match="size"):
            SimulatedDisk().open("data").read("x")  # type: ignore[arg-type]
