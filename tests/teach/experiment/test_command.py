"""`iocp-emu experiment` as a user meets it: options, files, wrong words, missing extras, progress, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iocp_emu.cli import main
from iocp_emu.teach.experiment import console
from iocp_emu.teach.experiment.presets import PRESETS

CHECKOUT = Path(__file__).resolve().parents[3]
SMALL = ["experiment", "--work", "cpu=5ms", "--packets", "100", "--concurrency", "1..3", "--processors", "2"]

needs_posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")


def test_the_issues_own_example(capsys: pytest.CaptureFixture[str]) -> None:
    """The command line of the issue, to the letter."""
    line = "experiment --work cpu=5ms,block=20ms:p=.3 --threads 16 --processors 4 --concurrency 1..12 --packets 1000"
    assert main(line.split()) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    assert "Knee at 4 = the processors" in output
    assert len(re.findall(r"(?m)^ +\d+ +\d+\.\d .*%<?$", output)) == 12


def test_the_readmes_example(capsys: pytest.CaptureFixture[str]) -> None:
    """What the README shows are the last lines of what it runs."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```console\n\$ iocp-emu (experiment .*)\n((?:.+\n)+)```", readme)
    assert found is not None
    assert main(found.group(1).split()) == 0
    assert capsys.readouterr().out.endswith("\n\n" + found.group(2))


