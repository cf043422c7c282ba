"""The exercises: what is written to be edited does not pass yet, what solves it does, and every mishap is a verdict."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from iocp_emu.teach.lessons.catalogue import all_lessons, find
from iocp_emu.teach.lessons.examiner import MOST_PRINTED, examine
from iocp_emu.teach.lessons.exercise import Verdict, check, default_path, starter_text, write_starter
from iocp_emu.teach.lessons.lesson import Lesson

LESSONS = list(all_lessons())

every_lesson = pytest.mark.parametrize("each", LESSONS, ids=lambda each: each.id)

MISTAKES = {
    "L01": ("def associate_all(port, pipes):\n    port.associate(pipes[0], 0)\n", "1 brought a packet"),
    "L03": (
        "def serve(port, expected):\n    sums = {}\n    for _ in range(expected):\n        packet = port.get()\n"
        "        sums[packet.key] = packet.bytes\n    return sums\n",
        "only the second one counts",
    ),
    "L05": ('ORDER = ["D", "C", "B"]\n', "the second packet"),
    "L06": ("CONCURRENCY = 0xFFFFFFFF\n", "on 2 processors 10 threads run"),
    "L07": ("RUNNING = 5\nQUEUED = 1\nWAITING = 0\n", "seven packets"),
    "L09": ("CONCURRENCY = 3\n", "processors are idle"),
    "L10": ("CONCURRENCY = 8\n", "so does a smaller one"),
    "L11": ("def handle(packet, answered):\n    pass\n", "has to wait for it"),
    "L12": (
        'STOP = "stop"\n\n\ndef what_to_do(packet):\n    return "end" if packet.key == STOP else "serve"\n',
        "the packet of the file named 'stop'",
    ),
    "L14": ("def shut_down(port, file):\n    file.close()\n    return port.get()\n", "not freed"),
    "L16": (
        "def count_bytes(port, read):\n    total = 0\n    while True:\n        try:\n"
        "            total += read().bytes\n"
        "        except OSError:\n            return total\n",
        "2 packets are left",
    ),
    "L17": (
        "def give_up(port, file, requests, free):\n    file.close()\n    free(port.get().overlapped)\n",
        "1 were freed",
    ),
    "L18": ("BATCH = 2\n", "so is a larger batch"),
    "L19": (
        "def prepare(port, pipe):\n    pass\n\n\ndef start_read(pipe):\n    pass\n",
        "the read was cancelled",
    ),
    "L22": (
        "LIMIT = 5\n\n\ndef produce(port, event):\n    for number in range(50):\n        port.post(key=number)\n\n\n"
        "def handled(port, event):\n    pass\n",
        "still runs after 5 seconds",
    ),
    "L23": (
        "def finish(number, state, output):\n    state[number] = 1\n    if len(state) == 10:\n"
        "        output.extend(sorted(state))\n",
        "wait longer than they must",
    ),
}
"""Plausible answers that are wrong, and what the verdict says of each."""


def judged(each: Lesson, text: str, directory: Path) -> Verdict:
    """The verdict on a file with this text, in this process."""
    path = directory / "answer.py"
    path.write_text(text, encoding="utf-8")
    return examine(each.id, str(path))


@every_lesson
def test_the_starter_does_not_pass_and_the_solution_does(each: Lesson, tmp_path: Path) -> None:
    """There is something to do, and it can be done."""
    starter = judged(each, starter_text(each), tmp_path)
    assert not starter.passed
    assert "could not use" not in starter.text
    assert judged(each, each.exercise.solution, tmp_path) == Verdict(True, "It does what the task asks for.")


@every_lesson
def test_an_empty_file_is_told_what_it_lacks(each: Lesson, tmp_path: Path) -> None:
    """The first name that the judge looks for is named."""
    assert re.match(r"your file has no (function )?\w+$", judged(each, "", tmp_path).text)


@pytest.mark.parametrize("lesson_id", MISTAKES)
def test_plausible_mistakes_do_not_pass(lesson_id: str, tmp_path: Path) -> None:
    """Each gets a verdict that says what is wrong with it."""
    text, what_is_wrong = MISTAKES[lesson_id]
    verdict = judged(find(lesson_id), text, tmp_path)
    assert not verdict.passed
    assert re.search(what_is_wrong, verdict.text), verdict.text


@every_lesson
def test_texts_of_exercises_fit_a_terminal(each: Lesson) -> None:
    """At most 78 columns, ASCII."""
    for text in (starter_text(each), each.exercise.solution):
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= 78
        compile(text, each.id, "exec")


@pytest.mark.parametrize(
    ("text", "what_is_said"),
    [
        ("def worker(port, handle:\n", r"Line 1 is not Python: def worker\(port, handle:\nSyntaxError: "),
        ("raise SystemExit\n", r"Line 1: raise SystemExit\nit ends the program"),
        ("1 / 0\n", r"Line 1: 1 / 0\nZeroDivisionError"),
        ("worker = 1\n", "worker should be a function, not int"),
        (
            "def worker(port, handle):\n    port.get().nothing\n\n\ndef stop_all(port, workers):\n    port.post()\n",
            r"Line 2: port.get\(\).nothing\nAttributeError",
        ),
        (
            "def worker(port, handle):\n    while True:\n        try:\n            port.get(timeout=0)\n"
            "        except TimeoutError:\n            pass\n\n\ndef stop_all(port, workers):\n    pass\n",
            "asks again and again without waiting",
        ),
        (
            "def worker(port, handle):\n    while True:\n        port.get()\n\n\n"
            "def stop_all(port, workers):\n    pass\n",
            r"All threads wait, and nothing can wake them\.\n[\s\S]*A waits for a packet",
        ),
        (
            "from iocp_emu import sleep\n\n\ndef worker(port, handle):\n    port.get()\n\n\n"
            "def stop_all(port, workers):\n    while True:\n        sleep(1)\n",
            "still runs after 600 seconds of virtual time",
        ),
        (
            "import time\n\n\ndef worker(port, handle):\n    time.sleep(1)\n\n\ndef stop_all(port, n):\n    pass\n",
            "sleep",
        ),
        ("from iocp_emu import nonsense\n", r"Line 1: from iocp_emu import nonsense\nImportError"),
    ],
    ids=["syntax", "exit", "raise", "no function", "in a worker", "polling", "deadlock", "endless", "misuse", "import"],
)
def test_every_mishap_is_a_verdict(text: str, what_is_said: str, tmp_path: Path) -> None:
    """With the line of the learner's file where there is one, and never a traceback of ours."""
    verdict = judged(find("L13"), text, tmp_path)
    assert not verdict.passed
    assert re.search(what_is_said, verdict.text), verdict.text
    assert "Traceback" not in verdict.text


