"""Every rule of semantics.md has a test that carries its id (see `bearers.py`), or a place in `deferred.py` with a
reason.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tests.rules.bearers import INDEX, TESTS, carried, index_of_tests, modules
from tests.rules.deferred import DEFERRED

HERE = Path(__file__).parent


def rule_ids() -> dict[str, str]:
    """Every id with its chapter."""
    lines = (HERE / "rule_ids.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def coverage() -> dict[str, list[str]]:
    """Which files cover which id."""
    files: dict[str, list[str]] = defaultdict(list)
    for path in modules(TESTS):
        for rule in carried(path.read_text(encoding="utf-8")):
            files[rule].append(path.relative_to(TESTS).as_posix())
    return files


def test_every_rule_has_a_test_or_a_reason(coverage: dict[str, list[str]]) -> None:
    """A rule that is neither tested nor deferred is a hole."""
    holes = [f"{rule} (chapter {where})" for rule, where in rule_ids().items() if rule not in {*coverage, *DEFERRED}]
    assert holes == []


def test_deferred_rules_have_no_test(coverage: dict[str, list[str]]) -> None:
    """A reason that has become untrue goes away."""
    assert {rule: coverage[rule] for rule in DEFERRED if rule in coverage} == {}


def test_deferred_rules_exist_and_have_a_reason() -> None:
    """The list names rules of the catalogue and says why, in a line."""
    assert set(DEFERRED) <= set(rule_ids())
    assert all(20 < len(reason) < 120 and "\n" not in reason for reason in DEFERRED.values())


def test_no_test_of_this_folder_carries_an_unknown_id() -> None:
    """A slip in an id would leave a hole elsewhere and look like a test here."""
    known = rule_ids()
    strangers = {
        path.name: sorted(set(carried(path.read_text(encoding="utf-8"))) - set(known)) for path in HERE.glob("*.py")
    }
    assert {name: ids for name, ids in strangers.items() if ids} == {}


def test_the_catalogue_is_all_here() -> None:
    """As many ids of each kind as the catalogue has, each in the chapter where it stands."""
    ids = rule_ids()
    numbers = {letter: sum(rule.startswith(letter) for rule in ids) for letter in "QOCGNIHAXPKM"}
    assert numbers == {
        "Q": 40, "O": 22, "C": 18, "G": 21, "N": 8, "I": 38, "H": 9, "A": 11, "X": 11, "P": 18, "K": 37, "M": 34
    }  # fmt: skip
    chapters = {letter: {where for rule, where in ids.items() if rule.startswith(letter)} for letter in numbers}
    assert chapters == {
        "Q": {"1"}, "O": {"2"}, "C": {"3"}, "G": {"4"}, "N": {"5"}, "I": {"6"}, "H": {"7"}, "A": {"8"}, "X": {"9"},
        "P": {"P"}, "K": {"12"}, "M": {"12"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ('def test_q10_insert(): "What an insert does."', {"Q-10"}),
        ('def test_q20_q21_counts(): ""', {"Q-20", "Q-21"}),
        ("def test_k32a_wine(): pass", {"K-32a"}),
        ('def test_it(): "Q-01: state."', {"Q-01"}),
        ('async def test_it(): "Q-01, Q-02 (K-01): state."', {"Q-01", "Q-02"}),
        ('def test_it(): "State, see Q-01."', set()),
        ('def helper_q10(): "Q-10: no test."', set()),
        ("def test_q1_short(): pass", set()),
        ("@pytest.mark.skip\ndef test_q10_later(): pass", set()),
        ('@pytest.mark.xfail(reason="no")\ndef test_q10_later(): pass', set()),
        ('@pytest.mark.parametrize("x", [1])\ndef test_q10_now(x): pass', {"Q-10"}),
        ('SCENARIOS = [Scenario("K-01", "Q-12"), other.Scenario("K-02")]', {"K-01", "K-02"}),
        ('CASES = [pytest.param(1, id="M-01"), pytest.param(2, id="large")]', {"M-01"}),
        ('print("K-01", id="M-01")', set()),
    ],
)
def test_what_counts_as_carrying_an_id(source: str, ids: set[str]) -> None:
    """The reader finds what it should, and takes nothing else for a test."""
    assert set(carried(source)) == ids


def test_the_index_of_tests_is_up_to_date() -> None:
    """What `iocp-emu rules` shows is what the tests carry; `python -m tests.rules.bearers` writes it anew."""
    assert INDEX.read_text(encoding="utf-8") == index_of_tests()