def test_every_option_reaches_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """What is asked for is what the JSON document says was done."""
    options = {
        "--work": "cpu=1ms,hidden=exp(2ms):p=0.5",
        "--threads": "5",
        "--processors": "3",
        "--concurrency": "0..4/2",
        "--packets": "60",
        "--warm-up": "7",
        "--arrivals": "steady=100",
        "--seed": "9",
        "--repeat": "2",
        "--engine": "simulation",
        "--time-slice": "3ms",
        "--switch-cost": "20us",
        "--json": "-",
    }
    assert main(["experiment", *(word for pair in options.items() for word in pair)]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {
        "work": "cpu=1ms,hidden=exp(2ms):p=0.5",
        "engine": "simulation",
        "threads": 5,
        "processors": 3,
        "concurrency": [0, 2, 4],
        "packets": 60,
        "warm_up": 7,
        "arrivals": "steady=100",
        "seed": 9,
        "repeat": 2,
        "time_slice": 0.003,
        "switch_cost": 0.00002,
    }


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every form at once, beside the report."""
    pytest.importorskip("matplotlib")
    forms = ["csv", "json", "png", "svg", "html"]
    options = [word for form in forms for word in (f"--{form}", str(tmp_path / f"it.{form}"))]
    assert main([*SMALL, *options]) == 0
    assert "Knee at 2 = the processors" in capsys.readouterr().out
    starts = {form: (tmp_path / f"it.{form}").read_bytes()[:15] for form in forms}
    assert starts["csv"].startswith(b"concurrency,")
    assert starts["json"].startswith(b"{\n")
    assert starts["png"].startswith(b"\x89PNG")
    assert starts["svg"].startswith(b"<?xml")
    assert starts["html"] == b"<!DOCTYPE html>"


def test_a_preset_and_what_replaces_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """The claims are judged on what was measured: 0 when all hold, 1 when one does not."""
    assert main(["experiment", "--preset", "processors", "--packets", "400"]) == 0
    assert "  holds: The best concurrency value is the number of processors. (S15, A-08)" in capsys.readouterr().out
    assert main(["experiment", "--preset", "processors", "--packets", "400", "--work", "cpu=1ms,hidden=9ms"]) == 1
    assert "  DOES NOT HOLD: The best concurrency value" in capsys.readouterr().out
    assert main(["experiment", "--list-presets"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(PRESETS)
    assert max(map(len, listed)) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what a packet costs, such as --work cpu=5ms,block=20ms:p=.3"),
        (["--work", "cpu=5ms,blok=1s"], "'blok' is not cpu, block or hidden; did you mean 'block'?, at character 9:"),
        (["--preset", "lenghty"], "there is no preset 'lenghty': did you mean 'lengthy'?"),
        (["--work", "cpu=5ms", "--engine", "thread"], "there is no engine 'thread': did you mean 'threads'?"),
        (["--work", "cpu=5ms", "--concurency", "3"], "did you mean '--concurrency'?"),
        (["--work", "cpu=5ms", "--concurrency", "3..1"], "'3..1' runs backwards: write 1..3"),
        (["--work", "cpu=5ms", "--arrivals", "ratee=5"], "did you mean 'rate'?"),
        (["--work", "cpu=5ms", "--threads", "0"], "must be a whole number from 1 to 100,000, not '0'"),
        (["--work", "cpu=5ms", "--time-slice", "20"], "20 has no unit: write 20ms"),
        (["--work", "cpu=5ms", "--packets", "5", "--warm-up", "5"], "must be from 0 to 4, not 5"),
        (["--work", "cpu=5ms", "--csv", "no/such/directory.csv"], "there is no directory 'no/such'"),
        (["--work", "cpu=5ms", "--html", "."], "cannot write '.': it is a directory"),
        (["--work", "cpu=5ms", "--csv", "-", "--json", "-"], "only one file can go to the standard output"),
        (["--work", "cpu=5ms", "--png", "-"], "--png needs the name of a file"),
    ],
)
def test_what_makes_no_sense_is_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before anything is measured, with a sentence that says what to do."""
    assert main(["experiment", *arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert message in errors


def test_a_missing_extra_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture without matplotlib is refused before the first run, naming the extra."""
    monkeypatch.setattr(console, "find_spec", lambda name: None)
    assert main([*SMALL, "--svg", str(tmp_path / "it.svg")]) == 2
    assert capsys.readouterr() == (
        "",
        "iocp-emu experiment: --svg needs matplotlib, of the extra plot: pip install 'iocp-emu[plot]'\n",
    )


def test_a_full_disk_is_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written after all is said, and the report is there."""

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device", "it.csv")

    monkeypatch.setattr(console, "as_csv", fail)
    assert main([*SMALL, "--csv", str(tmp_path / "it.csv")]) == 1
    output, errors = capsys.readouterr()
    assert "Knee at 2" in output
    assert errors == "iocp-emu experiment: [Errno 28] No space left on device: 'it.csv'\n"


def test_no_more_threads_is_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The operating system's refusal is a sentence."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(console, "runs_of", refuse)
    assert main(SMALL) == 1
    assert capsys.readouterr() == ("", "iocp-emu experiment: can't start new thread\n")


def test_help_has_examples_that_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each example of --help is a command line that is understood; in at most 80 columns."""
    assert main(["experiment", "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    examples = [each.split() for each in re.findall(r"(?m)^  iocp-emu (.*)$", text.replace("\\\n", ""))]
    assert len(examples) == 3
    for example in examples:
        words = [str(tmp_path / word) if word.endswith(".html") else word for word in example]
        small = ["--packets", "20", "--repeat", "1"]
        assert main([*words, *small]) in {0, 1}  # 20 packets are too few for the preset's claims
        assert "Knee at" in capsys.readouterr().out
    assert (tmp_path / "lengthy.html").exists()


def test_the_experiment_is_light() -> None:
    """Neither rich nor matplotlib is imported unless something is shown with it; nor anything by `import iocp_emu`."""
    code = (
        "import sys, iocp_emu; assert 'iocp_emu.teach' not in sys.modules\n"
        "from iocp_emu.teach.experiment import run\n"
        "run('cpu=5ms', packets=5, concurrency=1)\n"
        "print([name for name in ('rich', 'matplotlib', 'hypothesis') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def in_a_terminal(arguments: list[str], until: bytes = b"", signal_number: int | None = None) -> tuple[int, bytes]:
    """Run the command with a pseudo-terminal for everything; once it shows what `until` matches, send the signal."""
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "iocp_emu", *arguments]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    shown = b""
    try:
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                break  # the other end has been closed
            if not part:
                break
            shown += part
            if signal_number is not None and re.search(until, shown):
                process.send_signal(signal_number)
                signal_number = None
        return process.wait(60), shown
    finally:
        process.kill()
        process.wait()
        os.close(master)


@needs_posix
@pytest.mark.parametrize(
    ("engine", "work"), [("simulation", "cpu=exp(5ms)"), ("threads", "cpu=10us,block=100ms,hidden=100ms")]
)
def test_ctrl_c_reports_what_was_measured(engine: str, work: str) -> None:
    """130, with the runs until then reported and a note that there should have been more."""
    packets = {"simulation": "20000", "threads": "8"}[engine]
    status, shown = in_a_terminal(
        ["experiment", "--engine", engine, "--work", work, "--packets", packets, "--concurrency", "1..900"],
        rb"run (?!1 )\d+ of",
        signal.SIGINT,
    )
    text = shown.decode()
    assert status == 130
    assert "Knee at" in text
    assert re.search(r"Interrupted: \d+ of (2,7|9)00 runs were made", text)
    assert text.rstrip().endswith("iocp-emu experiment: interrupted")
    assert "Traceback" not in text


@needs_posix
def test_ctrl_c_before_the_first_run_is_over() -> None:
    """130 and one sentence."""
    status, shown = in_a_terminal(
        ["experiment", "--work", "cpu=exp(5ms)", "--packets", "50000000"], b"run 1 of 12", signal.SIGINT
    )
    assert status == 130
    assert shown.decode().rstrip().endswith("iocp-emu experiment: interrupted before the first run was over")


@needs_posix
def test_a_terminal_gets_progress_and_colours() -> None:
    """One line that is rewritten and wiped; then the report by rich, unless it is to be plain."""
    pytest.importorskip("rich")
    arguments = ["experiment", "--work", "cpu=exp(5ms)", "--packets", "100000", "--concurrency", "1..4"]
    status, shown = in_a_terminal(arguments)
    assert status == 0
    assert re.search(rb"\r +\d+% done: run \d of 4, concurrency value \d, \d+% of it", shown)
    assert re.search(rb"\r +\r", shown)
    assert b"\x1b[" in shown
    status, shown = in_a_terminal([*arguments, "--plain", "--packets", "100"])
    assert status == 0
    assert b"\x1b" not in shown
    assert b"Knee at" in shown


def test_elsewhere_there_is_no_progress() -> None:
    """Nothing on the error stream, and plain ASCII on the output."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "iocp_emu", *SMALL, "--packets", "100000", "--repeat", "2"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert time.monotonic() - begun > console.TERMINAL_AFTER_SECONDS
    assert done.stderr == b""
    assert done.stdout.isascii()
