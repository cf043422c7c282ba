"""What the documentation shows is run: doctests of every module, the programs of the README, its two commands."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import iocp_emu

README = Path(__file__).parents[2] / "README.md"
MODULES = sorted(module.name for module in pkgutil.walk_packages(iocp_emu.__path__, "iocp_emu."))
EXTRAS = {
    "iocp_emu.teach.experiment.figure": ("matplotlib",),
    "iocp_emu.teach.experiment.terminal": ("rich",),
}
"""What some modules stand on; every other one is imported without any extra."""
PROGRAMS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "iocp_emu.__main__"])
def test_doctests(name: str) -> None:
    """Each example in a docstring gives what it says; modules of an extra, where that is installed."""
    for extra in EXTRAS.get(name, ()):
        pytest.importorskip(extra, reason=f"{name} needs an extra")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_readme_programs_run(program: str) -> None:
    """Each program of the README runs in a fresh interpreter, without a warning on stderr."""
    command = [sys.executable, "-X", "dev", "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


def test_readme_has_its_programs_and_two_commands() -> None:
    """A program for each thing to do; the commands are where CI takes them from."""
    assert len(PROGRAMS) == 7
    commands = re.findall(r"<!-- (?:tests|main job) -->\n```sh\n(.+)\n```", README.read_text(encoding="utf-8"))
    assert len(commands) == 2


def test_every_public_name_is_there() -> None:
    """The lazy names of the package can all be loaded, are listed, and an unknown one is an AttributeError."""
    for name in iocp_emu.__all__:
        assert getattr(iocp_emu, name) is not None
    assert set(iocp_emu.__all__) <= set(dir(iocp_emu))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = iocp_emu.no_such_name  # pyright: ignore[reportAttributeAccessIssue]
