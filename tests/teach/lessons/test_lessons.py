"""Every lesson: what it prints, what it claims, and that it holds under other schedules and on real threads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from iocp_emu import Simulation
from iocp_emu.rules import all_rules
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.schedulers import RoundRobinScheduler, SteadyScheduler
from iocp_emu.runtime.simulation import Preemption
from iocp_emu.teach.lessons.catalogue import MODULES, all_lessons, find, following, lesson
from iocp_emu.teach.lessons.lesson import Facts, Lesson
from iocp_emu.teach.lessons.presentation import WIDTH, happened, page, value_text
from iocp_emu.teach.lessons.questions import QUESTIONS
from iocp_emu.teach.lessons.showing import Machine, Showing, show
from iocp_emu.trace.text import Charset
from tests.teach.lessons.golden import HERE, golden_path, printed

LESSONS = list(all_lessons())
ON_REAL_THREADS = [each for each in LESSONS if not each.simulation_only]
SEEDS = range(1, 6)

SIMPLIFIED = frozenset({1, 2, 3, 7, 10, 11, 13, 14, 22, 23})
"""The sentences of the classic page that are simpler than the truth; `test_the_simplified_sentences` derives them."""

every_lesson = pytest.mark.parametrize("each", LESSONS, ids=lambda each: each.id)
every_real_lesson = pytest.mark.parametrize("each", ON_REAL_THREADS, ids=lambda each: each.id)


@cache
def plain(name: str) -> Showing:
    """One run of a lesson with its own numbers, in the simulation."""
    return show(find(name))


@cache
def page_text(name: str) -> str:
    """What a lesson prints, in unicode."""
    return printed(find(name))


def text_of(each: Lesson) -> str:
    """The page of a lesson as one text without line breaks."""
    return " ".join(page_text(each.id).split())


def facts_under(each: Lesson, settings: Mapping[str, int] | None = None, **options: Any) -> Facts:
    """The facts of one run in a plain simulation, as a stepper or an explorer makes it."""
    with Simulation(processors=each.processors, **options) as simulation:
        main = simulation.spawn(lambda: each.program(**settings or {}), name="main")
        simulation.run()
    return main.result  # type: ignore[no-any-return]


# -- what a lesson prints ------------------------------------------------------------------------------------------


@every_lesson
def test_a_lesson_prints_what_it_has_always_printed(each: Lesson) -> None:
    """The whole page and the variation, to the letter.  To renew: `python -m tests.teach.lessons.golden`."""
    assert page_text(each.id) == golden_path(each).read_text(encoding="utf-8")


@every_lesson
def test_it_prints_the_same_on_threads_of_the_system(each: Lesson) -> None:
    """What the virtual threads run on makes no difference."""
    if each.simulation_only:
        pytest.skip("thousands of switches between OS threads; the same engine as for the others")
    assert printed(each, Carrier.THREAD) == golden_path(each).read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    """Each file belongs to a lesson."""
    assert {path.name for path in HERE.glob("*.txt")} == {golden_path(each).name for each in LESSONS}


@every_lesson
def test_a_page_is_for_any_terminal(each: Lesson) -> None:
    """80 columns; ASCII where that is asked for, and everywhere but in the timeline."""
    lines = list(page(each, plain(each.id), Charset.ASCII))
    assert [line.text for line in lines if len(line.text) > WIDTH] == []
    assert all(line.text.isascii() for line in lines)
    assert [line.text for line in lines if line.text != line.text.rstrip()] == []


# -- what a lesson claims ------------------------------------------------------------------------------------------


@every_lesson
def test_exactly_one_choice_is_borne_out_by_the_run(each: Lesson) -> None:
    """The facts decide; no two choices say the same, and there are at least two."""
    values = [repr(choice.value) for choice in each.question.choices]
    assert len(set(values)) == len(values) >= 2
    each.question.right(plain(each.id).facts)


def test_the_right_choice_is_not_always_the_same_number() -> None:
    """Whoever guesses one number throughout is wrong more often than not."""
    right = [each.question.right(plain(each.id).facts) for each in LESSONS]
    assert max(map(right.count, right)) < 0.7 * len(right)


@every_lesson
def test_the_variation_changes_something(each: Lesson) -> None:
    """Other numbers, within their limits, show other facts, or the same with other steps."""
    assert each.variation.settings
    for name, value in each.variation.settings.items():
        low, high = each.limits[name]
        assert low <= value <= high
        assert value != each.settings[name]
    usual, varied = plain(each.id), show(each, settings=each.variation.settings)
    assert varied.facts != usual.facts or len(varied.trace.events) != len(usual.trace.events)


@every_lesson
@pytest.mark.parametrize("end", [0, 1], ids=["least", "largest"])
def test_every_number_within_its_limits_runs(each: Lesson, end: int) -> None:
    """The program comes to its end with the least and the largest value of each number."""
    assert each.limits.keys() == each.settings.keys()
    for name, limits in each.limits.items():
        facts_under(each, {name: limits[end]})


@every_lesson
def test_rules_that_are_named_exist(each: Lesson) -> None:
    """Every rule id in the texts is one of the catalogue, every lesson id one of the table."""
    rules, ids = all_rules(), {other.id for other in LESSONS}
    text = text_of(each)
    assert each.rules
    assert set(each.rules) <= rules.keys()
    assert set(re.findall(r"\b[QOCGNIHAXPKM]-\d\d\b", text)) <= rules.keys()
    assert set(re.findall(r"\bL\d\d\b", text)) <= ids


def test_every_sentence_of_the_classic_page_is_shown() -> None:
    """S1 to S24: each is claimed by a lesson, and printed there in our words."""
    assert {number for each in LESSONS for number in each.sentences} == set(range(1, 25))
    for each in LESSONS:
        text = text_of(each)
        for number in each.sentences:
            sentence = all_rules()[f"S{number}"].sentence
            assert f"S{number} {' '.join(sentence.split())}" in text


def test_the_simplified_sentences() -> None:
    """Where the page is simpler than the truth, by the catalogue, a lesson says how; it claims that sentence, too."""
    marked = {number for number in range(1, 25) if "Simplified:" in all_rules()[f"S{number}"].sentence}
    assert marked == SIMPLIFIED
    assert {number for each in LESSONS for number in each.simplifications} == SIMPLIFIED
    for each in LESSONS:
        assert set(each.simplifications) <= set(each.sentences)
        assert all(" ".join(text.split()) in text_of(each) for text in each.simplifications.values())


def test_every_question_is_answered() -> None:
    """The forty questions: each is claimed by one lesson, which prints it, where it was asked, and the answer."""
    assert set(QUESTIONS) == set(range(1, 41))
    claimed = sorted(number for each in LESSONS for number in each.answers)
    assert claimed == sorted(QUESTIONS)
    for each in LESSONS:
        text = text_of(each)
        for number, answer in each.answers.items():
            assert f"{number}. {QUESTIONS[number].text} ({QUESTIONS[number].source})" in text
            assert answer in text
            assert len(answer) > 60


# -- that it is so -------------------------------------------------------------------------------------------------


@every_lesson
def test_the_facts_do_not_depend_on_the_schedule(each: Lesson) -> None:
    """The law decides, not chance: other seeds, a steady scheduler, one that takes turns."""
    expected = plain(each.id).facts
    assert facts_under(each, scheduler=SteadyScheduler()) == expected
    assert facts_under(each, scheduler=RoundRobinScheduler()) == expected
    for seed in SEEDS[: 1 if each.simulation_only else None]:
        assert facts_under(each, seed=seed) == expected


@every_real_lesson
def test_nor_on_where_a_thread_loses_its_processor(each: Lesson) -> None:
    """A switch before any step changes no fact."""
    expected = plain(each.id).facts
    for seed in SEEDS:
        assert facts_under(each, seed=seed, preemption=Preemption.ANYWHERE) == expected


@every_real_lesson
def test_real_threads_show_the_same(each: Lesson) -> None:
    """The same program, the same facts."""
    assert show(each, Machine.REAL_THREADS).facts == plain(each.id).facts


def test_what_is_shown_in_the_simulation_only() -> None:
    """Only what CPython's lock hides."""
    assert [each.id for each in LESSONS if each.simulation_only] == ["L09", "L10"]


