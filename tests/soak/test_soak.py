"""The campaigns themselves: short rounds of each, and what each of them must not overlook."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from tests.soak import broken, chain, inputs, kills, patterns, state
from tests.soak.tally import Tally, run_rounds

from codesign.compiler import target_spec


def test_rounds_that_were_done_are_not_done_again(tmp_path: Path) -> None:
    study = chain.study_in(tmp_path)
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


# -- inputs of chance ------------------------------------------------------------------------------------------------

READERS = inputs.readers()


@pytest.mark.parametrize("name", READERS)
def test_a_reader_is_right_or_refuses_with_its_own_error(name: str) -> None:
    tally = inputs.tried(name, *READERS[name], seed=7, tries=60)
    assert not tally.defects
    assert tally.count >= 60
    assert tally.refused > 0


def test_a_reader_that_accepts_what_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "check", lambda name, value: str(value) + "!")
    tally = inputs.tried("careless", st.just(("block", 7)), inputs.parameter, seed=0, tries=3)
    assert (tally.wrong, tally.refused) == (1, 0)
    assert tally.defects[0].startswith("AssertionError: accepted block=7")


# -- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", patterns.KINDS)
def test_a_drawn_pattern_has_as_many_blocks_as_the_kernel(kind: str) -> None:
    for grid, nnz in [((5, 7), 0), ((5, 7), 35), ((5, 7), 12), ((1, 1), 1), ((40, 3), 60)]:
        layout = patterns.stored(np.random.default_rng(0), kind, grid, nnz)
        assert (layout.shape, layout.sum()) == (grid, nnz)


def test_full_rows_lie_among_empty_ones() -> None:
    layout = patterns.stored(np.random.default_rng(0), "full rows", (10, 6), 14)
    assert sorted(layout.sum(axis=1)) == [0] * 7 + [2, 6, 6]


def test_a_round_tries_every_family_and_finds_nothing() -> None:
    tallies = {tally.subject: tally for tally in patterns.one_round(0, linears=2, others=1)}
    token_major = {"token_major_attention", "token_major_norm"}
    assert token_major | {"token_tile", "attention_tile", "column_tile", "layout_tile"} <= set(tallies)
    assert tallies["token_tile"].count >= patterns.PATTERNS
    assert not [defect for tally in tallies.values() for defect in tally.defects]


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "kernel", lambda *_: None)
    monkeypatch.setattr(patterns, "run", lambda call, inputs, operator: np.zeros(operator.arguments()[-1].shape))
    assert all(tally.wrong == tally.count > 0 for tally in patterns.one_round(0, linears=1, others=1))


def test_layer_norm_of_alike_features_is_judged_by_its_condition() -> None:
    operator = patterns.LayerNorm(features=2, tokens=16, epsilon=1e-12, slab=16)
    x = np.tile(np.float32([[1000.0], [1000.1]]), (1, 16))
    arrays = [patterns.as_slabs(x, 16), *np.ones((2, 2), np.float32)]
    want = operator.oracle(*arrays)
    off = want + 1e-3
    condition = patterns.condition(operator, arrays)
    assert condition == pytest.approx(20000, rel=0.01)
    assert not patterns.right(off, want)
    assert patterns.right(off, want, condition)
    assert not patterns.right(want + 1.0, want, condition)


# -- broken schedules ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", broken.BREAKS)
def test_every_break_changes_the_kernel_that_is_emitted(name: str) -> None:
    rng, spec = np.random.default_rng(0), target_spec(2)
    operator = broken.draw_operator(rng, spec, name)
    for family, drawn in patterns.draw_points(rng, operator, spec):
        wrong, right = (broken.generated(operator, family, drawn | {"prefetch": 0}, spec, n) for n in (name, None))
        assert wrong.script() != right.script()


# -- kills -----------------------------------------------------------------------------------------------------------


def test_appended_records_survive_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "APPEND_KILLS", 3)
    tally = kills.append(random.Random(0), tmp_path / "workspace")
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
    assert state.lost(before, state.finished(tmp_path)) == ["machine.jsonl lost a finished line"]
    model = tmp_path / "build" / "models" / "half"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({}))
    assert [text.split(":")[0] for text in state.damage(tmp_path)] == ["machine", str(model)]
    (tmp_path / "build" / "models" / ".work").mkdir()
    assert len(state.damage(tmp_path)) == 2  # what is being written hides behind a dot


def test_a_step_that_fails_says_so_with_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chain, "STEPS", {"prune": fail})
    with pytest.raises(RuntimeError, match=r"(?s)prune ended with exit code 1.*No space left"):
        chain.run_to_end("prune", tmp_path / "workspace")


def test_a_step_is_killed_and_nothing_of_it_stays(tmp_path: Path) -> None:
    with chain.running("append", tmp_path / "workspace") as process:
        assert kills.group(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert not kills.group(process.pid)
