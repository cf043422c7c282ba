"""pywin32's own tests of what the modules cover pass, unmodified.

They are not fetched: the environment variable IOCP_EMU_PYWIN32_TESTS names the directory `win32/test` of a pywin32.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DIRECTORY = os.environ.get("IOCP_EMU_PYWIN32_TESTS")
CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.skipif(DIRECTORY is None, reason="IOCP_EMU_PYWIN32_TESTS names no directory")
def test_pywin32s_own_tests_pass_but_for_those_with_a_cause() -> None:
    assert DIRECTORY is not None
    command = [sys.executable, "-m", "tests.clients.pywin32.run_own_tests", DIRECTORY]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
