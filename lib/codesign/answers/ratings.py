"""Trained models that rate sentences: correlations with the raters, and paired differences, with their intervals.

Right signs are hits like any others: `codesign.answers.accuracy.share` and ``difference`` take these rows as well.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

from codesign.answers.accuracy import PRUNING, same_task, share
from codesign.answers.frames import Frames, newest, where
from codesign.answers.machines import labels
from codesign.errors import InputError
from codesign.measure.ratios import Interval

#: How many standard errors lie on either side in a 95% interval.
_QUANTILE = NormalDist().inv_cdf(0.975)


def pearson(rows: pd.DataFrame) -> Interval:
    """Return the correlation of a model's ratings with the raters' mean, over the rows of its seeds.

    Raises
    ------
    InputError
        If the rows are about different sentences.
    """
    same_task(rows)
    return _interval(rows["pearson"].to_numpy(), _influences(rows))


def pearson_difference(a: pd.DataFrame, b: pd.DataFrame) -> Interval:
    """Return by how much the correlation of model ``a`` is above that of ``b``, paired by seed and sentence.

    Raises
    ------
    InputError
        If the rows are about different sentences, or share no seed.
    """
    same_task(pd.concat([a, b]))
    pairs = a.merge(b, on="seed", suffixes=("", "_other"))
    if not len(pairs):
        raise InputError("seed", sorted(b["seed"]), f"one of {sorted(a['seed'])}, to compare models of equal seeds")
    apart = _influences(pairs) - _influences(pairs, "record_other")
    return _interval((pairs["pearson"] - pairs["pearson_other"]).to_numpy(), apart)


def _influences(rows: pd.DataFrame, record: str = "record") -> np.ndarray:
    return np.array([each["influence"] for each in rows[record]])


def _interval(values: np.ndarray, influences: np.ndarray) -> Interval:
    """Mean over seeds [seeds], by the delta method: sentences and, where there are several, seeds are drawn anew."""
    variance = influences.mean(axis=0).var() / influences.shape[1]
    if len(values) > 1:
        variance += values.var(ddof=1) / len(values)
    mean, margin = float(values.mean()), _QUANTILE * math.sqrt(variance)
    return Interval(mean, mean - margin, mean + margin)


def dense_ratings(frames: Frames) -> pd.DataFrame:
    """Return what dense models rated in PyTorch, a row a domain, the domain that was taught first.

    They belong to no machine: they are those of this one where it has some, else of the first that has. Of each seed
    the newest counts, by the recipe of the newest of all.

    Returns
    -------
    pandas.DataFrame
        Columns ``domain``, ``seeds``, ``sign`` and ``r`` (`Interval`), those of the records that compare
        (``words_sign`` and so on), and ``whose``. Empty where no machine has any.
    """
    for each in frames.machines:
        rows = where(each.all("rating"), engine="torch-eager", block="dense")
        if len(rows):
            rows = newest(where(rows, recipe=rows["recipe"].iloc[-1]), [*PRUNING, "seed", "domain"])
            groups = [group for _, group in rows.groupby("domain", sort=False)][::-1]
            return pd.DataFrame(
                group.iloc[-1].to_dict()
                | {"seeds": len(group), "sign": share(group), "r": pearson(group), "whose": labels([each])[0]}
                for group in groups
            )
    return pd.DataFrame()
