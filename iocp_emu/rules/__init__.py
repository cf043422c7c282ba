"""The rules of completion ports in a sentence each, by the ids that code, tests, traces and lessons cite.

Theory.  What the kernel does is written in `kernel/`; what it is called stands here, so that everything that shows a
rule to people says it in the same words.  The sentences are data (`catalogue.txt`), read when the first one is asked
for.  A letter is a chapter; S1 to S24 are the sentences of the classic page about ports, told in our words; K and M are
scenarios that show several rules at once.

Own rules.  Nothing of the package is imported here, and no sentence is needed to run a port.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType


class Confidence(enum.Enum):
    """How a rule is known; a rule may have several marks."""

    DOC = "documented by Microsoft"
    OBS = "observed on Windows"
    ROS = "follows from ReactOS"
    DRV = "derived from other rules"
    FOLK = "from public threads and projects"
    CHOICE = "Windows is unknown here: a choice of this emulator"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its `id`, the letter and the title of its chapter, its sentence, and how it is known."""

    id: str
    chapter: str
    chapter_title: str
    sentence: str
    confidence: tuple[Confidence, ...]

    @property
    def related(self) -> tuple[str, ...]:
        """The ids of the rules that the sentence names, ranges such as `I-01 to I-05` unfolded."""
        return tuple(dict.fromkeys(_unfold(self.sentence)))


RULE_ID = re.compile(r"[QOCGNIHAXP]-\d\d|K-\d\d[ab]?|M-\d\d|S\d{1,2}")
"""What an id looks like."""

_CHAPTER = re.compile(r"== ([A-Z])  (.+)")
_RANGE = re.compile(r"([A-Z])-(\d\d)(?: to [A-Z]-(\d\d))?")


def all_rules() -> Mapping[str, Rule]:
    """Every rule by its id, in the order of the catalogue.  O(rules) once, then O(1).

    >>> len(all_rules()), all_rules()["Q-07"].chapter_title
    (291, 'The kernel queue under a port')
    """
    return _read()


def sentence(rule_id: str) -> str:
    """The sentence of a rule; KeyError with the id if there is none.  O(1).

    >>> sentence("O-11")
    'Queueing a packet wakes everybody who waits on the handle itself.'
    """
    return _read()[rule_id].sentence


@cache
def _read() -> Mapping[str, Rule]:
    text = files(__name__).joinpath("catalogue.txt").read_text(encoding="utf-8")
    rules: dict[str, Rule] = {}
    chapter = title = ""
    for block in re.split(r"\n(?=\S)", text):
        head, _, body = block.partition("\n")
        if found := _CHAPTER.fullmatch(head):
            chapter, title = found.groups()
        elif not head.startswith("#"):
            rule_id, *marks = head.split()
            if rule_id in rules:
                raise ValueError(f"the rule {rule_id} stands twice in catalogue.txt")
            rules[rule_id] = Rule(
                rule_id, chapter, title, " ".join(body.split()), tuple(Confidence[mark] for mark in marks)
            )
    return MappingProxyType(rules)


def _unfold(text: str) -> list[str]:
    ids: list[str] = []
    for letter, first, last in _RANGE.findall(text):
        ids += [f"{letter}-{number:02}" for number in range(int(first), int(last or first) + 1)]
    known = _read()
    return [each for each in ids if each in known]


@cache
def _shown_by() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in files(__name__).joinpath("shown_by.txt").read_text(encoding="utf-8").splitlines():
        rule_id, _, test = line.partition(" ")
        found.setdefault(rule_id, []).append(test)
    return {rule_id: tuple(tests) for rule_id, tests in found.items()}


def shown_by(rule_id: str) -> tuple[str, ...]:
    """The tests of this project that show a rule, as `file::function`, or as `file` for a case of a table.  O(1).

    >>> shown_by("K-04")
    ('tests/rules/k_scenarios.py',)
    """
    return _shown_by().get(rule_id, ())
