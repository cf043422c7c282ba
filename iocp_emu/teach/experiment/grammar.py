"""The language of works: text such as `cpu=5ms,block=20ms:p=.3` into a `Work`.

The grammar; spaces may stand anywhere between its words:

    work      = step {"," step}
    step      = (burst | "(" work ")") ["*" COUNT] [":" "p" "=" PROBABILITY]
    burst     = ("cpu" | "block" | "hidden") "=" duration
    duration  = TIME
              | "exp" "(" TIME ")"                       the mean
              | "uniform" "(" TIME "," TIME ")"          the lowest, the highest
              | "lognormal" "(" TIME "," NUMBER ")"      the median, the deviation of the logarithm
    TIME      = NUMBER ("ns" | "us" | "ms" | "s")        0 needs no unit

`cpu` computes, `block` waits so that the kernel sees it, `hidden` waits unseen: see `work.Kind`.  COUNT repeats,
PROBABILITY (0 to 1) is that the step, with all its repetitions, is done at all.

    cpu=5ms                                  always the same
    cpu=1ms,block=exp(20ms),cpu=uniform(1ms,2ms)
    (cpu=1ms,block=5ms)*3:p=.5               half of the packets ask three times
    cpu=1ms,cpu=200ms:p=.05                  now and then a long one

Own rules.  Numbers are read as decimals, so that 0.3ms is the nearest float to 0.0003.  Every error names its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from ...runtime.chance import Constant, Exponential, LogNormal, Uniform
from .work import MOST_SECONDS, UNITS, Burst, Duration, Kind, Step, Work

DEEPEST = 20
"""How deep parentheses may be nested."""

LONGEST_TEXT = 10_000
MOST_TIMES = 10_000

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)|(?P<word>[^\W\d]+)|(?P<sign>[=,:()*]))"
)
_DISTRIBUTIONS = ("exp", "uniform", "lognormal")
_WORDS_FOR = {
    "compute": "cpu",
    "sleep": "block",
    "wait": "block",
    "io": "block",
    "exponential": "exp",
    "constant": "a time alone",
    "m": "ms",
    "sec": "s",
    "msec": "ms",
    "usec": "us",
}


class WorkSyntaxError(ValueError):
    """A text that is no work: `complaint`, and the 0-based `position` in `text` that it is about."""

    def __init__(self, complaint: str, text: str, position: int) -> None:
        start = max(0, position - 50)
        excerpt = "".join(each if each.isprintable() else " " for each in text[start : position + 30])
        super().__init__(f"{complaint}, at character {position + 1}:\n    {excerpt}\n    {' ' * (position - start)}^")
        self.complaint = complaint
        self.text = text
        self.position = position


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest of the `known` words, or nothing.

    >>> suggestion("blok", ["cpu", "block"]), suggestion("zzz", ["cpu"])
    ("; did you mean 'block'?", '')
    """
    close = get_close_matches(word.lower(), list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def parse_work(text: str) -> Work:
    """The work that a text describes; `WorkSyntaxError` when it describes none.  O(text).

    >>> parse_work("cpu=5ms").steps
    (Step(action=Burst(kind=<Kind.CPU: 'cpu'>, duration=Constant(seconds=0.005)), times=1, probability=1.0),)
    >>> parse_work("cpu=5ms,blok=20ms")
    Traceback (most recent call last):
        ...
    iocp_emu.teach.experiment.grammar.WorkSyntaxError: 'blok' is not cpu, block or hidden; did you mean 'block'?, \
at character 9:
        cpu=5ms,blok=20ms
                ^
    """
    if len(text) > LONGEST_TEXT:
        raise WorkSyntaxError(f"the text is longer than {LONGEST_TEXT:,} characters", text, LONGEST_TEXT)
    parser = _Parser(text)
    work = parser.work(0)
    parser.end()
    if not any(work.uses(kind) for kind in Kind):
        raise WorkSyntaxError("nothing in this work takes any time", text, 0)
    return work


def parse_time(text: str) -> float:
    """A time such as `20ms`, in seconds; `WorkSyntaxError` when it is none.

    >>> parse_time("20ms"), parse_time("0")
    (0.02, 0.0)
    """
    parser = _Parser(text)
    seconds = parser.time()
    parser.end()
    return seconds


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # number, word, sign, end
    text: str
    position: int


class _Parser:
    """Recursive descent, one token ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._next += 1
        return token

    def _skip(self, sign: str) -> bool:
        """Take this sign if it is next."""
        found = self._token.kind == "sign" and self._token.text == sign
        self._next += found
        return found

    def _fail(self, complaint: str, token: _Token | None = None) -> WorkSyntaxError:
        return WorkSyntaxError(complaint, self._text, (token or self._token).position)

    def _expect(self, sign: str, after: str) -> None:
        if not self._skip(sign):
            raise self._fail(f"expected {sign!r} after {after}, not {_shown(self._token)}")

    def end(self) -> None:
        """Nothing may be left."""
        if self._token.kind != "end":
            raise self._fail(f"expected ',' or the end, not {_shown(self._token)}")

    def work(self, depth: int) -> Work:
        """work = step {"," step}"""
        begin = self._token
        steps = [self._step(depth)]
        while self._skip(","):
            steps.append(self._step(depth))
        try:
            return Work(tuple(steps))
        except ValueError as error:
            raise self._fail(str(error), begin) from None

    def _step(self, depth: int) -> Step:
        begin = self._token
        action: Burst | Work
        if self._skip("("):
            if depth == DEEPEST:
                raise self._fail(f"parentheses are nested deeper than {DEEPEST}", begin)
            action = self.work(depth + 1)
            self._expect(")", "the sequence")
        else:
            action = self._burst()
        times = self._count() if self._skip("*") else 1
        probability = self._probability() if self._skip(":") else 1.0
        return Step(action, times, probability)

    def _burst(self) -> Burst:
        token = self._take()
        kinds = [kind.value for kind in Kind]
        if token.kind != "word":
            raise self._fail(f"expected cpu, block or hidden, not {_shown(token)}", token)
        if token.text not in kinds:
            raise self._fail(f"{token.text!r} is not cpu, block or hidden{_hint(token.text, kinds)}", token)
        self._expect("=", token.text)
        return Burst(Kind(token.text), self._duration())

    def _duration(self) -> Duration:
        token = self._token
        if token.kind == "number":
            return Constant(self.time())
        if token.kind != "word" or token.text not in _DISTRIBUTIONS:
            hint = _hint(token.text, _DISTRIBUTIONS) if token.kind == "word" else ""
            raise self._fail(
                f"expected a time such as 5ms, or exp(...), uniform(...), lognormal(...), not {_shown(token)}{hint}"
            )
        self._take()
        self._expect("(", token.text)
        first = self.time()
        duration: Duration
        if token.text == "exp":
            duration = Exponential(first)
        else:
            self._expect(",", "the first of two values")
            try:
                duration = Uniform(first, self.time()) if token.text == "uniform" else LogNormal(first, self._sigma())
            except WorkSyntaxError:
                raise
            except ValueError as error:
                raise self._fail(str(error), token) from None
        self._expect(")", f"what {token.text} is given")
        return duration

    def _number(self, what: str) -> tuple[Decimal, _Token]:
        token = self._take()
        if token.kind != "number":
            raise self._fail(f"expected {what}, not {_shown(token)}", token)
        return Decimal(token.text), token

    def time(self) -> float:
        """TIME"""
        number, token = self._number("a time such as 5ms")
        unit = self._token
        if unit.kind == "word":
            self._take()
            if unit.text not in UNITS:
                raise self._fail(f"{unit.text!r} is no unit: use ns, us, ms or s{_hint(unit.text, UNITS)}", unit)
            number *= UNITS[unit.text]
        elif number:
            raise self._fail(f"{token.text} has no unit: write {token.text}ms, or ns, us or s", unit)
        if number > Decimal(MOST_SECONDS):
            raise self._fail("a time may be a day (86400s) at most", token)
        return float(number)

    def _sigma(self) -> float:
        number, token = self._number("a number such as 0.5")
        if number > 5:
            raise self._fail("the deviation of the logarithm may be 5 at most", token)
        return float(number)

    def _count(self) -> int:
        number, token = self._number("how many times, such as 3")
        if number != int(number) or not 1 <= number <= MOST_TIMES:
            raise self._fail(f"times must be a whole number from 1 to {MOST_TIMES:,}, not {token.text}", token)
        return int(number)

    def _probability(self) -> float:
        token = self._take()
        if token.kind != "word" or token.text != "p":
            raise self._fail(f"expected p=PROBABILITY after ':', not {_shown(token)}", token)
        self._expect("=", "p")
        number, token = self._number("a probability from 0 to 1")
        if number > 1:
            raise self._fail(f"a probability is from 0 to 1, not {token.text}", token)
        return float(number)


def _tokens(text: str) -> Iterable[_Token]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            raise WorkSyntaxError(f"{text[position]!a} means nothing here", text, position)
        kind = match.lastgroup
        assert kind is not None
        yield _Token(kind, match.group(kind), match.start(kind))
        position = match.end()
    yield _Token("end", "", end)


def _shown(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text)


def _hint(word: str, known: Iterable[str]) -> str:
    if word.lower() in _WORDS_FOR and (meant := _WORDS_FOR[word.lower()]) in {*known, "a time alone"}:
        return f"; did you mean {meant!r}?"
    return suggestion(word, known)
