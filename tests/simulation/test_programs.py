"""The same program on real threads and in the simulation, with equal results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from iocp_emu import Simulation, ThreadSystem, use
from iocp_emu.runtime.carriers import Carrier
from iocp_emu.runtime.results import EndReason
from tests.simulation.programs import first_program, pipeline

README = Path(__file__).resolve().parents[2] / "README.md"


def in_simulation(program: Any, **options: Any) -> Any:
    """What `program()` returns as the first thread of a simulation."""
    with Simulation(**options) as simulation:
        main = simulation.spawn(program, name="main")
        result = simulation.run()
    assert result.reason is EndReason.FINISHED
    return main.result


@pytest.mark.parametrize("program", [first_program, pipeline])
def test_equal_results_on_both_runtimes(program: Any, carrier: Carrier) -> None:
    """What a program returns does not depend on what it runs on."""
    with use(ThreadSystem()):
        on_threads = program()
    assert [in_simulation(program, seed=seed, carrier=carrier) for seed in range(5)] == [on_threads] * 5


def test_the_first_program_of_the_readme(carrier: Carrier, capsys: pytest.CaptureFixture[str]) -> None:
    """Its text, with the only change that the wait is `iocp_emu.sleep`: the answer of real threads."""
    section = README.read_text(encoding="utf-8").split("## A first program: the object face")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    text = found[1].replace("time.sleep(", "sleep(").replace("import time", "from iocp_emu import sleep")
    in_simulation(lambda: exec(compile(text, "README", "exec"), {}), carrier=carrier)
    virtual = capsys.readouterr().out
    exec(compile(text, "README", "exec"), {})
    assert virtual == capsys.readouterr().out == "20 packets served\n"


def test_setup_code_outside_of_run_may_post_and_take() -> None:
    """Code before and after a run creates, posts and takes what is there; it is a thread of its own, "outside"."""
    with Simulation() as simulation:
        from iocp_emu import CompletionPort

        requests, answers = CompletionPort(), CompletionPort()

        def serve() -> None:
            answers.post(requests.get().bytes + 1)

        simulation.spawn(serve)
        requests.post(41)
        simulation.run()
        assert answers.get(timeout=0).bytes == 42
        assert simulation.current().name == "outside"
