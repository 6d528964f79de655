"""Groups of block shapes: which are tall, how close they lie, and how far behind the flat ones are."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, session

from codesign.errors import MissingRecord
from codesign.study.claims import evaluate
from codesign.study.evidence import Evidence
from codesign.study.shape_claims import behind, close, fastest, flat, listed, shape_numbers, tall, tied

SHAPES = {"4x1": 20.0, "32x1": 22.0, "16x16": 20.0, "1x1": 44.0, "1x32": 40.0, "2x1": 33.0}


def evidence(shapes: dict[str, float], spread: float = 0.01, **changes: object) -> Evidence:
    times = MILLISECONDS | {("tvm-bsr", "all", block): ms for block, ms in shapes.items()}
    return Evidence(Memory(session(times, spread=spread, **changes)))


def test_shapes_are_tall_by_their_rows() -> None:
    assert tall(evidence(SHAPES), "all") == ["4x1", "32x1", "16x16"]
    assert flat(evidence(SHAPES), "all") == ["1x1", "2x1", "1x32"]


def test_closeness_is_that_of_the_slowest_tall_shape() -> None:
    seen = close("all")(evidence(SHAPES))
    assert seen.value == pytest.approx(20 / 22, rel=0.01)
    assert seen.low < seen.value < seen.high


def test_a_flat_shape_that_is_fastest_makes_all_tall_ones_slower() -> None:
    seen = evidence(SHAPES | {"1x32": 10.0})
    assert fastest(seen, "all") == "1x32"
    assert close("all")(seen).value == pytest.approx(10 / 22, rel=0.01)
    assert behind("all")(seen).value == pytest.approx(10 / 22, rel=0.01)


def test_flat_shapes_are_as_far_behind_as_the_best_of_them() -> None:
    assert behind("all")(evidence(SHAPES)).value == pytest.approx(33 / 22, rel=0.01)


def test_shapes_are_tied_where_the_interval_covers_one() -> None:
    noisy = evidence(SHAPES | {"4x1": 20.1}, spread=0.03)
    assert set(tied(noisy, "all")) == {"4x1", "16x16"}
    assert tied(noisy, "all")[0] == fastest(noisy, "all")


def test_numbers_say_the_same_in_words() -> None:
    values = dict(shape_numbers(evidence(SHAPES)))
    assert values["tall.all.blocks"] == "4x1, 32x1 and 16x16"
    assert values["flat.all.blocks"] == "1x1, 2x1 and 1x32"
    assert values["tall.all.slower"].startswith("10% (")
    assert values["tall.all.over.best-dense"] == "2.3\N{MULTIPLICATION SIGN} to 2.5\N{MULTIPLICATION SIGN}"
    assert "flat.attention.behind" not in values


def test_without_records_there_are_no_shapes() -> None:
    assert dict(shape_numbers(Evidence(Memory([])))) == {"tall.rows": "4"}
    with pytest.raises(MissingRecord, match="04_latency"):
        fastest(Evidence(Memory([])), "all")


def test_verdicts_follow_and_a_flagged_session_decides_nothing() -> None:
    def verdicts(shapes: dict[str, float], **changes: object) -> dict[str, str]:
        return {verdict.id: verdict.verdict for verdict in evaluate(evidence(shapes, **changes))}

    clear = {"4x1": 20.0, "32x1": 22.0, "1x1": 40.0}
    assert (verdicts(clear)["tall-all"], verdicts(clear)["flat-all"]) == ("supported", "supported")
    assert verdicts(clear | {"32x1": 30.0})["tall-all"] == "not supported"
    assert verdicts(clear | {"1x1": 25.0})["flat-all"] == "not supported"
    assert verdicts(clear, flagged=True)["flat-all"] == "inconclusive"


@pytest.mark.parametrize(("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_lists_read_as_sentences_do(words: list[str], text: str) -> None:
    assert listed(words) == text
