"""What accuracy and latency of the same weights say together: patterns, storage, and which shape to prune to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pandas as pd

from codesign.answers.accuracy import MODEL, PRUNING, TRAINED, difference, judged, share
from codesign.answers.effects import closeness, effect, least
from codesign.answers.frames import (
    OURS,
    Frames,
    by_shape,
    compiled_for,
    fastest,
    median_ms,
    missing,
    newest,
    usable,
    where,
)  # fmt: skip
from codesign.answers.yardstick import best_dense
from codesign.blocks import touching
from codesign.measure.ratios import Interval, ratio
from codesign.schema import Record

#: How many right answers a pruned model may lose and still be one to use.
TOLERANCE = 0.02
#: Pruner of the patterns that no training made.
RANDOM = "random"


@cache
def timings(frames: Frames) -> pd.DataFrame:
    """Return the times of `MODEL` under the load of the operating point, but for those in doubt."""
    rows = where(frames.all("latency"), model=MODEL, scope="all", doubt="", **frames.load)
    return compiled_for(rows, frames.isa)


def patterns(judged: pd.DataFrame, timed: pd.DataFrame, sparsity: float) -> pd.DataFrame:
    """Return the time of trained over that of random patterns with as many blocks in each matrix, shape by shape.

    Returns
    -------
    pandas.DataFrame
        ``block``; ``ratio``, of two times of the newest session with both; ``remark``, whether one is in doubt.
    """
    found = []
    for pruner, block in _trained(judged, sparsity):
        same = {"block": block, "sparsity": sparsity}
        found += [
            {"block": block, **pair} for pair in _beside(timed, {"pruner": pruner, **same}, {"pruner": RANDOM, **same})
        ]
    return by_shape(pd.DataFrame(found, columns=["block", "ratio", "remark"]))


def stored(judged: pd.DataFrame, timed: pd.DataFrame, sparsity: float) -> pd.DataFrame:
    """Compare models trained for blocks with unstructured ones stored in those blocks, timed in one session.

    Returns
    -------
    pandas.DataFrame
        ``block``; ``sparsity`` of the unstructured model; ``lead``, how many more answers of the other are right;
        ``ratio``, the time of the unstructured one over its own; ``remark``, whether a time is in doubt.
    """
    found = []
    for pruner, block in _trained(judged, sparsity):
        sparser = touching(sparsity, block)
        single = where(judged, how=TRAINED, block="1x1", sparsity=sparser)
        if block == "1x1" or not len(single):
            continue
        theirs = {"pruner": f"{single.iloc[0]['pruner']}@1x1", "block": block, "sparsity": sparser}
        for pair in _beside(timed, theirs, {"pruner": pruner, "block": block, "sparsity": sparsity}):
            lead = difference(where(judged, how=TRAINED, block=block, sparsity=sparsity), single)
            found.append({"block": block, "sparsity": sparser, "lead": lead, **pair})
    return by_shape(pd.DataFrame(found, columns=["block", "sparsity", "lead", "ratio", "remark"]))


def _trained(judged: pd.DataFrame, sparsity: float) -> list[tuple[str, str]]:
    """Return pruner and block of each shape that was trained."""
    rows = where(judged, how=TRAINED, sparsity=sparsity)
    return list(rows[["pruner", "block"]].drop_duplicates("block").itertuples(index=False, name=None))


def _beside(timed: pd.DataFrame, slow: Mapping[str, object], fast: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the ratio of two of our encoders in the newest session with both; nothing where there is none."""
    ours = where(usable(timed), engine=OURS)
    both = where(ours, **slow).merge(where(ours, **fast), on="session_id", suffixes=("", "_fast"))
    return [
        {
            "ratio": ratio(pair["record"], pair["record_fast"]),
            "remark": _remark(pair["doubt"] + pair["doubt_fast"]),
        }
        for _, pair in both.tail(1).iterrows()
    ]


def _remark(doubt: str) -> str:
    return " (flagged)" if doubt else ""


