"""The tour's first pass: a tree of files, one completion port, a pool of workers.

Theory.  The feeder, which is the tour's own thread and belongs to no port, opens files and starts their first reads;
from then on each packet leads to the next reads, in whichever worker it reaches.  Three bounds keep a huge tree small:
files open, reads in flight, and workers.  The feeder works in waves: when half of the files are finished it opens as
many again, and then starts their reads.  A finished file's result goes to a journal on disk, inside `blocking()`, so
that the worker's slot is free meanwhile (Q-23).

Own rules.  The feeder never waits longer than a moment without looking whether it shall stop or a worker has failed.
However the pass ends, the workers have ended and every file is closed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from .. import (
    Caching,
    CompletionPort,
    File,
    Packet,
    PortClosed,
    SpawnedThread,
    ThreadSystem,
    blocking,
    current_system,
    spawn,
    use,
)
from ..kernel.invariants import InvariantViolation, check
from ..status import ERROR_HANDLE_EOF
from ..trace.recorder import Recorder
from .tour_figures import PortFigures
from .tour_files import FileReading, FoundFile, ReadFile, Unread, reason, walk
from .tour_results import (
    ContextSwitches,
    FileResult,
    PortPass,
    Progress,
    ReferenceStep,
    TourSettings,
    TourStopped,
    WorkerTally,
)

KEPT_OPEN = 3
"""Finished files that stay open until the end, to be seen as the port's last references."""

MOMENT_SECONDS = 0.1
SETTLING_SECONDS = 10.0
FSYNC_SECONDS = 0.01
STOP = "stop"
"""The completion key of the packets that end the workers."""


class Journal:
    """The file to which the workers append their results; its lines are JSON.  Thread-safe.

    Each append reaches the system; it is brought to the disk (fsync) when the last time was a hundredth of a second
    ago.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.synced = 0
        self._file = open(path, "w", encoding="ascii", newline="\n")  # noqa: SIM115 - closed by `close`
        self._lock = threading.Lock()
        self._last_fsync = float("-inf")

    def append(self, path: str, read: ReadFile) -> None:
        """Append one result.  Blocks on the disk and on other workers."""
        line = json.dumps([path, *read])
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
            is_due = time.monotonic() - self._last_fsync >= FSYNC_SECONDS
            if is_due:
                self._last_fsync = time.monotonic()
                self.synced += 1
        if is_due:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; closing again does nothing."""
        self._file.close()

    def results(self) -> list[tuple[str, ReadFile]]:
        """What the file holds, in the order of appending."""
        with open(self.path, encoding="ascii") as file:
            lines = [json.loads(line) for line in file]
        return [(path, ReadFile(*read)) for path, *read in lines]


def read_through_port(settings: TourSettings, scratch: str, progress: Progress, stop: threading.Event) -> PortPass:
    """Make the first pass; `scratch` is an empty directory for the journal.

    Blocks until every file is read.  Raises `TourStopped` soon after `stop` was set, and whatever a worker raised.
    """
    figures = PortFigures()
    recorder = Recorder(figures.observe)
    with use(ThreadSystem(queue_type=recorder.queue_type)):
        feeder = _Feeder(settings, scratch, progress, stop, figures, recorder)
        try:
            return feeder.run()
        finally:
            feeder.clean_up()


