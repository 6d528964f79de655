"""Tuning tasks: how often each is used, how fast tuning from nothing gets, and how allocation divides them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from codesign.answers.effects import effect, exactly
from codesign.answers.frames import CONTENDER, OURS, Frames, by_shape, missing, newest, where
from codesign.errors import InputError, MissingRecord
from codesign.measure.ratios import Interval
from codesign.schema import Record

#: Shares of the final latency that tuning has to come within, and the seconds it may take.
CLOSE, BUDGET_S = 1.05, 180.0
#: The step of the padding that the claim is about, as a share of the blocks of a matrix.
BUCKET = 0.05
#: The models whose tasks are counted by allocation.
MODELS = ("bert-base", "minilm")
#: What tells the cases of `counted` apart.
CASE = ["model", "weights", "block", "allocation"]


def newest_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks of every compiled model, each once, of the newest run that recorded any."""
    runs = tasks.groupby(CONTENDER, sort=False)["run_id"].transform("last")
    return newest(tasks[tasks["run_id"] == runs], [*CONTENDER, "digest"])


@cache
def tasks_of(frames: Frames) -> pd.DataFrame:
    """Return `newest_tasks` at the operating point."""
    return newest_tasks(frames.at("task"))


def _sparse(frames: Frames, **fields: object) -> pd.DataFrame:
    found = where(tasks_of(frames), engine=OURS, family_kind="bsr", **fields)
    if not len(found):
        raise missing("task", engine=OURS, **fields)
    return found


@effect("count")
def sparse_tasks(frames: Frames, scope: str, block: str) -> int:
    """Effect: how many distinct sparse tasks one of our encoders has."""
    return len(_sparse(frames, scope=scope, block=block))


@effect("count")
def sparse_uses(frames: Frames, scope: str, block: str) -> int:
    """Effect: how many places of one of our encoders use a sparse task."""
    return int(_sparse(frames, scope=scope, block=block)["weight"].sum())


@effect("uses per task")
def uses_per_task(frames: Frames, scope: str) -> Interval:
    """Effect: uses of a sparse task in one inference, averaged over tasks, for the shape where it is least."""
    return exactly(float(_sparse(frames, scope=scope).groupby("block")["weight"].mean().min()))


def seconds_until_close(tuning: Record) -> float:
    """Return the seconds until a tuning run was within `CLOSE` of its final weighted latency.

    Raises
    ------
    MissingRecord
        If it ended before every task had a time.
    """
    curve = [(seconds, ns) for seconds, _, ns in tuning["curve"] if ns is not None]
    if not curve:
        raise MissingRecord("tuning", {"curve": "of a finished run"}, "notebook 10_search")
    return float(next(seconds for seconds, ns in curve if ns <= CLOSE * curve[-1][1]))


def _from_nothing(frames: Frames) -> pd.Series:
    """Return the seconds until each tuning run of one of our encoders that began with no database was close."""
    found = where(frames.at("tuning"), engine=OURS, from_nothing=True)
    if not len(found):
        raise MissingRecord("tuning", {"engine": OURS, "from_nothing": True}, "notebook 10_search")
    return found["record"].map(seconds_until_close)


@effect("ratio")
def tuning_margin(frames: Frames) -> Interval:
    """Effect: how many times the tuning of one encoder fits into its budget of time; all runs lie in the interval."""
    fits = BUDGET_S / _from_nothing(frames).clip(lower=1e-9)
    return Interval(float(fits.median()), float(fits.min()), float(fits.max()))


@effect("s")
def tuning_close(frames: Frames) -> float:
    """Effect: seconds until tuning an encoder from nothing comes close to its end, the median of several runs."""
    return float(_from_nothing(frames).median())


@effect("count")
def tuning_runs(frames: Frames) -> int:
    """Effect: how many times an encoder was tuned from nothing."""
    return len(_from_nothing(frames))