def acceptable(judged: pd.DataFrame, timed: pd.DataFrame) -> pd.DataFrame:
    """Return the pruned models that lose at most `TOLERANCE` against the dense model, the fastest first.

    Their shape, sparsity and algorithm do not matter. All were timed in one session.

    Returns
    -------
    pandas.DataFrame
        `PRUNING`; ``record``, of its time; ``ms``; and ``remark``, whether that is in doubt.
    """
    pruned, dense = judged[judged["block"] != "dense"], where(judged, block="dense")
    ours = where(usable(timed), engine=OURS).merge(pruned[PRUNING].drop_duplicates(), on=PRUNING)
    contenders = ours.drop_duplicates(["session_id", *PRUNING]).groupby("session_id").size()
    together = contenders.index[contenders == len(ours[PRUNING].drop_duplicates())]
    side = newest(ours[ours["session_id"].isin(together)], PRUNING)[[*PRUNING, "record", "doubt"]]
    lost = pruned["seed"].map(dense.set_index("seed")["accuracy"]) - pruned["accuracy"]
    little = lost.groupby([pruned[name] for name in PRUNING]).mean().loc[lambda loss: loss <= TOLERANCE]
    found = side.merge(little.index.to_frame(index=False), on=PRUNING)
    found = found.assign(ms=[median_ms(record).value for record in found["record"]], remark=found["doubt"].map(_remark))
    return found.sort_values("ms", kind="stable")


def dense_beside(record: Record, timed: pd.DataFrame) -> Record | None:
    """Return the fastest dense engine in the session of a record; None where there is none."""
    return best_dense(newest(where(usable(timed), session_id=record["session_id"]), ["engine"]))


def points(judged: pd.DataFrame, timed: pd.DataFrame, scope: str = "all") -> pd.DataFrame:
    """Return the pruned models that were judged and timed, in the order of shapes.

    Returns
    -------
    pandas.DataFrame
        ``block, sparsity``; ``right`` and ``ms``, each an `Interval`; ``best``, whether no other is as fast and as
        accurate.
    """
    ours = newest(where(usable(timed), engine=OURS, scope=scope), PRUNING)
    both = judged[judged["block"] != "dense"].merge(ours[[*PRUNING, "record"]], on=PRUNING, suffixes=("", "_timed"))
    found = [
        {"block": block, "sparsity": sparsity, "right": share(rows), "ms": median_ms(rows.iloc[0]["record_timed"])}
        for (_, _, block, sparsity), rows in both.groupby(PRUNING, sort=False)
    ]
    table = pd.DataFrame(found, columns=["block", "sparsity", "right", "ms"])
    places = [(-right.value, ms.value) for right, ms in zip(table["right"], table["ms"], strict=True)]
    beaten = [any(a <= right and b <= ms and (a, b) != (right, ms) for a, b in places) for right, ms in places]
    best = [not each for each in beaten]
    return by_shape(table.assign(best=best).sort_values("sparsity", kind="stable"))


@effect("share")
def over_unstructured(frames: Frames) -> Interval:
    """Effect: how many more answers are right than of an unstructured model stored in the blocks, where it is least."""
    return _least(stored(judged(frames), timings(frames), frames.sparsity)["lead"], "accuracy", block="1x1")


@effect("ratio")
def trained_alike(frames: Frames) -> Interval:
    """Effect: how near the time of trained patterns is to that of random ones, for the shape where they differ most."""
    found = patterns(judged(frames), timings(frames), frames.sparsity)
    return _least(found["ratio"].map(closeness), "latency", pruner=RANDOM)


@effect("ratio")
def trained_over_random(frames: Frames, block: str) -> Interval:
    """Effect: time of trained over that of random patterns, in one shape."""
    found = where(patterns(judged(frames), timings(frames), frames.sparsity), block=block)
    return _least(found["ratio"], "latency", pruner=RANDOM, block=block)


@effect("ratio")
def lead_of_choice(frames: Frames) -> Interval:
    """Effect: how many times faster the model to prune to is than whatever loses as little, the dense model included.

    The dense model is run by the fastest dense engine.
    """
    timed = timings(frames)
    first, *others = acceptable(judged(frames), timed)["record"].tolist() or [None]
    if first is not None and (dense := dense_beside(first, timed)):
        others.append(dense)
    if not others:
        raise missing("accuracy", model=MODEL, loss=f"at most {TOLERANCE:.0%}")
    return ratio(fastest(others), first)


@effect("text")
def prune_to(frames: Frames) -> str:
    """Effect: the fastest of the models that lose at most `TOLERANCE`, as in ``"4x1 at 50%"``."""
    timed = timings(frames)
    if not len(where(usable(timed), engine=OURS)):
        raise missing("latency", model=MODEL)
    found = acceptable(judged(frames), timed)
    return "{block} at {sparsity:.0%}".format(**found.iloc[0]) if len(found) else "none of those that were measured"


@effect("count")
def judged_and_timed(frames: Frames) -> int:
    """Effect: how many pruned models were both trained and timed."""
    if not (count := len(points(judged(frames), timings(frames)))):
        raise missing("accuracy", model=MODEL)
    return count


def _least(found: pd.Series, kind: str, **fields: object) -> Interval:
    if not len(found):
        raise missing(kind, model=MODEL, **fields)
    return least(found)
