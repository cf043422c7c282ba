"""How Windows splits a command line into arguments.

Rules of this file: outside quotes, blanks and tabs separate; a double quote opens and closes a quoted part; n
backslashes before a quote are n // 2 backslashes, and an odd one makes the quote a character; two quotes inside a
quoted part are one character.  In the program's name, which comes first, backslashes mean nothing special.
"""

from __future__ import annotations

BLANKS = " \t"


def split_command_line(text: str) -> list[str]:
    r"""The program and its arguments.  O(characters).

    >>> split_command_line('"C:\\a b\\c.exe" one "two 2" th\\"ree')
    ['C:\\a b\\c.exe', 'one', 'two 2', 'th"ree']
    """
    text = text.strip(BLANKS)
    if not text:
        return []
    program, at = _program(text)
    words = [program]
    while at < len(text):
        if text[at] in BLANKS:
            at += 1
        else:
            word, at = _argument(text, at)
            words.append(word)
    return words


def _program(text: str) -> tuple[str, int]:
    quoted = False
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character in BLANKS and not quoted:
            return text[:at].replace('"', ""), at
    return text.replace('"', ""), len(text)


def _argument(text: str, at: int) -> tuple[str, int]:
    word: list[str] = []
    quoted = False
    while at < len(text) and (quoted or text[at] not in BLANKS):
        run = len(text) - at - len(text[at:].lstrip("\\"))
        at += run
        before_quote = at < len(text) and text[at] == '"'
        word.append("\\" * (run // 2 if before_quote else run))
        if before_quote:
            if run % 2:
                word.append('"')
            elif quoted and text[at + 1 : at + 2] == '"':
                word.append('"')
                at += 1
            else:
                quoted = not quoted
            at += 1
        elif not run:
            word.append(text[at])
            at += 1
    return "".join(word), at
