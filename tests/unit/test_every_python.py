"""The command that runs the suite on every CPython: whom it finds, and that a failure of one is told."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests import every_python
from tests.every_python import Build, Interpreter, Outcome, ask, find, main

THIS = Path(sys.executable)


def stand_in(folder: Path, name: str, answer: str) -> Path:
    """An executable that answers every question alike."""
    script = folder / name
    script.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    script.chmod(0o755)
    return script


def test_this_interpreter_says_what_it_is() -> None:
    """Version and build as `sys` knows them."""
    asked = ask(THIS)
    assert asked is not None
    is_free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert asked.version == sys.version_info[:3]
    assert asked.build is (Build.FREE_THREADED if is_free_threaded else Build.USUAL)
    assert asked.name.startswith("3.")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
def test_one_of_each_minor_version_and_build_is_found_oldest_first(tmp_path: Path) -> None:
    """What is no CPython from 3.10 on, or no program at all, is passed over; the first of a kind is taken."""
    executables = [
        stand_in(tmp_path, "python3.13", '["CPython", [3, 13, 1], false]'),
        stand_in(tmp_path, "python3.13t", '["CPython", [3, 13, 1], true]'),
        stand_in(tmp_path, "python3.13-later", '["CPython", [3, 13, 2], false]'),
        stand_in(tmp_path, "python3.9", '["CPython", [3, 9, 20], false]'),
        stand_in(tmp_path, "pypy3.11", '["PyPy", [3, 11, 11], false]'),
        stand_in(tmp_path, "python3-config", "--prefix"),
        stand_in(tmp_path, "python3-broken", "Segmentation fault"),
        stand_in(tmp_path, "python3.10", '["CPython", [3, 10, 13], false]'),
        tmp_path / "python3-missing",
    ]
    (tmp_path / "python3-alias").symlink_to(executables[0])
    found = find([*executables, tmp_path / "python3-alias"])
    assert [each.name for each in found] == ["3.10.13", "3.13.1", "3.13.1t"]
    assert [each.executable for each in found] == [executables[7], executables[0], executables[1]]


def test_a_named_interpreter_that_cannot_be_used_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs, with its name."""
    with pytest.raises(SystemExit) as caught:
        main(["--python", "no-such-python", "--list"])
    assert caught.value.code == 2
    assert "no-such-python is no CPython from 3.10 on" in capsys.readouterr().err


@pytest.mark.parametrize(("bad", "status"), [(Outcome.PASSED, 0), (Outcome.FAILED, 1), (Outcome.NOT_INSTALLED, 1)])
def test_the_summary_names_each_and_one_failure_is_a_failure(
    bad: Outcome, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All are run, whatever the first says, with pytest's arguments; the exit status tells."""
    two = [Interpreter(THIS, (3, 10, 1), Build.USUAL), Interpreter(THIS, (3, 13, 1), Build.FREE_THREADED)]
    ran: list[tuple[str, tuple[str, ...]]] = []

    def run(interpreter: Interpreter, arguments: list[str], scratch: Path) -> Outcome:
        assert scratch.is_dir()
        ran.append((interpreter.name, tuple(arguments)))
        return bad if interpreter is two[0] else Outcome.PASSED

    monkeypatch.setattr(every_python, "find", lambda _: two)
    monkeypatch.setattr(every_python, "run_suite", run)
    assert main(["tests/rules", "-q"]) == status
    assert ran == [("3.10.1", ("tests/rules", "-q")), ("3.13.1t", ("tests/rules", "-q"))]
    lines = capsys.readouterr().out.splitlines()
    assert (lines[-2].split()[0], lines[-2].endswith(bad.value)) == ("3.10.1", True)
    assert lines[-1].split() == ["3.13.1t", "0", "s", "passed"]


def test_nothing_to_run_on_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2."""
    monkeypatch.setattr(every_python, "find", lambda _: [])
    assert main([]) == 2
    assert "no CPython found" in capsys.readouterr().err