# -- finding lessons -----------------------------------------------------------------------------------------------


def test_ids_names_and_modules_agree() -> None:
    """The table is in the order of the ids; names are single words, each once."""
    for number, (module, each) in enumerate(zip(MODULES, LESSONS, strict=True), 1):
        assert each.id == f"L{number:02}"
        assert module.split("_")[0] == each.id.lower()
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", each.name)
        assert find(each.id) is find(str(number)) is find(each.name) is find(each.title) is each is lesson(number)
    assert len({each.name for each in LESSONS}) == len(LESSONS)
    assert following(LESSONS[-1]) is None
    assert following(LESSONS[0]) is LESSONS[1]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("lifu", "'lifu': did you mean 'lifo' (L05)? "),
        ("L99", "there is no lesson 'L99'"),
        ("", "there is no lesson ''"),
        ("zzz", "'zzz': All of them: iocp-emu lesson --list"),
        ("worker", "fits several lessons: L11 blocking, L13 telling-workers"),
    ],
)
def test_a_wrong_word_gets_a_suggestion(words: str, hint: str) -> None:
    """What is not known, or fits several, is said with what could be meant."""
    with pytest.raises(LookupError, match=re.escape(hint)):
        find(words)


def test_values_in_words() -> None:
    """Facts are shown as people say them."""
    assert [value_text(value) for value in (False, [], (1.0, "a"), [True])] == ["no", "none", "1.0, a", "yes"]


def test_the_heading_says_where_it_ran_and_what_was_changed() -> None:
    """Engine, processors, and the numbers that are not the default."""
    each = find("limit")
    simulated = show(each, settings={"concurrency": 3})
    assert [line.text for line in happened(each, simulated, Charset.ASCII)][1] == (
        "What happened (simulation, 4 processors, concurrency 3)"
    )
    real = show(each, Machine.REAL_THREADS)
    assert [line.text for line in happened(each, real, Charset.ASCII)][1] == "What happened (real threads)"
