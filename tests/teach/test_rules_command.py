"""`iocp-emu rules` and the catalogue behind it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from iocp_emu.cli import main
from iocp_emu.rules import RULE_ID, all_rules, sentence, shown_by
from iocp_emu.teach.rules_command import find
from tests.rules.deferred import DEFERRED
from tests.rules.test_coverage_of_rules import rule_ids

CHECKOUT = Path(__file__).resolve().parents[2]


def test_every_rule_of_the_law_has_a_sentence() -> None:
    """The ids are those of the catalogue and S1 to S24, each once and in the right chapter."""
    rules = all_rules()
    assert set(rules) == {*rule_ids(), *(f"S{number}" for number in range(1, 25))}
    for rule in rules.values():
        assert RULE_ID.fullmatch(rule.id)
        assert rule.chapter == rule.id[0]


def test_sentences_read_as_sentences() -> None:
    """Each begins with a capital, ends with a stop, is no longer than a few lines, and is like no other."""
    texts = [rule.sentence for rule in all_rules().values()]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert re.fullmatch(r"[A-Z][^\n]{20,240}\.", text), text


def test_every_rule_says_how_it_is_known() -> None:
    """At least one mark of confidence each."""
    assert [rule.id for rule in all_rules().values() if not rule.confidence] == []


def test_what_a_sentence_refers_to_exists() -> None:
    """Ids in sentences are ids of rules; ranges are unfolded."""
    for rule in all_rules().values():
        named = re.findall(r"\b[QOCGNIHAXPKM]-\d\d\b", rule.sentence)
        assert set(named) <= set(rule.related), rule.id
    assert all_rules()["M-05"].related == ("C-02", "C-03", "C-05", "C-07", "C-08", "C-09")


def test_every_rule_that_is_not_deferred_names_a_test_that_exists() -> None:
    """The list of tests leads to files and functions of this checkout."""
    for rule in rule_ids():
        assert bool(shown_by(rule)) != (rule in DEFERRED), rule
        for test in shown_by(rule):
            file, _, function = test.partition("::")
            assert not function or f"def {function}(" in (CHECKOUT / file).read_text(encoding="utf-8"), test


def test_one_rule_is_shown_with_its_tests(capsys: pytest.CaptureFixture[str]) -> None:
    """An id, in any case, brings the sentence, how it is known, and where it is shown."""
    assert main(["rules", "q-07"]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith("The kernel queue under a port\nQ-07  ")
    assert "documented by Microsoft; observed on Windows" in output
    assert "tests/rules/k_scenarios.py" not in output
    assert "tests/rules/test_queue_rules.py::test_q07" in output
    assert errors == ""
    assert max(map(len, output.splitlines())) <= 130


def test_words_find_sentences() -> None:
    """All words are wanted, in any case; a chapter narrows the search."""
    assert "Q-07" in [rule.id for rule in find(["PARKED", "last"])]
    assert [rule.id for rule in find([], "n")] == [f"N-0{number}" for number in range(1, 9)]
    assert find(["no such words"]) == []


def test_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON document holds each rule with all its tests."""
    assert main(["rules", "--json"]) == 0
    rules = json.loads(capsys.readouterr().out)
    assert {each["id"]: each["sentence"] for each in rules} == {rule: sentence(rule) for rule in all_rules()}
    assert {each["id"]: tuple(each["tests"]) for each in rules} == {rule: shown_by(rule) for rule in all_rules()}
    assert [each["lessons"] for each in rules if each["id"] in ("Q-07", "S6", "Q-40")] == [["L05"], [], ["L05"]]


def test_a_rule_names_its_lessons(capsys: pytest.CaptureFixture[str]) -> None:
    """A single rule, or sentence of the classic page, is shown with the lessons on it."""
    assert main(["rules", "S20"]) == 0
    assert "lessons: L13 Telling the workers something" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["Q-77"], 2, "there is no rule 'Q-77': did you mean 'Q-37'?"),
        (["--chapter", "Z"], 2, "there is no chapter 'Z': known are Q, O, C, G, N, I, H, A, X, P, S, K, M"),
        (["zebra"], 1, "no rule says 'zebra'"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong id or chapter gets a suggestion, words that nobody says a sentence."""
    assert main(["rules", *arguments]) == status
    assert capsys.readouterr().err == f"iocp-emu rules: {message}\n"