def test_what_is_printed_is_kept_up_to_a_limit(tmp_path: Path) -> None:
    """The learner sees what the file printed, and a flood of it does no harm."""
    assert judged(find("L06"), "print('hello')\nCONCURRENCY = 0\n", tmp_path).printed == "hello\n"
    flood = judged(find("L06"), "for _ in range(100000):\n    print('x' * 10)\nCONCURRENCY = 0\n", tmp_path)
    assert (flood.passed, len(flood.printed)) == (True, MOST_PRINTED)


# -- in a process of its own ---------------------------------------------------------------------------------------


def checked(text: str, directory: Path, limit_seconds: float = 60.0) -> Verdict:
    """The verdict of `check` on a file for L06."""
    path = directory / "queue.py"  # a module of Python is called the same
    path.write_text(text, encoding="utf-8")
    return check(find("L06"), path, limit_seconds)


def test_a_file_is_checked_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory and the file's name hide nothing of Python's."""
    monkeypatch.chdir(tmp_path)
    assert checked("CONCURRENCY = 0\n", tmp_path).passed
    assert checked("CONCURRENCY = 4\n", tmp_path).text.startswith("on 2 processors 4 threads run")


def test_a_loop_without_an_end_is_stopped(tmp_path: Path) -> None:
    """After the time limit there is a verdict, though the file never comes to its end."""
    begun = time.monotonic()
    verdict = checked("while True:\n    pass\n", tmp_path, limit_seconds=1.0)
    assert verdict.text.startswith("It was stopped after 1 seconds: is there a loop that never ends")
    assert time.monotonic() - begun < 30


def test_a_process_that_vanishes_is_told_so(tmp_path: Path) -> None:
    """Even when nobody is left to write a verdict."""
    verdict = checked("import os\nos._exit(3)\n", tmp_path)
    assert verdict == Verdict(False, "It ended before it could be judged (exit status 3).")


def test_a_starter_is_never_written_over_a_file(tmp_path: Path) -> None:
    """What the learner has written stays."""
    path = tmp_path / default_path(find("L13"))
    assert path.name == "l13_telling_workers.py"
    write_starter(find("L13"), path)
    assert path.read_text(encoding="utf-8") == starter_text(find("L13"))
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        write_starter(find("L13"), path)
    assert path.read_text(encoding="utf-8") == "mine"
