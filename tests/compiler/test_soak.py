"""The campaigns themselves: few rounds of each, and what each of them must not overlook."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from codesign.compiler import TargetSpec
from codesign.errors import InputError
from codesign.records import Results, new_run_id
from codesign.study.chain import Study
from codesign.study.soak import broken, campaigns, chain, kills, patterns, state
from codesign.study.soak.tally import Tally, run_rounds


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(Results("local", tmp_path / "results"), "smoke", new_run_id(), "m1", tmp_path / "build")


def test_rounds_that_were_done_are_not_done_again(study: Study) -> None:
    done: list[int] = []

    def one(seed: int) -> list[Tally]:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(seed)
        return [Tally("x", "y", count=3, wrong=1, defects=["off by one"])]

    with pytest.raises(KeyboardInterrupt):
        run_rounds(study, "inputs", 4, one)
    assert [record["seed"] for record in study.found("soak", {"campaign": "inputs"})] == [0, 1]
    done.clear()
    run_rounds(study, "inputs", 4, one)
    records = study.found("soak", {})
    assert [record["seed"] for record in records] == [0, 1, 2, 3]
    assert records[0]["tallies"][0]["defects"] == ["off by one"]


def test_a_campaign_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    with pytest.raises(InputError, match="did you mean kills"):
        campaigns.soak(["kill"])
    assert not list(tmp_path.iterdir())


# -- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", patterns.KINDS)
@pytest.mark.parametrize(("grid", "nnz"), [((5, 7), 0), ((5, 7), 35), ((5, 7), 12), ((1, 1), 1), ((40, 3), 60)])
def test_a_drawn_pattern_has_as_many_blocks_as_the_kernel(kind: str, grid: tuple[int, int], nnz: int) -> None:
    layout = patterns.stored(np.random.default_rng(0), kind, grid, nnz)
    assert (layout.shape, layout.sum()) == (grid, nnz)


def test_full_rows_lie_among_empty_ones() -> None:
    layout = patterns.stored(np.random.default_rng(0), "full rows", (10, 6), 14)
    assert sorted(layout.sum(axis=1)) == [0] * 7 + [2, 6, 6]


def test_a_round_tries_every_family_and_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LINEARS", 4)
    monkeypatch.setattr(patterns, "OTHERS", 1)
    tallies = {tally.subject: tally for tally in patterns.one_round(0)}
    token_major = {"token_major_attention", "token_major_norm"}
    assert token_major | {"token_tile", "attention_tile", "column_tile", "layout_tile"} <= set(tallies)
    assert tallies["token_tile"].count == 4 * patterns.PATTERNS
    assert not [defect for tally in tallies.values() for defect in tally.defects]


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LINEARS", 1)
    monkeypatch.setattr(patterns, "OTHERS", 0)
    monkeypatch.setattr(patterns, "run", lambda call, inputs, operator: np.zeros(operator.arguments()[-1].shape))
    assert all(tally.wrong == tally.count > 0 for tally in patterns.one_round(0))


def test_layer_norm_of_alike_features_is_judged_by_its_condition() -> None:
    operator = patterns.LayerNorm(features=2, tokens=16, epsilon=1e-12)
    x = np.tile(np.float32([[1000.0], [1000.1]]), (1, 16))
    inputs = [patterns.as_slabs(x, 16), *np.ones((2, 2), np.float32)]
    want = operator.oracle(*inputs)
    off = want + 1e-3
    condition = patterns._condition(operator, inputs)
    assert condition == pytest.approx(20000, rel=0.01)
    assert not patterns.right(off, want)
    assert patterns.right(off, want, condition)
    assert not patterns.right(want + 1.0, want, condition)


# -- broken schedules ------------------------------------------------------------------------------------------------


def test_every_break_changes_the_kernel_that_is_emitted(spec: TargetSpec) -> None:
    rng = np.random.default_rng(0)
    for name in broken.BREAKS:
        operator = broken._operator(rng, spec, name)
        for family, drawn in patterns.draw_points(rng, operator, spec):
            decisions = drawn | {"prefetch": 0}
            right = family.generate(operator, spec, decisions).script()
            generated = broken.generated(operator, name)
            with broken.reading_wrongly(family, name):
                assert family.generate(generated, spec, decisions).script() != right, name


# -- kills -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def appending(tmp_path: Path) -> Path:
    """A workspace in which a step only appends records, and is killed twice."""
    return tmp_path / "workspace"


def test_appended_records_survive_kills(appending: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "APPEND_KILLS", 3)
    tally = kills._append(random.Random(0), appending)
    assert (tally.count, tally.lost, tally.defects) == (3, 0, [])
    assert tally.settings["records"] > 0


def test_a_lost_line_and_a_torn_file_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "local"
    folder.mkdir(parents=True)
    path = folder / "machine.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}\n{"c"')
    before = state.finished(tmp_path)
    assert before == {"machine.jsonl": [b'{"a": 1}', b'{"b": 2}']}
    path.write_text('{"b": 2}\n')
    assert state.lost(before, state.finished(tmp_path)) == ["machine.jsonl"]
    model = tmp_path / "build" / "models" / "half"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({}))
    assert [str(model) in text for text in state.damage(tmp_path) if "machine" not in text] == [True]
    half = tmp_path / "build" / "models" / ".work"
    half.mkdir()
    assert len(state.damage(tmp_path)) == 2  # what is being written hides behind a dot


def test_a_step_that_fails_says_so_with_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(study: Study) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chain, "STEPS", {"prune": fail})
    with pytest.raises(RuntimeError, match="No space left"):
        kills.run_to_end("prune", tmp_path / "workspace")


def test_a_step_is_killed_and_nothing_of_it_stays(tmp_path: Path) -> None:
    pid = chain.start("append", tmp_path / "workspace")
    assert kills._group(pid)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not kills._group(pid)