def context_switches() -> ContextSwitches | None:
    """This process's context switches so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    return ContextSwitches(usage.ru_nvcsw, usage.ru_nivcsw)


class _Feeder:
    """The pass while it runs.  `_changed` guards what workers and the feeder share."""

    def __init__(
        self,
        settings: TourSettings,
        scratch: str,
        progress: Progress,
        stop: threading.Event,
        figures: PortFigures,
        recorder: Recorder,
    ) -> None:
        self._settings = settings
        self._scratch = scratch
        self._progress = progress
        self._stop = stop
        self._recorder = recorder
        self._system = current_system()
        self._port = CompletionPort(settings.concurrency)
        self._record = PortPass(self._port.concurrency, figures)
        self._journal = Journal(os.path.join(scratch, "results.jsonl"))
        self._threads: list[SpawnedThread[None]] = []
        self._changed = threading.Condition()
        self._readings: dict[int, FileReading] = {}
        self._in_flight = 0
        self._kept: deque[File] = deque()
        self._failure: BaseException | None = None

    # -- the life of the port ----------------------------------------------------------------------------------

    def run(self) -> PortPass:
        """From the first handle to the last reference."""
        settings, record = self._settings, self._record
        self._note("port made", handles=1)
        for number in range(1, settings.workers + 1):
            tally = WorkerTally(f"worker-{number}")
            record.workers.append(tally)
            self._threads.append(spawn(self._work, tally, name=tally.name))
        self._let_workers_park()
        self._note("workers waiting, no file yet", handles=1, calls=settings.workers)
        self._read_everything()
        self._let_workers_park()
        open_files = len(self._kept)
        self._note("all files read, workers waiting again", handles=1, files=open_files, calls=settings.workers)
        for _ in self._threads:
            self._port.post(key=STOP)
            record.posted += 1
        for thread in self._threads:
            thread.join()
        record.depth_left = self._port.depth
        self._check_invariants()
        self._note("workers ended", handles=1, files=open_files)
        self._port.close()
        self._note("port handle closed", files=open_files)
        while self._kept:
            self._kept.popleft().close()
            self._note("a file closed", files=len(self._kept))
        self._check_invariants()
        self._journal.close()
        record.journal = self._journal.results()
        record.journal_synced = self._journal.synced
        return record

    def clean_up(self) -> None:
        """End the workers, wherever they stand, and close everything; after a complete run there is nothing to do."""
        self._port.close()
        for thread in self._threads:
            thread.wait()
        for file in (*(reading.file for reading in self._readings.values()), *self._kept):
            file.close()
        self._journal.close()

    def _read_everything(self) -> None:
        record = self._record
        before = context_switches()
        begun = self._recorder.now()
        self._system.perform(record.figures.begin, begun)
        wave: list[FileReading] = []
        room = self._settings.open_limit
        for key, found in enumerate(walk(self._settings.path, record.census, self._scratch, self._go_on)):
            reading = self._open(key, found)
            if reading is not None:
                wave.append(reading)
            if len(wave) == room:
                self._start(wave)
                self._wait_until(lambda: len(self._readings) <= self._settings.open_limit // 2)
                room = self._settings.open_limit - len(self._readings)
        self._start(wave)
        self._wait_until(lambda: not self._readings)
        ended = self._recorder.now()
        self._system.perform(record.figures.end, ended)
        record.seconds = ended - begun
        after = context_switches()
        if before is not None and after is not None:
            record.switches = ContextSwitches(after[0] - before[0], after[1] - before[1])

    def _note(self, moment: str, *, handles: int = 0, files: int = 0, calls: int = 0) -> None:
        port = self._port
        self._record.references.append(ReferenceStep(moment, port.references, port.freed, handles, files, calls))

    def _check_invariants(self) -> None:
        self._record.invariant_checks += 1
        try:
            self._system.perform(check, self._system.kernel)
        except InvariantViolation as violation:
            self._record.violations.append(str(violation))

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            while not condition():
                self._go_on()
                self._changed.wait(MOMENT_SECONDS)

    def _go_on(self) -> None:
        """Raise what a worker has raised, or `TourStopped`."""
        if self._failure is not None:
            raise self._failure
        if self._stop.is_set():
            raise TourStopped

    def _let_workers_park(self) -> None:
        """Wait until every worker is parked; if one never is, the next step's references tell."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while self._port.waiting < self._settings.workers and time.monotonic() < deadline:
            time.sleep(0.001)

    # -- files -------------------------------------------------------------------------------------------------

    def _open(self, key: int, found: FoundFile) -> FileReading | None:
        """Open a file and associate it; None when it cannot be opened."""
        record = self._record
        try:
            file = File(found.path, caching=Caching.UNBUFFERED)
        except OSError as error:
            record.census.unread.append(Unread(found.path, reason(error)))
            return None
        self._port.associate(file, key)
        reading = FileReading(key, found, file, self._settings.new_digest(), self._settings.chunk_bytes)
        with self._changed:
            self._readings[key] = reading
            record.most_open = max(record.most_open, len(self._readings))
        return reading

    def _start(self, wave: list[FileReading]) -> None:
        """Start the reads of newly opened files."""
        while wave:
            self._advance(wave.pop(0))
        self._check_invariants()

    def _advance(self, reading: FileReading) -> None:
        """Go on with a file whose turn the caller has: hash, start reads, or finish it."""
        limit = self._settings.in_flight_limit
        offsets = reading.advance(limit // max(1, len(self._readings)), limit - self._in_flight)
        if offsets is None:
            self._finish(reading)
            return
        for offset in offsets:
            self._count_requests(1)
            try:
                reading.file.read(self._settings.chunk_bytes, offset)
            except OSError as error:
                self._count_requests(-1)
                if reading.refuse(offset, error):
                    self._advance(reading)

    def _count_requests(self, change: int) -> None:
        record = self._record
        with self._changed:
            record.requests += change
            self._in_flight += change
            record.most_in_flight = max(record.most_in_flight, self._in_flight)

    def _finish(self, reading: FileReading) -> None:
        """The last packet of a file has come: write its result, then make room for the next."""
        record, file = self._record, reading.file
        if reading.failure is not None:
            record.census.unread.append(Unread(reading.found.path, reading.failure))
            file.close()
        else:
            result = FileResult(reading.found, reading.result())
            with blocking():
                self._journal.append(result.found.path, result.read)
            record.results.append(result)
            self._keep(file)
        with self._changed:
            del self._readings[reading.key]
            self._progress.files += 1
            self._changed.notify()

    def _keep(self, file: File) -> None:
        """Keep a finished file open, as one of the last few."""
        with self._changed:
            self._kept.append(file)
            superfluous = self._kept.popleft() if len(self._kept) > KEPT_OPEN else None
        if superfluous is not None:
            superfluous.close()

    # -- workers -----------------------------------------------------------------------------------------------

    def _work(self, tally: WorkerTally) -> None:
        """A worker: take packets until one says stop."""
        try:
            while (packet := self._port.get()).key != STOP:
                tally.packets += 1
                tally.bytes += packet.bytes
                self._process(packet)
            tally.packets += 1
        except PortClosed:
            """The tour was broken off."""
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify()

    def _process(self, packet: Packet) -> None:
        record, error = self._record, packet.error
        with self._changed:
            self._in_flight -= 1
            self._progress.bytes += packet.bytes
            if error is None:
                record.data_packets += 1
            elif error.winerror == ERROR_HANDLE_EOF:
                record.end_packets += 1
            else:
                record.failed_packets += 1
            reading = self._readings[packet.key]
        if reading.put_down(packet.overlapped):
            self._advance(reading)
