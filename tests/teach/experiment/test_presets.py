"""The presets: each claim holds as measured, S15 to S18 are all claimed, and a claim can fail."""

from __future__ import annotations

import pytest

from iocp_emu.teach.experiment import Result, run
from iocp_emu.teach.experiment.presets import PRESETS, find_preset


@pytest.fixture(scope="module")
def measured() -> dict[str, Result]:
    """What each preset's settings give, with fewer packets where there are many."""
    results: dict[str, Result] = {}
    for name, preset in PRESETS.items():
        options = preset.options.copy()
        options["packets"] = min(options.get("packets") or 2_500, 10_000)
        results[name] = run(preset.work, **options)
    return results


@pytest.mark.parametrize("name", PRESETS)
def test_every_claim_holds(measured: dict[str, Result], name: str) -> None:
    """S15 to S18, A-08, A-11, Q-26: as the simulation measures them."""
    assert [claim.sentence for claim in PRESETS[name].claims if not claim.holds(measured[name])] == []


def test_the_sentences_of_the_classic_page_are_claimed() -> None:
    """S15, S16, S17 and S18, and the experiment that A-11 was observed in."""
    claimed = {rule for preset in PRESETS.values() for claim in preset.claims for rule in claim.rules}
    assert {"S15", "S16", "S17", "S18", "A-08", "A-11"} <= claimed


@pytest.mark.parametrize(
    ("preset", "other", "sentence"),
    [
        ("processors", "hidden", "The best concurrency value is the number"),
        ("processors", "hidden", "Beyond it each packet takes longer"),
        ("lengthy", "chen-2018", "Each packet takes longer then"),
        ("mixed", "processors", "The best value is not the number of processors"),
        ("blocking", "processors", "Workers that come back from blocking"),
        ("hidden", "blocking", "A slot that is kept while its worker waits"),
        ("chen-2018", "processors", "With the default value 0"),
    ],
)
def test_every_kind_of_claim_can_fail(measured: dict[str, Result], preset: str, other: str, sentence: str) -> None:
    """Held against the figures of another experiment."""
    (claim,) = [each for each in PRESETS[preset].claims if each.sentence.startswith(sentence)]
    assert not claim.holds(measured[other])


def test_more_in_progress_can_fail(measured: dict[str, Result]) -> None:
    """S16: with no more threads than the smallest value there is nothing to let in."""
    lengthy = PRESETS["lengthy"]
    few = run(lengthy.work, threads=4, concurrency="4..16/4", packets=200)
    assert [claim.holds(few) for claim in lengthy.claims] == [False, False]


def test_names() -> None:
    """Known by their names, in lower case, short enough for a list in 80 columns."""
    for name, preset in PRESETS.items():
        assert find_preset(name) is preset
        assert name == preset.name == name.lower()
        assert len(preset.summary) <= 68
    with pytest.raises(ValueError, match="there is no preset 'Chen': did you mean 'chen-2018'"):
        find_preset("Chen")
