"""What the commands' arguments have in common: numbers in a range, and a word that is not known."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from difflib import get_close_matches

MOST_WORKERS = 256
MOST_CONCURRENCY = 0xFFFFFFFF


def whole(low: int, high: int) -> Callable[[str], int]:
    """A type for `add_argument`: a whole number from `low` to `high`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low:,} to {high:,}, not {text!r}")
        return value

    return number


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """One sentence on a word that is not among the `known` ones, with the likeliest of them.

    >>> unknown("command", "tuor", ["tour", "serve"])
    "there is no command 'tuor': did you mean 'tour'?"
    >>> unknown("command", "x", ["tour", "serve"])
    "there is no command 'x': known are tour, serve"
    """
    names = list(known)
    folded = {name.casefold(): name for name in names}
    close = get_close_matches(word.casefold(), folded, n=1)
    hint = f"did you mean {folded[close[0]]!r}?" if close else f"known are {', '.join(names)}"
    return f"there is no {kind} {word!r}: {hint}"
