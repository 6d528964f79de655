"""Right answers of trained models: means over seeds, and paired differences with bootstrap intervals.

Test texts and seeds are both drawn anew: a model that is judged by other texts, or trained from another seed, would
have got another accuracy. Models of one task answer the same texts, so their difference is paired text by text.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pandas as pd

from codesign.answers.effects import effect, interval, least
from codesign.answers.frames import Frames, by_shape, missing, newest, where
from codesign.errors import InputError
from codesign.measure.ratios import Interval

#: The pretrained model that is trained.
MODEL = "minilm"
#: What makes two records be about the same pruned weights, of whatever seed.
PRUNING = ["scope", "pruner", "block", "sparsity"]
#: How the main algorithm prunes, and its control: at once, before as many steps of training. Others go by their name.
TRAINED, AT_ONCE = "trained for blocks", "pruned at once"
_RESAMPLES = 2000


def share(rows: pd.DataFrame, hits: str = "hits") -> Interval:
    """Return the share of right answers of a model, over the rows of its seeds; of the bag of words by another column.

    Raises
    ------
    InputError
        If they are answers to different tasks.
    """
    same_task(rows)
    right = _right(rows[hits])
    return interval(float(right.mean()), _draws(right))


def difference(a: pd.DataFrame, b: pd.DataFrame, hits: str = "hits") -> Interval:
    """Return how much more accurate model ``a`` is than ``b``, over the seeds of both, paired by seed and text.

    ``hits`` is what is read of ``b``: ``"baseline_hits"`` compares with the bag of words.

    Raises
    ------
    InputError
        If they are answers to different tasks, or share no seed.
    """
    same_task(pd.concat([a, b]))
    pairs = a[["seed", "hits"]].merge(b[["seed"]].assign(other=b[hits]), on="seed").sort_values("seed")
    if not len(pairs):
        raise InputError("seed", sorted(b["seed"]), f"one of {sorted(a['seed'])}, to compare models of equal seeds")
    gain = _right(pairs["hits"]) - _right(pairs["other"])
    return interval(float(gain.mean()), _draws(gain))


def same_task(rows: pd.DataFrame) -> None:
    """Refuse rows about different tasks, or other texts of one."""
    if len(digests := sorted(set(rows["task_digest"]))) != 1:
        raise InputError("task_digest", ", ".join(digests) or None, "records of one task")


def _right(hits: pd.Series) -> np.ndarray:
    return np.array([list(each) for each in hits]).astype(np.float64)


def _draws(right: np.ndarray) -> np.ndarray:
    """Means over drawn seeds and drawn texts, float64 [_RESAMPLES]."""
    weights, often = _drawn(*right.shape)
    return (weights * (often @ right.T)).sum(axis=1) / right.shape[1]


@cache
def _drawn(seeds: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of each seed, and how often each text was drawn, for every resample."""
    rng = np.random.default_rng(0)
    texts, drawn = (rng.integers(each, size=(_RESAMPLES, each)) for each in (count, seeds))
    return _often(drawn, seeds) / seeds, _often(texts, count)


def _often(drawn: np.ndarray, count: int) -> np.ndarray:
    """Count what each row drew, float64 [rows, count]."""
    return np.stack([np.bincount(each, minlength=count) for each in drawn]).astype(np.float64)


def newest_recipe(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the recipe that the newest model was trained by, of equal runs the newest.

    A recipe counts as the same whatever its schedule. Column ``how`` says how a model was pruned: `TRAINED`, by the
    algorithm that most models were trained with; `AT_ONCE`; or by the name of another algorithm.

    Raises
    ------
    MissingRecord
        If there is no dense model, or no pruned one.
    """
    if not len(accuracies):
        raise missing("accuracy")
    settings = [record["settings"] for record in accuracies["record"]]
    given = [sorted((name, value) for name, value in each.items() if name != "schedule") for each in settings]
    rows = accuracies.assign(given=list(map(str, given)), schedule=[each.get("schedule") for each in settings])
    same = ["model", "task_digest", "given"]
    rows = newest(rows[(rows[same] == rows[same].iloc[-1]).all(axis=1)], [*PRUNING, "seed"])
    dense, at_once = rows["block"] == "dense", rows["schedule"] == "one-shot"
    algorithm = rows["pruner"].str.partition("@")[0]
    models = Counter(algorithm[~dense & ~at_once])
    if not models or not dense.any():
        raise missing("accuracy", recipe=rows.iloc[-1]["recipe"], block="a shape" if dense.any() else "dense")
    main = models.most_common(1)[0][0]
    return rows.assign(how=algorithm.replace(main, TRAINED).mask(at_once, AT_ONCE).mask(dense, "dense"))


def models(judged: pd.DataFrame) -> pd.DataFrame:
    """Return one row a pruned model of a recipe, in the order of shapes.

    Returns
    -------
    pandas.DataFrame
        `PRUNING` and ``how``; how many ``seeds``; the share of ``right`` answers and what is ``lost`` against the dense
        model of the same seeds, each an `Interval`; means of ``cosine`` and ``rank_correlation`` of embeddings.
    """
    dense, by = where(judged, block="dense"), [*PRUNING, "how"]
    groups = judged[judged["block"] != "dense"].groupby(by, sort=False)
    right = [(share(rows), difference(dense, rows)) for _, rows in groups]
    found = groups.agg(seeds=("seed", "size"), cosine=("cosine", "mean"), rank_correlation=("rank_correlation", "mean"))
    intervals = pd.DataFrame(right, columns=["right", "lost"], index=found.index)
    return by_shape(found.join(intervals).reset_index().sort_values("sparsity", kind="stable"))


def leads(judged: pd.DataFrame, sparsity: float) -> pd.DataFrame:
    """Return how many more answers are right when trained for blocks than by each other way: ``block, how, lead``."""
    pruned = where(judged, sparsity=sparsity)
    trained = dict(list(where(pruned, how=TRAINED).groupby("block")))
    found = [
        {"block": block, "how": how, "lead": difference(trained[block], rows)}
        for (block, how), rows in pruned.groupby(["block", "how"], sort=False)
        if how != TRAINED and block in trained
    ]
    return by_shape(pd.DataFrame(found, columns=["block", "how", "lead"]))


@cache
def judged(frames: Frames) -> pd.DataFrame:
    """Return the rows of `MODEL`, of its newest recipe."""
    return newest_recipe(where(frames.all("accuracy"), model=MODEL))


@effect("share to a tenth")
def accuracy(frames: Frames, who: str) -> Interval:
    """Effect: right answers of the ``dense`` model, or of the bag of ``words``."""
    return share(where(judged(frames), block="dense"), {"dense": "hits", "words": "baseline_hits"}[who])


@effect("share")
def over_words(frames: Frames) -> Interval:
    """Effect: how many more answers of the dense model are right than of a bag of words."""
    dense = where(judged(frames), block="dense")
    return difference(dense, dense, "baseline_hits")


@effect("share")
def over_at_once(frames: Frames) -> Interval:
    """Effect: how many more answers are right after training for blocks, for the shape where that gains least."""
    rows = judged(frames)
    found = leads(rows[rows["how"].isin([TRAINED, AT_ONCE])], frames.sparsity)
    if not len(found):
        raise missing("accuracy", model=MODEL, pruner="magnitude", schedule="one-shot")
    return least(found["lead"])
