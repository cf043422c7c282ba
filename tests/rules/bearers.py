"""Which tests carry which rule ids, read from the source of the tests.

A test carries an id in its name (`test_q10_...`, `test_q20_q21_...`), at the start of its docstring (`Q-10: ...`,
`Q-20, Q-21: ...`), or as the id of a case: the first argument of a `Scenario`, the `id` of a `pytest.param`.  Tests are
read with `ast` and not run.  A test that is skipped or expected to fail carries nothing.

`python -m tests.rules.bearers` writes what `iocp-emu rules` shows of it, into `iocp_emu/rules/shown_by.txt`.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
INDEX = TESTS.parent / "iocp_emu" / "rules" / "shown_by.txt"

ID = re.compile(r"[QOCGNIHAXPKM]-\d\d[ab]?")
NAMED = re.compile(r"test_((?:[qocgnihaxpkm]\d\d[ab]?_)+)")
LEADING = re.compile(rf"{ID.pattern}(?:, {ID.pattern})*")
NOT_RUN = frozenset({"skip", "skipif", "xfail"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


def ids_of_function(function: Function) -> set[str]:
    """The ids that one test carries."""
    decoration = (node for decorator in function.decorator_list for node in ast.walk(decorator))
    if any(isinstance(node, ast.Attribute) and node.attr in NOT_RUN for node in decoration):
        return set()
    found: set[str] = set()
    if named := NAMED.match(function.name):
        found |= {f"{token[0].upper()}-{token[1:]}" for token in named[1].split("_") if token}
    if leading := LEADING.match(ast.get_docstring(function) or ""):
        found |= set(leading[0].split(", "))
    return found


def ids_of_cases(tree: ast.AST) -> set[str]:
    """The ids of the cases of parametrized tests: scenarios and parameters."""
    found: set[str] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        values = [keyword.value for keyword in call.keywords if keyword.arg == "id"]
        if name == "Scenario":
            values += call.args[:1]
        elif name != "param":
            continue
        found |= {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return {each for each in found if ID.fullmatch(each)}


def carried(source: str) -> dict[str, list[str]]:
    """Each id that one module of tests, or of their cases, carries, with the names of the tests; "" for a case."""
    tree = ast.parse(source)
    found: dict[str, list[str]] = defaultdict(list)
    for function in (node for node in ast.walk(tree) if isinstance(node, Function)):
        if function.name.startswith("test_"):
            for rule in ids_of_function(function):
                found[rule].append(function.name)
    for rule in ids_of_cases(tree):
        found[rule].append("")
    return found


def modules(root: Path) -> Iterator[Path]:
    """Every Python file below `root`."""
    return (path for path in sorted(root.rglob("*.py")) if "__pycache__" not in path.parts)


def index_of_tests() -> str:
    """What `shown_by.txt` holds: a line for each id and test, `ID file::test`, in order."""
    lines: set[tuple[str, str]] = set()
    for path in modules(TESTS):
        place = path.relative_to(TESTS.parent).as_posix()
        for rule, tests in carried(path.read_text(encoding="utf-8")).items():
            lines |= {(rule, f"{place}::{test}" if test else place) for test in tests}
    return "".join(f"{rule} {test}\n" for rule, test in sorted(lines))


if __name__ == "__main__":
    INDEX.write_text(index_of_tests(), encoding="utf-8", newline="\n")
