"""Processes and job objects: the packets that a job sends to its port.

Theory.  A process owns a handle table and threads.  A job is a set of processes; jobs nest, and each message goes to
the port of every job in the chain.  A message is a packet: the key of the job's association, the message number in the
byte count, the process id in `overlapped` (X-04).

Rules of this file: X-04, O-27 (several simulated processes), H-02 (a job refers to its port), M-22's process end.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from .. import status
from .completion import IoCompletion, Packet, PacketSource
from .objects import HandleTable, NtError
from .thread import KernelThread, ThreadState
from .waits import Waitable

if TYPE_CHECKING:
    from .machine import Kernel


class JobMessage(enum.IntEnum):
    """Message numbers, sent in the byte count of the packet (X-04; winnt.h)."""

    END_OF_JOB_TIME = 1
    END_OF_PROCESS_TIME = 2
    ACTIVE_PROCESS_LIMIT = 3
    ACTIVE_PROCESS_ZERO = 4
    NEW_PROCESS = 6
    EXIT_PROCESS = 7
    ABNORMAL_EXIT_PROCESS = 8
    PROCESS_MEMORY_LIMIT = 9
    JOB_MEMORY_LIMIT = 10
    NOTIFICATION_LIMIT = 11
    JOB_CYCLE_TIME_LIMIT = 12


ABNORMAL_EXIT_CODES = frozenset(
    {
        0x80000001,  # guard page
        0x80000002,  # datatype misalignment
        0x80000003,  # breakpoint
        0x80000004,  # single step
        0xC0000005,  # access violation
        0xC0000006,  # in-page error
        0xC000001D,  # illegal instruction
        0xC0000025,  # non-continuable exception
        0xC0000026,  # invalid disposition
        0xC000008C,  # array bounds exceeded
        0xC000008D,  # float: denormal operand
        0xC000008E,  # float: divide by zero
        0xC000008F,  # float: inexact result
        0xC0000090,  # float: invalid operation
        0xC0000091,  # float: overflow
        0xC0000092,  # float: stack check
        0xC0000093,  # float: underflow
        0xC0000094,  # integer: divide by zero
        0xC0000095,  # integer: overflow
        0xC0000096,  # privileged instruction
        0xC00000FD,  # stack overflow
        0xC000013A,  # control-C exit
    }
)
"""Exit codes that look like an unhandled exception (JOBPORT)."""


class Process(Waitable):
    """One process: handles, threads, and the jobs that it belongs to, innermost first.  Signalled once it has ended."""

    type_name = "Process"
    __slots__ = ("exit_code", "handles", "jobs", "pid")

    def __init__(self, kernel: Kernel, pid: int) -> None:
        super().__init__(kernel)
        self.pid = pid
        self.handles = HandleTable(kernel, self)
        self.jobs: list[Job] = []
        self.exit_code: int | None = None
        self.reference()

    @property
    def threads(self) -> list[KernelThread]:
        """Its living threads, oldest first.  O(objects of the machine): its end and pictures of it are what asks."""
        return [
            each
            for each in list(self.kernel.objects)
            if isinstance(each, KernelThread) and each.process is self and each.state is not ThreadState.EXITED
        ]

    def exit(self, exit_code: int) -> None:
        """End the process: its threads, then its handles, then the news (X-04).

        STATUS_PROCESS_IS_TERMINATING when it has already ended.
        """
        if self.exit_code is not None:
            raise NtError(status.STATUS_PROCESS_IS_TERMINATING)
        self.exit_code = exit_code
        for thread in self.threads:
            thread.exit(exit_code)
        self.handles.close_all()
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job.remove(self, exit_code)
        self.wake_waits()
        self.dereference()

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Signalled once ended."""
        return self.exit_code is not None


class Job(Waitable, PacketSource):
    """A job object with at most one port.  A wait would end with the job's time limit, which nothing here sets."""

    type_name = "Job"
    __slots__ = ("key", "parent", "port", "processes")

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.port: IoCompletion | None = None
        self.key: Any = None
        self.parent: Job | None = None
        self.processes: dict[Process, None] = {}

    def set_port(self, port: IoCompletion | None, key: Any) -> None:
        """Send messages to `port` with `key` from now on; processes already there are announced.

        None ends it (8 and later, by profile).  STATUS_INVALID_PARAMETER for a second port.
        """
        if port is None:
            if not self.kernel.profile.job_port_removable:
                raise NtError(status.STATUS_INVALID_PARAMETER)
            self._drop_port()
            return
        if self.port is not None:
            raise NtError(status.STATUS_INVALID_PARAMETER)
        port.reference()
        self.port = port
        self.key = key
        for process in self.processes:
            self.notify(JobMessage.NEW_PROCESS, process)

    def assign(self, process: Process) -> None:
        """Add a process; one that is in a job already makes this one nested in that (8 and later, by profile).

        STATUS_ACCESS_DENIED when it has ended, is in this job, or is in a job outside the chain that this one is
        nested in.
        """
        if process.exit_code is not None or self in process.jobs:
            raise NtError(status.STATUS_ACCESS_DENIED)
        chain = self._chain()
        if process.jobs and process.jobs[0] not in chain:
            if self.parent is not None or self.processes or not self.kernel.profile.jobs_nest:
                raise NtError(status.STATUS_ACCESS_DENIED)
            self.parent = process.jobs[0]
            self.parent.reference()
        added = [job for job in chain if job not in process.jobs]
        process.jobs = added + process.jobs
        for each in added:
            each.processes[process] = None
            each.reference()
            each.notify(JobMessage.NEW_PROCESS, process)

    def is_signalled_for(self, thread: KernelThread | None) -> bool:
        """Never: there is no end-of-job time limit."""
        return False

    def _chain(self) -> list[Job]:
        """This job and those that it is nested in, innermost first."""
        chain: list[Job] = [self]
        while chain[-1].parent is not None:
            chain.append(chain[-1].parent)
        return chain

    def remove(self, process: Process, exit_code: int) -> None:
        """A process of the job has ended."""
        abnormal = exit_code in ABNORMAL_EXIT_CODES and self.kernel.profile.abnormal_exit_reported
        del self.processes[process]
        self.notify(JobMessage.ABNORMAL_EXIT_PROCESS if abnormal else JobMessage.EXIT_PROCESS, process)
        if not self.processes:
            self.notify(JobMessage.ACTIVE_PROCESS_ZERO, None)
        self.dereference()

    def notify(self, message: JobMessage, process: Process | None) -> None:
        """Queue one message to the job's own port, if it has one.  O(1)."""
        if self.port is not None:
            self.port.set(Packet(self.key, None if process is None else process.pid, 0, message, self))

    def terminate(self, exit_code: int) -> None:
        """End every process of the job, oldest first."""
        for process in list(self.processes):
            process.exit(exit_code)

    def on_freed(self) -> None:
        """A job without handles and processes gives up its port and its parent."""
        self._drop_port()
        if self.parent is not None:
            self.parent.dereference()
            self.parent = None

    def _drop_port(self) -> None:
        port, self.port, self.key = self.port, None, None
        if port is not None:
            port.dereference()
