"""W7: what `import iocp_emu` costs a program that starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import median

from ..measure import Comparison, Effort, OneByOne, Sample, WrongResult

PACKAGE = "iocp_emu"
PACKAGE_AND_PORT = "iocp_emu + port"
STANDARD = "import queue"

_STATEMENTS: dict[str, str] = {
    PACKAGE: "import iocp_emu",
    PACKAGE_AND_PORT: "import iocp_emu; iocp_emu.CompletionPort",
    STANDARD: "import queue",
}
_PROGRAM = """\
import sys
from time import perf_counter
sys.path.append(sys.argv[1])
start = perf_counter()
{statement}
print(perf_counter() - start)
"""


def where_the_package_lies() -> str:
    """The folder that has to be on `sys.path` for the package under test."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WrongResult(f"no package {PACKAGE} to import")
    return str(Path(spec.origin).parents[1])


class ImportTime(OneByOne):
    """Time of one import statement in a started fresh interpreter, byte code cached; median of a few.

    The second row is for a program that goes on to use a port: it adds what the lazy package puts off until
    then.
    """

    processes: Mapping[Effort, int] = {Effort.WARM_UP: 1, Effort.QUICK: 3, Effort.FULL: 5}

    def __init__(self) -> None:
        super().__init__(
            "import",
            (Comparison(PACKAGE, STANDARD, goal=4.0), Comparison(PACKAGE_AND_PORT, STANDARD)),
        )

    def contestants(self, effort: Effort) -> Sequence[str]:
        return tuple(_STATEMENTS)

    def measure(self, contestant: str, effort: Effort, random: Random) -> Sample:
        folder = where_the_package_lies()
        return Sample(median(_import_seconds(contestant, folder) for _ in range(self.processes[effort])))


def _import_seconds(contestant: str, folder: str) -> float:
    program = _PROGRAM.format(statement=_STATEMENTS[contestant])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-s", "-c", program, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise WrongResult(f"`{_STATEMENTS[contestant]}` failed: {reason}")
    return float(done.stdout)
