"""The page on testing says what happens: each of its examples is run."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import iocp_emu.testing
from iocp_emu.testing import (
    bounds,
    calls,
    explorer,
    histories,
    linearizability,
    program_state,
    samplers,
    schedule_text,
    temporal,
)

PAGE = Path(iocp_emu.testing.__file__).with_name("README.md")


def test_the_page_is_right() -> None:
    """To the letter, but for what hypothesis adds to a failure."""
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    failures, examples = doctest.testfile(str(PAGE), module_relative=False, optionflags=options, encoding="utf-8")
    assert examples > 10
    assert failures == 0


MODULES = (
    bounds,
    calls,
    explorer,
    histories,
    linearizability,
    program_state,
    samplers,
    schedule_text,
    temporal,
)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_in_docstrings_are_right(module: object) -> None:
    """They are run."""
    failures, examples = doctest.testmod(module)  # type: ignore[arg-type]
    assert examples > 0
    assert failures == 0
