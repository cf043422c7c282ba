"""The language of works: what it says, that it reads back what it writes, and where it says what is wrong."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocp_emu.runtime.chance import Constant, Exponential, LogNormal, Uniform
from iocp_emu.teach.experiment import Burst, Kind, Step, Work, WorkSyntaxError, parse_work
from iocp_emu.teach.experiment.grammar import parse_time
from iocp_emu.teach.experiment.work import compile_work

ALPHABET = "cpublokhiden=,:()*.0123456789eE+-msunx p"


def test_a_work_with_everything() -> None:
    """Units, distributions, probabilities, repetitions and nested sequences; spaces may stand anywhere."""
    assert parse_work(" cpu = 1.5ms , ( block=exp(2s)*3 : p=.25 , hidden=lognormal(7us, 0.5) ) * 2 ") == Work(
        (
            Step(Burst(Kind.CPU, Constant(0.0015))),
            Step(
                Work(
                    (
                        Step(Burst(Kind.BLOCK, Exponential(2.0)), 3, 0.25),
                        Step(Burst(Kind.HIDDEN, LogNormal(7e-6, 0.5))),
                    )
                ),
                2,
            ),
        )
    )
    assert parse_work("cpu=uniform(0,4ms)").steps[0].action == Burst(Kind.CPU, Uniform(0.0, 0.004))


times = st.integers(0, 86_400 * 10**9).map(lambda nanoseconds: nanoseconds / 1e9)
durations = st.one_of(
    times.map(Constant),
    times.map(Exponential),
    st.tuples(times, times).map(sorted).map(lambda ends: Uniform(*ends)),
    st.builds(LogNormal, times, st.floats(0, 5)),
)
bursts = st.builds(Burst, st.sampled_from(Kind), durations)
probabilities = st.floats(0, 1, exclude_min=True)


def works_of(actions: st.SearchStrategy[Burst | Work]) -> st.SearchStrategy[Work]:
    """Works whose steps have these actions."""
    steps = st.builds(Step, actions, st.integers(1, 3), probabilities)
    return st.lists(steps, min_size=1, max_size=3).map(lambda made: Work(tuple(made)))


works = st.recursive(works_of(bursts), lambda inner: works_of(st.one_of(bursts, inner)), max_leaves=4)


@given(works.filter(lambda work: any(map(work.uses, Kind))))
def test_what_is_written_is_read_back(work: Work) -> None:
    """`parse_work(str(work))` is the same work, to the last digit."""
    assert parse_work(str(work)) == work


@pytest.mark.parametrize(
    ("text", "complaint", "position"),
    [
        ("", "expected cpu, block or hidden, not the end", 0),
        ("cpu", "expected '=' after cpu", 3),
        ("cpu=5", "5 has no unit: write 5ms", 5),
        ("cpu=5mss", "'mss' is no unit: use ns, us, ms or s; did you mean 'ms'?", 5),
        ("cpu=5sec", "did you mean 's'?", 5),
        ("cpu=5ms,blok=1s", "'blok' is not cpu, block or hidden; did you mean 'block'?", 8),
        ("sleep=3ms", "did you mean 'block'?", 0),
        ("cpu=5ms,", "expected cpu, block or hidden, not the end", 8),
        ("cpu=exp(3ms", "expected ')' after what exp is given", 11),
        ("cpu=uniform(3ms)", "expected ',' after the first of two values", 15),
        ("cpu=uniform(5ms,1ms)", "low must not be above high", 4),
        ("cpu=exponential(3ms)", "did you mean 'exp'?", 4),
        ("cpu=5ms:p=2", "a probability is from 0 to 1, not 2", 10),
        ("cpu=5ms:q=.2", "expected p=PROBABILITY after ':', not 'q'", 8),
        ("cpu=5ms*0", "times must be a whole number from 1", 8),
        ("cpu=5ms*1.5", "times must be a whole number from 1", 8),
        ("(cpu=5ms", "expected ')' after the sequence", 8),
        ("cpu=5ms)", "expected ',' or the end, not ')'", 7),
        ("cpu=5ms;cpu=1ms", "';' means nothing here", 7),
        ("cpu=-5ms", "'-' means nothing here", 4),
        ("cpu=2e5s", "a time may be a day (86400s) at most", 4),
        ("cpu=lognormal(1s,9)", "the deviation of the logarithm may be 5 at most", 17),
        ("cpu=0,block=5ms:p=0", "nothing in this work takes any time", 0),
        ("((cpu=1ms)*1000)*1000", "a packet may come to 10,000 bursts at most, not 1,000,000", 0),
        ("(" * 30 + "cpu=1ms" + ")" * 30, "parentheses are nested deeper than 20", 20),
        ("cpu=1ms" + " " * 10_000, "the text is longer than 10,000 characters", 10_000),
    ],
)
def test_errors_name_their_place(text: str, complaint: str, position: int) -> None:
    """A clear complaint, the place, a caret below it, and a suggestion where one is near."""
    with pytest.raises(WorkSyntaxError) as caught:
        parse_work(text)
    assert complaint in caught.value.complaint
    assert caught.value.position == position
    assert caught.value.text == text
    *_, excerpt, caret = str(caught.value).splitlines()
    if position < len(text) and text[position].strip():
        assert excerpt[caret.index("^")] == text[position]


@given(st.one_of(st.text(max_size=40), st.text(ALPHABET, max_size=40)))
def test_any_text_is_a_work_or_a_clear_error(text: str) -> None:
    """Nothing else comes out, and the message is printable."""
    refusal: WorkSyntaxError | None = None
    try:
        work = parse_work(text)
    except WorkSyntaxError as error:
        refusal = error
    else:
        assert parse_work(str(work)) == work
    if refusal is not None:
        assert 0 <= refusal.position <= len(text)
        assert all(each.isprintable() or each == "\n" for each in str(refusal))


def test_a_time_alone() -> None:
    """As the options for the machine take it."""
    assert parse_time("10us") == 1e-5
    with pytest.raises(WorkSyntaxError, match="expected ',' or the end"):
        parse_time("10us,")


def test_drawing_follows_the_text() -> None:
    """Repetitions, probabilities and means come out as written; a constant burst is made once."""
    made: list[tuple[Kind, int]] = []

    def make(kind: Kind, nanoseconds: int) -> tuple[Kind, int]:
        made.append((kind, nanoseconds))
        return kind, nanoseconds

    fixed = compile_work(parse_work("cpu=1ms*2,(block=2ms,hidden=3us)*2"), make)
    one = [(Kind.BLOCK, 2_000_000), (Kind.HIDDEN, 3_000)]
    assert fixed(Random(1)) == [(Kind.CPU, 1_000_000)] * 2 + one * 2
    assert fixed(Random(1)) is fixed(Random(2))
    assert len(made) == 3

    work = parse_work("(cpu=exp(1ms),block=uniform(1ms,3ms))*2:p=.5,hidden=7ms:p=.25")
    draw, random = compile_work(work, lambda kind, nanoseconds: (kind, nanoseconds)), Random(7)
    drawn = [draw(random) for _ in range(20_000)]
    for kind in Kind:
        mean = sum(nanoseconds for bursts in drawn for each, nanoseconds in bursts if each is kind) / 20_000 / 1e9
        assert mean == pytest.approx(work.mean_seconds(kind), rel=0.05)
    assert {len(bursts) for bursts in drawn} == {0, 1, 4, 5}
    assert draw(Random(3)) == draw(Random(3))
