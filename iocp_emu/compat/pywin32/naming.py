"""Win32 calls that open an existing object by its name or number, in the manner of the flat face.

Rules of this file: O-02 (names), O-03 (rights).
"""

from __future__ import annotations

from ... import status
from ...flat.support import Caller, caller, check_object_name, map_rights, reports
from ...kernel.jobs import Process
from ...kernel.objects import KernelObject, NtError
from ...kernel.waits import Event


@reports(0)
def open_by_name(kind: type[KernelObject], access: int, name: str) -> int:
    """A handle with `access` of the `kind` of that name.  0: 2 no such object, 6 it is of another kind, 123."""
    me = caller()
    return me.perform(_open_by_name, me, kind, access, name)


def _open_by_name(me: Caller, kind: type[KernelObject], access: int, name: str) -> int:
    check_object_name(name)
    found = me.system.kernel.find_name(name)
    if found is None:
        raise NtError(status.STATUS_OBJECT_NAME_NOT_FOUND)
    if found.type_name != kind.type_name:
        raise NtError(status.STATUS_OBJECT_TYPE_MISMATCH)
    return me.open(found, map_rights(found.type_name, access))


@reports(0)
def open_process(access: int, pid: int) -> int:
    """A handle with `access` of this process or of a child that lives.  0: 87 nobody here knows that number."""
    me = caller()
    return me.perform(_open_process, me, access, pid)


def _open_process(me: Caller, access: int, pid: int) -> int:
    for each in me.system.kernel.objects:
        if isinstance(each, Process) and each.pid == pid and each.exit_code is None:
            return me.open(each, map_rights(each.type_name, access))
    raise NtError(status.STATUS_INVALID_PARAMETER)


@reports(False)
def pulse_event(handle: int, modify_state: int) -> bool:
    """Signal and unsignal in one step: whoever waits now goes on, as far as the event lets them.  False: 6, 5."""
    me = caller()
    me.perform(_pulse, me, handle, modify_state)
    return True


def _pulse(me: Caller, handle: int, modify_state: int) -> None:
    event = me.lookup(handle, Event, modify_state)
    event.set()
    event.reset()
