"""From which sparsity do sparse kernels pay? Gains over the best dense engine, and where they cross one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from codesign.answers.frames import OURS, Frames, by_shape, compiled_for, fastest, newest, usable, where
from codesign.answers.words import ENGINE_LABELS, times
from codesign.answers.yardstick import dense as dense_rows
from codesign.bsr import MIN_BLOCK_SPARSITY
from codesign.isa import NATIVE
from codesign.measure.ratios import Interval, ratio, ratio_draws, spread_between
from codesign.study.places import ASIDE

#: Sparsities at which the table says how much is gained.
SHOWN = (0.8, 0.9)
#: Factors of the load, with their words; the others are the sparsity and the model.
LOADS = {"batch": "batch", "seq": "tokens a sequence", "threads": "threads"}
#: What stays the same in a whole sweep.
FIXED = ("scope", "pruner", "seed")

Centre = Mapping[str, Any]


def centre_of(frames: Frames, scope: str = "all") -> dict[str, Any]:
    """Return the operating point as the centre of a sweep."""
    point = {name: getattr(frames, name) for name in ("model", "sparsity", "pruner", "isa")}
    return point | frames.load | {"scope": scope, "seed": 0}


def around(latencies: pd.DataFrame, centre: Centre) -> pd.DataFrame:
    """Return the rows that differ from the centre in the load by one factor, or in sparsity and model.

    Parameters
    ----------
    latencies
        Of any points; those of shapes tried on demand are left out.
    centre
        The point fields of the centre; its block does not matter. With an ``isa``, where that is not the machine's own.
    """
    rows = where(latencies[~latencies["profile"].isin(ASIDE)], **{name: centre[name] for name in FIXED})
    rows = compiled_for(rows, centre.get("isa", NATIVE))
    moved = sum((rows[name] != centre[name]).astype(int) for name in LOADS)
    other = (rows["model"] != centre["model"]) | (rows["sparsity"] != centre["sparsity"])
    return rows[(moved == 0) | ((moved == 1) & ~other)]


def gains(latencies: pd.DataFrame) -> pd.DataFrame:
    """Relate every sparse encoder of ours to the fastest dense engine of its session, of any format that counts.

    Returns
    -------
    pandas.DataFrame
        Its rows with ``dense``, that engine's record; ``over``, its label; ``gain``, a ratio; and ``times``, the gain
        as text. Left out is what failed, has no such engine beside it, or is stored whole for want of zeros.
    """
    rows = usable(latencies)
    sessions = dense_rows(rows).groupby("session_id")["record"]
    dense = {session: fastest(records) for session, records in sessions}
    sparse = where(rows, engine=OURS)
    sparse = sparse[(sparse["sparsity"] >= MIN_BLOCK_SPARSITY) & sparse["session_id"].isin(list(dense))]
    found = sparse.assign(dense=sparse["session_id"].map(dense))
    found["over"] = [ENGINE_LABELS[record["engine"]] for record in found["dense"]]
    found["gain"] = [ratio(*pair) for pair in zip(found["dense"], found["record"], strict=True)]
    return found.assign(times=found["gain"].map(times))


def by_sparsity(latencies: pd.DataFrame, centre: Centre) -> pd.DataFrame:
    """Return the newest `gains` of every model, shape and sparsity at the load of the centre; its model comes first."""
    rows = gains(where(around(latencies, centre), **{name: centre[name] for name in LOADS}))
    models = sorted(rows["model"].unique(), key=lambda model: bool(model != centre["model"]))
    rows = by_shape(newest(rows, ["model", "block", "sparsity"]).sort_values("sparsity", kind="stable"))
    return rows.sort_values("model", kind="stable", key=lambda found: found.map(models.index))


def by_load(latencies: pd.DataFrame, centre: Centre) -> pd.DataFrame:
    """Return the newest `gains` of every value of each factor of the load that moved, the centre's own among them.

    ``factor`` says in words which it is, and ``value`` where it stands.
    """
    same = gains(where(around(latencies, centre), model=centre["model"], sparsity=centre["sparsity"]))
    found = []
    for factor, words in LOADS.items():
        rows = where(same, **{name: centre[name] for name in LOADS if name != factor})
        moved = rows.loc[rows[factor] != centre[factor], "block"]
        rows = rows.assign(factor=words, value=rows[factor])
        rows = newest(rows[rows["block"].isin(moved)], ["block", "value"])
        found.append(by_shape(rows.sort_values("value", kind="stable")))
    return pd.concat(found, ignore_index=True)


def crossovers(curves: pd.DataFrame) -> pd.DataFrame:
    """Return what every model and shape gains.

    Parameters
    ----------
    curves
        From `by_sparsity`.

    Returns
    -------
    pandas.DataFrame
        ``model`` and ``block``; ``start``, from which sparsity on sparse beats dense, with its 95% interval: minus
        infinity where it already does at the lowest sparsity measured, infinity where it does not even at the highest;
        ``pays_from``, the same in words; and the texts of the gains at `SHOWN`, as in ``at80``.
    """
    found = []
    for (model, block), curve in curves.groupby(["model", "block"], sort=False):
        start, known = _start(curve), curve.set_index("sparsity")["times"]
        shown = {f"at{sparsity * 100:.0f}": known.get(sparsity, "-") for sparsity in SHOWN}
        found.append({"model": model, "block": block, "start": start, "pays_from": _words(start, curve), **shown})
    return pd.DataFrame(found)


def crossing(sparsities: Sequence[float], relative_times: Sequence[float]) -> float:
    """Return the sparsity from which on the relative time stays below one.

    Between neighbouring sparsities, the relative time is taken to be linear: so is the work of a sparse kernel.

    Parameters
    ----------
    sparsities
        Ascending.
    relative_times
        Sparse time over dense time at each.

    Returns
    -------
    float
        Minus infinity where all are below one, infinity where the last one is not.
    """
    losses = [index for index, time in enumerate(relative_times) if time >= 1]
    if not losses:
        return -math.inf
    last = losses[-1]
    if last == len(relative_times) - 1:
        return math.inf
    (left, right), (before, after) = sparsities[last : last + 2], relative_times[last : last + 2]
    return left + (right - left) * (before - 1) / (before - after)


def _start(curve: pd.DataFrame) -> Interval:
    """Where a curve crosses one, with its interval; sessions are resampled each by itself."""
    sparsities, pairs = curve["sparsity"].tolist(), list(zip(curve["record"], curve["dense"], strict=True))
    value = crossing(sparsities, [1 / gain.value for gain in curve["gain"]])
    draws = np.stack([ratio_draws(*pair, seed=seed) for seed, pair in enumerate(pairs)], axis=1)
    spread = np.array([spread_between(*pair) for pair in pairs])
    early, late = (  # a slower kernel never pays earlier, so the ends go together
        sorted(crossing(sparsities, draw) for draw in each.tolist()) for each in (draws / spread, draws * spread)
    )
    cut = int(0.025 * len(early))  # not numpy's quantile, which is not a number where it averages infinities
    return Interval(value, early[cut], late[-1 - cut])


def _words(start: Interval, curve: pd.DataFrame) -> str:
    """Say a start in words: ``"72% (70% to 74%)"``, ``"below 50%"``, ``"never up to 95%"``."""
    outside = {
        -math.inf: f"below {curve['sparsity'].min():.0%}",
        math.inf: f"never up to {curve['sparsity'].max():.0%}",
    }
    value, low, high = (outside.get(end, f"{end:.0%}") for end in (start.value, start.low, start.high))
    return value if low == value == high else f"{value} ({low} to {high})"
