"""The page on Windows code without Windows says what happens: each of its programs is run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import iocp_emu.compat

PAGE = Path(iocp_emu.compat.__file__).with_name("README.md")
CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
OUTPUTS = (
    "ProactorEventLoop\nProactorEventLoop\nFalse\n",
    "0 3 7 travels along\n",
    "IOCPReactor\n",
    "None current_iocp\n",
)


def test_every_program_has_its_output() -> None:
    """None is left out below."""
    assert len(PROGRAMS) == len(OUTPUTS)


@pytest.mark.parametrize(("program", "output"), list(zip(PROGRAMS, OUTPUTS, strict=True)), ids=range(len(PROGRAMS)))
def test_programs_run(program: str, output: str) -> None:
    """In a fresh interpreter, without a warning."""
    for package, needed in (("twisted", ["twisted"]), ("trio", ["trio", "cffi"])):
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        if f"compat import {package}" in program and missing:
            pytest.skip(f"not installed: {', '.join(missing)} (the extra `dev` has it)")
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)
