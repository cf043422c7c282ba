"""`win32job`: job objects."""

# ruff: noqa: PLC0414 -- the aliases say that these names are exported

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import with_prefixes as _with_prefixes
from .errors import error as error
from .processes import AssignProcessToJobObject as AssignProcessToJobObject
from .processes import CreateJobObject as CreateJobObject
from .processes import IsProcessInJob as IsProcessInJob
from .processes import OpenJobObject as OpenJobObject
from .processes import QueryInformationJobObject as QueryInformationJobObject
from .processes import SetInformationJobObject as SetInformationJobObject
from .processes import TerminateJobObject as TerminateJobObject

if TYPE_CHECKING:

    def __getattr__(name: str) -> int: ...


globals().update(_with_prefixes("JOB_OBJECT_", "JobObject"))
