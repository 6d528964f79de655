"""The cost model sees decisions, searches follow it, and everything stays in TVM's own records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.compiler import TargetSpec, open_database, target_spec, tune
from codesign.compiler.database import trials
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import applicable
from codesign.compiler.search import FIRST, STEP, CostModel, DecisionModel, choose, pick
from codesign.compiler.space import candidates, picked, register_rule, space_generator
from codesign.compiler.tasks import best_decisions, task_of
from codesign.compiler.tvm_compat import MeasureCandidate, ms


@pytest.fixture(scope="module")
def spec() -> TargetSpec:
    """One thread: two on cores that other tests use wait for each other, call by call."""
    return target_spec(threads=1)


def linear(spec: TargetSpec, outputs: int = 32, rows: int = 8) -> Linear:
    return Linear(outputs, 64, 64, rows, 1, outputs // rows * 12, spec.threads, "bias")


def test_no_two_points_of_a_space_look_alike(spec: TargetSpec) -> None:
    operator = linear(spec)
    seen = [
        tuple(sorted(family.features(operator, spec, decisions).items()))
        for _, family in applicable(operator, spec)
        for decisions in family.points(operator, spec)
    ]
    assert len(set(seen)) == len(seen) > 4
    assert all(np.isfinite(value) for features in seen for _, value in features)


def test_features_tell_operators_apart(spec: TargetSpec) -> None:
    (_, family), *_ = applicable(linear(spec), spec)
    decisions = family.points(linear(spec), spec)[0]
    one, other = (family.features(linear(spec, outputs), spec, decisions) for outputs in (32, 64))
    assert one != other
    assert one.keys() == other.keys()


def test_the_model_learns_what_makes_points_fast_and_carries_it_to_another_task() -> None:
    def points(size: int) -> tuple[list[dict[str, float]], list[float | None]]:
        features = [{"size": float(size), "tile": float(t), "flag": float(f)} for t in range(8) for f in (0, 1)]
        return features, [size * (1 + (p["tile"] - 5) ** 2 + p["flag"]) for p in features]

    model = DecisionModel()
    features, seconds = points(10)
    assert (model.score(features) == 0).all()  # nothing learnt: no preference
    model.learn("a", features, seconds)
    model.learn("b", *points(20))
    unseen, times = points(40)
    best = int(np.argmax(model.score(unseen)))
    assert times[best] == min(time for time in times if time is not None)
    # a family with other decisions lacks these features, and is scored all the same
    assert np.isfinite(model.score([{"other": 1.0}])).all()


def test_a_failed_point_is_the_worst_of_its_task() -> None:
    features = [{"tile": float(t)} for t in range(6)]
    model = DecisionModel()
    model.learn("a", features, [1.0, 1.1, 1.2, 1.3, None, None])
    scores = model.score(features)
    assert scores[:4].min() > scores[4:].max()


def test_tasks_of_which_every_point_failed_teach_nothing_wrong() -> None:
    model = DecisionModel()
    model.learn("a", [{"tile": 1.0}, {"tile": 2.0}], [None, None])
    assert np.isfinite(model.score([{"tile": 1.0}])).all()


@given(left=st.integers(0, 30), measured=st.integers(0, 9), seed=st.integers(0, 99))
def test_a_batch_is_made_of_distinct_points_and_begins_with_the_default(left: int, measured: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch = choose(left, measured, lambda: rng.random(left), rng)
    assert len(set(batch)) == len(batch) == min(left, STEP if measured else FIRST)
    assert all(0 <= index < left for index in batch)
    assert measured or not left or batch[0] == 0


def test_picks_follow_the_scores_but_for_a_few() -> None:
    scores = np.arange(100.0)
    picks = [pick(scores, 4, np.random.default_rng(seed)) for seed in range(200)]
    top = np.mean([index >= 96 for batch in picks for index in batch])
    assert 0.75 < top < 1.0
    assert len({index for batch in picks for index in batch}) > 20  # what is explored is not always the same


def test_metaschedule_asks_the_model_about_our_candidates(spec: TargetSpec) -> None:
    """Through TVM's own interface: update with results, then predict."""
    register_rule(spec)
    task = task_of(linear(spec, rows=4))  # too few for block-rows of whole vectors, which have no decision on rows
    context = ms.TuneContext(
        mod=task.module, target=spec.target, task_name="t", space_generator=space_generator(True),
        search_strategy="evolutionary", num_threads=1,
    ).clone()  # fmt: skip
    points = candidates(context, context.generate_design_space(), spec)
    measured = [MeasureCandidate(p, ms.arg_info.ArgInfo.from_entry_func(p.mod)) for p in points]
    rows = [picked(point)[1]["rows"] for point in points]
    model = CostModel(spec)
    assert len(set(model.predict(context, measured))) == 1
    # what makes a point fast here is its rows alone
    model.update(context, measured, [ms.runner.RunnerResult([1e-3 / value], None) for value in rows])
    scores = model.predict(context, measured)
    assert rows[int(np.argmax(scores))] == max(rows)
    assert np.corrcoef(scores, np.array(rows) / max(rows))[0, 1] > 0.9


def test_a_small_budget_is_kept_and_what_was_found_replays(spec: TargetSpec, tmp_path: Path) -> None:
    task, budget, folder = task_of(linear(spec)), FIRST + 1, tmp_path / spec.key
    report = tune([task], database=folder, spec=spec, trials_per_task=budget, second_look=False)
    assert (report.trials, report.failures) == (budget, {})
    measured = [seconds for seconds in report.measured[task.digest] if seconds is not None]
    opened = open_database(folder, spec)
    records = trials(opened, task.module)
    assert len(records) == len(measured) == budget
    decisions = [picked(record.as_measure_candidate().sch)[1] for record in records]
    defaults = [family.points(task.operator, spec)[0] for _, family in applicable(task.operator, spec)]
    assert any(default in decisions for default in defaults), "the default of a family is always tried"
    assert len({tuple(each.items()) for each in decisions}) == budget
    chosen = best_decisions(opened, task)
    assert chosen is not None
    assert {name: value for name, value in chosen.items() if name != "family"} in decisions
