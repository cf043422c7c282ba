"""Completion keys as people read them, in traces and in pictures of live ports.

Own rule.  A key may be anybody's object: it is never asked for its text.
"""

from __future__ import annotations

LONGEST_KEY = 40
"""Characters of a key's text."""

# Exact types: a subclass may have a `__repr__` of its own.
PLAIN_TYPES = frozenset({int, bool, float, str, bytes, type(None)})


def key_text(key: object) -> str:
    """A completion key as text of at most 40 characters; foreign objects are not asked, only their type is named.

    >>> key_text("read"), key_text(7), key_text(object())
    ("'read'", '7', '<object>')
    """
    text = repr(key) if type(key) in PLAIN_TYPES else f"<{type(key).__name__}>"
    return text if len(text) <= LONGEST_KEY else f"{text[: LONGEST_KEY - 3]}..."
