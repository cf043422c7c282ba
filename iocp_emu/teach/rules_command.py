"""`iocp-emu rules`: the rules of completion ports, by id, chapter or word, and the tests and lessons that show each.

Own rule.  The sentences and the list of tests are `iocp_emu.rules`; here they are only found and printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable

from ..rules import RULE_ID, Rule, all_rules, shown_by
from .arguments import unknown
from .lessons.catalogue import all_lessons
from .lessons.lesson import Lesson

WIDTH_COLUMNS = 80
MOST_TESTS = 8
"""Tests named for one rule in text; the JSON document has all of them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes, and what it runs."""
    parser.description = "Print rules with a sentence each; a single rule also with the tests that show it."
    parser.epilog = (
        "Examples: iocp-emu rules Q-10;  iocp-emu rules last waiter;  iocp-emu rules --chapter S.  "
        "Exit status: 1 when no rule has all the words."
    )
    parser.add_argument("words", nargs="*", metavar="ID|WORD", help="ids, or words of the sentence (default: all)")
    parser.add_argument("--chapter", metavar="LETTER", help=f"one chapter of {', '.join(_chapters())}")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    chapter: str | None = arguments.chapter
    if chapter is not None and chapter.upper() not in _chapters():
        print(f"iocp-emu rules: {unknown('chapter', chapter, _chapters())}", file=sys.stderr)
        return 2
    try:
        found = find(arguments.words, chapter)
    except KeyError as error:
        print(f"iocp-emu rules: {unknown('rule', str(error.args[0]), all_rules())}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps([document(rule) for rule in found], indent=2))
    elif found:
        print(listing(found))
    if not found:
        print(f"iocp-emu rules: no rule says {' '.join(arguments.words)!r}", file=sys.stderr)
        return 1
    return 0


def _chapters() -> dict[str, str]:
    return {rule.chapter: rule.chapter_title for rule in all_rules().values()}


def find(words: Iterable[str], chapter: str | None = None) -> list[Rule]:
    """The rules with these ids, or whose sentence has all of these words (any case), within a chapter if one is given.

    KeyError for what looks like an id and is none.  O(rules).

    >>> [rule.id for rule in find(["parked", "last"])]
    ['Q-07']
    """
    given = list(words)
    ids = {word[0].upper() + word[1:] for word in given if RULE_ID.fullmatch(word[0].upper() + word[1:])}
    for each in sorted(ids - all_rules().keys()):
        raise KeyError(each)
    texts = [word.casefold() for word in given if word[0].upper() + word[1:] not in ids]
    return [
        rule
        for rule in all_rules().values()
        if (chapter is None or rule.chapter == chapter.upper())
        and (not ids or rule.id in ids)
        and all(word in rule.sentence.casefold() for word in texts)
    ]


def document(rule: Rule) -> dict[str, object]:
    """A rule as plain data for JSON."""
    return {
        "id": rule.id,
        "chapter": rule.chapter_title,
        "sentence": rule.sentence,
        "confidence": [mark.name for mark in rule.confidence],
        "related": list(rule.related),
        "tests": list(shown_by(rule.id)),
        "lessons": [each.id for each in lessons_on(rule.id)],
    }


def lessons_on(rule_id: str) -> list[Lesson]:
    """The lessons that show a rule, or a sentence of the classic page.  Loads all of them at first."""
    return [lesson for lesson in all_lessons() if rule_id in lesson.rules or rule_id in lesson.sentence_ids]


def listing(rules: list[Rule]) -> str:
    """The rules as text, by chapters; one rule alone with everything that is known of it."""
    lines: list[str] = []
    chapter = ""
    for rule in rules:
        if rule.chapter != chapter:
            chapter = rule.chapter
            lines += ["", rule.chapter_title] if lines else [rule.chapter_title]
        lines.append(_filled(f"{rule.id:<6}", rule.sentence))
    if len(rules) == 1:
        lines += _details(rules[0])
    return "\n".join(lines)


def _details(rule: Rule) -> list[str]:
    lines = ["", f"known: {'; '.join(mark.value for mark in rule.confidence)}"]
    tests = shown_by(rule.id)
    if tests:
        lines += ["shown by:", *(f"  {test}" for test in tests[:MOST_TESTS])]
        lines += [f"  and {len(tests) - MOST_TESTS} more (--json has all)"] if len(tests) > MOST_TESTS else []
    elif rule.chapter == "S":
        lines.append("shown by: the tests of the rules that it stands on")
    else:
        lines.append("shown by: no test, since nothing of it can be observed here or it is not emulated")
    lessons = "; ".join(f"{lesson.id} {lesson.title}" for lesson in lessons_on(rule.id))
    if lessons:
        lines.append(_filled("lessons: ", lessons))
    for each in rule.related:
        lines.append(_filled(f"  {each:<6}", all_rules()[each].sentence))
    return lines


def _filled(head: str, sentence: str) -> str:
    return textwrap.fill(sentence, WIDTH_COLUMNS, initial_indent=head, subsequent_indent=" " * len(head))
