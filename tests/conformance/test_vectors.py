"""The public conformance vectors on the product: one test per vector, and the totals per verdict.

A judged vector must pass unless it calls for a device that the product does not have yet. A vector that calls
for one may be unsupported, which is a skip with the reason; it may not fail. Record-only vectors are replayed
and not judged.

`vectors_variants.json` has further ones of the same kinds in the same format: other sizes, orders, handles, rights
and states, each observed with Wine 8.0. Where the product follows the documentation or a fact about Windows instead,
the step says so under `windows`, with the reason and as unverified. All of these must pass.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.replay import DATA, Outcome, Vector, Verdict, load_adapter, load_vectors, needs, replay

VECTORS = load_vectors()
VARIANTS = load_vectors(DATA / "vectors_variants.json")

# Grows with the product ("pipe", "socket"); the totals below follow from it and from the vectors.
SUPPORTED_DEVICES: frozenset[str] = frozenset({"pipe", "socket"})


def must_pass(vector: Vector) -> bool:
    """True for a judged vector that needs no device beyond the supported ones."""
    return bool(vector["judge"]) and needs(vector) <= SUPPORTED_DEVICES


MUST_PASS = Counter(vector["category"] for vector in VECTORS if must_pass(vector))
RECORD_ONLY = sum(not vector["judge"] for vector in VECTORS)
TOTALS = Counter(
    {
        Outcome.PASSED: MUST_PASS.total(),
        Outcome.UNSUPPORTED: len(VECTORS) - MUST_PASS.total() - RECORD_ONLY,
        Outcome.RECORDED: RECORD_ONLY,
    }
)


_verdicts: dict[str, Verdict] = {}


def verdict_of(vector: Vector) -> Verdict:
    """The verdict of a vector, which is replayed once per run."""
    if vector["id"] not in _verdicts:
        _verdicts[vector["id"]] = replay(vector, load_adapter())
    return _verdicts[vector["id"]]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: Vector) -> None:
    """The product answers every step of the vector as real Windows does."""
    verdict = verdict_of(vector)
    assert not verdict.left_blocked, verdict.report()
    if verdict.outcome is Outcome.RECORDED:
        pytest.skip("record only")
    if verdict.outcome is Outcome.UNSUPPORTED and not must_pass(vector):
        pytest.skip(verdict.reason)
    assert verdict.outcome is Outcome.PASSED, verdict.report()


@pytest.mark.parametrize("vector", VARIANTS, ids=lambda vector: vector["id"])
def test_variant(vector: Vector) -> None:
    """The product answers every step of the variant as it was observed, or as documented."""
    verdict = verdict_of(vector)
    assert not verdict.left_blocked, verdict.report()
    assert verdict.outcome is Outcome.PASSED, verdict.report()


def test_the_totals_per_verdict_are_those_of_the_table() -> None:
    """No vector leaves the supported ones unseen, and none joins them without being required from then on."""
    found = [(vector, verdict_of(vector)) for vector in VECTORS]
    passed = Counter(vector["category"] for vector, verdict in found if verdict.outcome is Outcome.PASSED)
    assert passed == MUST_PASS
    assert Counter(verdict.outcome for _, verdict in found) == TOTALS