def counted(identities: pd.DataFrame, bucket: float) -> pd.DataFrame:
    """Count the tasks of each case: equal linears are one sparse task, and padding may make linears equal.

    Padding stores the next multiple of ``bucket``, a share of the blocks of a matrix. Layers that pruning left so full
    that the compiler stores them whole are no sparse tasks.

    Returns
    -------
    pandas.DataFrame
        `CASE`; ``tasks`` of any kind, ``sparse`` ones, ``uses`` of these, ``whole`` linears stored dense; ``most`` and
        ``least`` used; share of blocks stored from the ``emptiest`` to the ``fullest`` matrix; ``padded`` tasks, and
        the share of blocks that padding ``added``.

    Raises
    ------
    InputError
        If ``bucket`` is not in (0, 1].
    """
    if not 0 < bucket <= 1:
        raise InputError("bucket", bucket, "a share of the blocks above 0, at most 1", BUCKET)
    tasks = identities["record"].map(lambda record: record["tasks"])
    pruned = tasks.map(lambda each: any(map(_is_sparse, each))).astype(bool)
    cases, tasks = (each[pruned].reset_index(drop=True) for each in (identities[CASE], tasks))
    if not len(cases):
        return cases
    whole = [sum(task["weight"] for task in each if task["family_kind"] == "dense") for each in tasks]
    found = cases.assign(tasks=tasks.map(len), whole=whole).join(_linears(tasks, bucket))
    return by_shape(found).sort_values("model", kind="stable", ignore_index=True)


def _is_sparse(task: Record) -> bool:
    return bool(task["family_kind"] == "bsr")


def _linears(tasks: pd.Series, bucket: float) -> pd.DataFrame:
    """Count the sparse linears of each case, equal ones as one, whatever tasks they belong to."""
    linears = pd.DataFrame(
        {"case": case, "uses": task["weight"], **task["linear"]}
        for case, each in tasks.items()
        for task in filter(_is_sparse, each)
    )
    same = [name for name in linears if name != "uses"]
    linears = linears.groupby(same, as_index=False, sort=False, dropna=False)["uses"].sum()
    blocks = -(-linears["outputs"] // linears["rows"]) * -(-linears["inputs"] // linears["cols"])
    step = np.maximum(1, (bucket * blocks).round())
    padded = np.minimum(blocks, np.ceil(linears["nnz"] / step) * step)
    stored = linears["nnz"] * linears["uses"]
    sizes = linears.assign(share=linears["nnz"] / blocks, stored=stored, more=padded * linears["uses"] - stored)
    found = sizes.groupby("case").agg(
        sparse=("uses", "size"), uses=("uses", "sum"), most=("uses", "max"), least=("uses", "min"),
        emptiest=("share", "min"), fullest=("share", "max"), stored=("stored", "sum"), more=("more", "sum"),
    )  # fmt: skip
    alike = linears[same].assign(nnz=padded).drop_duplicates().groupby("case").size()
    return found.assign(padded=alike, added=(found["more"] / found["stored"]).fillna(0.0))


@cache
def _allocations(frames: Frames) -> pd.DataFrame:
    """Return `counted` with a row a model and block shape, and a column a count and allocation."""
    load = {"scope": "all", "sparsity": frames.sparsity, "pruner": frames.pruner, **frames.load}
    cases = where(frames.all("identity"), **load)
    for model in MODELS:
        if not len(where(cases, model=model)):
            raise missing("identity", model=model)
    found = counted(newest(cases[cases["model"].isin(MODELS)], CASE), BUCKET)
    found = found.pivot(index=["model", "block"], columns="allocation", values=["sparse", "padded"])
    for allocation in ("uniform", "global"):
        for model, block in found.index[found.reindex(columns=[("sparse", allocation)]).isna().any(axis=1)]:
            raise missing("identity", model=model, block=block, allocation=allocation)
    return found


@effect("ratio")
def task_reuse(frames: Frames) -> Interval:
    """Effect: sparse tasks of ``global`` over those of ``uniform``, for the model and shape where it is least."""
    found = _allocations(frames)["sparse"]
    return exactly(float((found["global"] / found["uniform"]).min()))


@effect("share")
def tasks_alike(frames: Frames) -> Interval:
    """Effect: sparse tasks of ``uniform`` over those of ``global``, both padded, where it is least."""
    found = _allocations(frames)["padded"]
    return exactly(float((found["uniform"] / found["global"]).min()))
