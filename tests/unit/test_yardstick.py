"""What sparse engines are compared with: dense ones of every format that keeps a model's answers, ours or others'."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, ceilings, latency, machine, session

from codesign.answers import yardstick
from codesign.answers.classes import by_class, class_of, newest_of_each
from codesign.answers.effects import text, value
from codesign.answers.frames import Frames, frame
from codesign.answers.yardstick import counting, losses

FAST = latency("openvino-bf16", "none", "dense", 25.0, format="bf16")


def frames(records: list[dict[str, Any]], machine: str = "xeon") -> Frames:
    return Frames(Memory(records, machine))


@pytest.fixture
def bf16_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "counting", lambda: frozenset({"fp32", "bf16"}))


@pytest.fixture
def fp32_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardstick, "counting", lambda: frozenset({"fp32"}))


def test_the_best_dense_engine_is_that_of_any_format_that_counts(bf16_counts: None) -> None:
    ours = latency("tvm-dense", "none", "dense", 24.0)
    times = {key: ms for key, ms in MILLISECONDS.items() if key[0] != "tvm-dense"}
    found = frames([machine(), *session(times), ours, FAST])
    effects = {"over-best-dense": 25 / 20, "over-best": 24 / 20, "over-best-fp32": 50 / 20}
    for name, right in effects.items():
        assert value(found, f"{name}.all.32x1").value == pytest.approx(right, rel=0.02)
    assert text(found, "best-dense-engine.others.all") == "OpenVINO, bfloat16"
    assert text(found, "best-dense-engine.all.all") == "our compiler, dense"


def test_a_format_that_was_not_judged_does_not_count(fp32_only: None) -> None:
    found = frames([machine(), *session(), FAST])
    assert value(found, "over-best-dense.all.32x1").value == pytest.approx(50 / 20, rel=0.02)


def test_an_engine_that_was_judged_badly_is_left_out_whatever_its_format(
    bf16_counts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yardstick, "lossy", lambda: frozenset({"openvino-bf16"}))
    found = frames([machine(), *session(), FAST])
    assert value(found, "over-best-dense.all.32x1").value == pytest.approx(50 / 20, rel=0.02)


def test_float32_counts_whatever_was_judged() -> None:
    assert "fp32" in counting()


def rating(engine: str, form: str, seed: int, signs: float, pearson: float) -> dict[str, Any]:
    about = {"kind": "rating", "model": "minilm", "scope": "none", "block": "dense", "recipe": "r", "task_digest": "d"}
    found = {"engine": engine, "format": form, "seed": seed, "sign_accuracy": signs, "pearson": pearson}
    return about | found | {"domain": "movies"}


def test_a_format_counts_if_it_loses_little_on_average_over_seeds_and_domains() -> None:
    ratings = [rating("torch-eager", "fp32", seed, 0.85, 0.82) for seed in (0, 1)]
    ratings += [rating("torch-bf16", "bf16", 0, 0.835, 0.82), rating("torch-bf16", "bf16", 1, 0.85, 0.815)]
    ratings += [rating("openvino-int8", "int8", seed, 0.85, 0.80) for seed in (0, 1)]
    found = losses(frame(ratings)).set_index("format")
    assert found.loc["bf16", "sign_accuracy"] == pytest.approx(0.0075)
    assert found["counts"].to_dict() == {"fp32": True, "bf16": True, "int8": False}


@pytest.mark.parametrize(
    ("flags", "bf16", "name"),
    [
        (["avx2"], 0, "AVX2"),
        (["avx2", "avx_vnni"], 0, "AVX2, int8 dot products"),
        (["avx2", "avx512f"], 0, "AVX-512"),
        (["avx2", "avx512f", "avx512_vnni", "avx512_bf16"], 230.0, "AVX-512, int8 dot products"),
        (["avx2", "avx512f", "avx512_vnni", "avx512_bf16"], 466.0, "AVX-512, bfloat16 at full rate"),
        (["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile"], 466.0, "AMX"),
        (["neon"], 0, "other"),
    ],
)
def test_a_class_follows_from_instructions_and_from_what_was_measured(flags: list[str], bf16: float, name: str) -> None:
    peaks = ceilings(registers=234.0) + [r | {"format": "bf16", "rate": bf16} for r in ceilings(registers=1.0) if bf16]
    assert class_of(frames([machine(isa=flags), *peaks])) == name


def test_each_class_is_answered_by_its_newest_machine(fp32_only: None) -> None:
    old, new = (
        frames([machine(name=day), *session(started_at=f"2026-01-{day}T00:00:00")], day) for day in ("01", "02")
    )
    wide = frames([machine(isa=["avx2", "avx512f"]), *session()], "wide")
    nothing = frames([machine(isa=["avx2", "amx_tile"])], "nothing")
    assert newest_of_each([new, old, wide, nothing]) == {"AVX-512": wide, "AVX2": new}
    rows = by_class([old, wide, new]).to_dict("records")
    assert [row["class of machine"] for row in rows] == ["AVX-512", "AVX2"]
    assert rows[1]["measured on"] == "02, 2026-01-02, this code"
    assert rows[1]["fastest shape"] == "32x1, float32"
    assert rows[1]["over the best dense engine by others"].endswith("OpenVINO")
