"""What a sparse engine has to beat: the fastest dense one, of any number format whose loss is small enough.

Two comparisons are never mixed: with engines by *others*, and with the best of *all*, our own dense engine among them.
"""

from __future__ import annotations

from functools import cache

import pandas as pd

from codesign.answers.effects import effect
from codesign.answers.frames import OURS, Frames, fastest, missing, usable, where
from codesign.answers.words import ENGINE_LABELS
from codesign.engines import ENGINES, SPARSE
from codesign.measure.ratios import Interval
from codesign.records import Record, Results
from codesign.study import places

#: What a number format may cost a fine-tuned model beside float32, in share of right signs and in Pearson's r.
MOST_LOST = {"sign_accuracy": 0.01, "pearson": 0.01}
#: The engine whose float32 ratings are the measure of all others.
REFERENCE = "torch-eager"
FP32 = frozenset({"fp32"})


def losses(ratings: pd.DataFrame) -> pd.DataFrame:
    """Return what each engine's format costs the dense model: a row an engine, the mean over seeds and domains.

    Parameters
    ----------
    ratings
        Frame of `rating` records.

    Returns
    -------
    pandas.DataFrame
        ``engine``, ``format``, ``sign_accuracy`` and ``pearson`` lost (negative where the format is better), and
        whether the format ``counts``.
    """
    key = ["model", "seed", "recipe", "task_digest", "domain"]
    dense = where(ratings, block="dense").drop_duplicates([*key, "engine"], keep="last")
    both = dense.merge(where(dense, engine=REFERENCE), on=key, suffixes=("", "_fp32"))
    lost = {name: both[f"{name}_fp32"] - both[name] for name in MOST_LOST}
    found = both.assign(**lost).groupby(["engine", "format"], sort=False)[list(MOST_LOST)].mean().reset_index()
    return found.assign(counts=(found[list(MOST_LOST)] <= pd.Series(MOST_LOST)).all(axis=1))


@cache
def counting() -> frozenset[str]:
    """Return the number formats whose loss is small enough, by any engine on any machine, and float32."""
    found = judged([places.results(name) for name in places.machines()])
    return FP32 | frozenset(found.loc[found["counts"], "format"])


@cache
def lossy() -> frozenset[str]:
    """Return the engines that lose too much themselves, whatever others do with their format."""
    found = judged([places.results(name) for name in places.machines()])
    return frozenset(found.loc[~found["counts"].astype(bool), "engine"])


def judged(machines: list[Results]) -> pd.DataFrame:
    """Return the `losses` of each machine, one after the other."""
    return pd.concat([losses(Frames(each).all("rating")) for each in machines])


def dense(rows: pd.DataFrame, *, others: bool = False, formats: frozenset[str] | None = None) -> pd.DataFrame:
    """Return the usable rows of dense engines in a format that counts.

    Parameters
    ----------
    rows
        Frame of latencies.
    others
        Leave out those that our compiler made.
    formats
        Instead of `counting`.
    """
    names = [
        name
        for name, engine in ENGINES.items()
        if name not in SPARSE
        if engine.format in (formats or counting()) and name not in lossy()
        if not (others and name.startswith("tvm-dense"))
    ]
    found = usable(rows)
    return found[found["engine"].isin(names)]


def best_dense(rows: pd.DataFrame, *, others: bool = False, formats: frozenset[str] | None = None) -> Record | None:
    """Return the fastest record of `dense`; None where there is none."""
    found = dense(rows, others=others, formats=formats)["record"]
    return fastest(found) if len(found) else None


def _over(frames: Frames, scope: str, block: str, *, others: bool, formats: frozenset[str] | None = None) -> Interval:
    record = frames.latency(OURS, scope, block)
    rivals = dense(frames.beside(scope), others=others, formats=formats)["record"]
    if not len(rivals):
        raise missing("latency", engine=REFERENCE, scope=scope)
    return min((frames.gain(rival, record) for rival in rivals), key=lambda gain: gain.value)


@effect("ratio")
def over_best_dense(frames: Frames, scope: str, block: str) -> Interval:
    """Effect: how many times ours is faster than the fastest dense engine by others, in any format that counts."""
    return _over(frames, scope, block, others=True)


@effect("ratio")
def over_best_fp32(frames: Frames, scope: str, block: str) -> Interval:
    """Effect: how many times ours is faster than the fastest dense float32 engine by others."""
    return _over(frames, scope, block, others=True, formats=FP32)


@effect("ratio")
def over_best(frames: Frames, scope: str, block: str) -> Interval:
    """Effect: how many times ours is faster than the fastest dense one, ours or not, in any format that counts."""
    return _over(frames, scope, block, others=False)


@effect("text")
def best_dense_engine(frames: Frames, whose: str, scope: str) -> str:
    """Effect: the fastest dense engine of ``others`` or of ``all``, with its format, beside the shapes of a scope."""
    best = best_dense(frames.beside(scope), others=whose == "others")
    if best is None:
        raise missing("latency", engine=REFERENCE, scope=scope)
    return ENGINE_LABELS[best["engine"]]
