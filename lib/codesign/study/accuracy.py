"""What may be concluded from accuracy records: means over seeds and paired differences, with bootstrap intervals.

Test texts and seeds are both drawn anew: a model that is judged by other texts, or trained from another seed, would
have got another accuracy. Models of one task answer the same texts, so their difference is paired text by text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codesign.errors import InputError
from codesign.measure.ratios import Interval
from codesign.schema import Record

_RESAMPLES = 2000
_CONFIDENCE = 0.95


def accuracy(records: Sequence[Record], *, hits: str = "hits", seed: int = 0) -> Interval:
    """Mean accuracy of the records of one model that differ in their seed.

    Parameters
    ----------
    records
        At least one `accuracy` record.
    hits
        ``"hits"``, or ``"baseline_hits"`` for the bag of words.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        If they are answers to different tasks.
    """
    right = _right(records, hits)
    return _interval(right.mean(), _draws(right, np.random.default_rng(seed)))


def difference(a: Sequence[Record], b: Sequence[Record], *, hits: str = "hits", seed: int = 0) -> Interval:
    """How much more accurate ``a`` is than ``b``: a difference of means over seeds, paired by text.

    Runs of the same seed are drawn together where ``a`` and ``b`` have the same seeds.

    Parameters
    ----------
    a, b
        Records of two models, one of each seed.
    hits
        What is read of ``b``: ``"hits"``, or ``"baseline_hits"`` to compare with the bag of words.
    seed
        Of the bootstrap.

    Raises
    ------
    InputError
        If they are answers to different tasks.
    """
    _right([*a, *b], "hits")  # one task
    ordered = [sorted(records, key=lambda record: record["seed"]) for records in (a, b)]
    left, right = _right(ordered[0], "hits"), _right(ordered[1], hits)
    value = left.mean() - right.mean()
    rng = np.random.default_rng(seed)
    if [record["seed"] for record in ordered[0]] == [record["seed"] for record in ordered[1]]:
        return _interval(value, _draws(left - right, rng))
    texts = rng.integers(left.shape[1], size=(_RESAMPLES, left.shape[1]))
    return _interval(value, _draws(left, rng, texts) - _draws(right, rng, texts))


def by_model(records: Sequence[Record]) -> dict[tuple[str, str, str, float], list[Record]]:
    """Group records that differ in their seed alone: (pruner, scope, block, sparsity) -> newest record of each seed."""
    groups: dict[tuple[str, str, str, float], dict[int, Record]] = {}
    for record in records:
        key = (record["pruner"], record["scope"], record["block"], record["sparsity"])
        groups.setdefault(key, {})[record["seed"]] = record
    return {key: list(seeds.values()) for key, seeds in groups.items()}


def _right(records: Sequence[Mapping[str, object]], hits: str) -> np.ndarray:
    """Right answers, float64 [records, texts]."""
    digests = sorted({str(record["task_digest"]) for record in records})
    if len(digests) != 1:
        raise InputError("task_digest", ", ".join(digests) or None, "records of one task")
    return np.array([[character == "1" for character in str(record[hits])] for record in records], np.float64)


def _draws(right: np.ndarray, rng: np.random.Generator, texts: np.ndarray | None = None) -> np.ndarray:
    """Means over drawn seeds and drawn texts, float64 [_RESAMPLES]."""
    seeds, count = right.shape
    if texts is None:
        texts = rng.integers(count, size=(_RESAMPLES, count))
    weights = np.stack([np.bincount(drawn, minlength=seeds) for drawn in rng.integers(seeds, size=(_RESAMPLES, seeds))])
    means = (weights / seeds) @ right  # of each text over the drawn seeds, [_RESAMPLES, texts]
    return np.take_along_axis(means, texts, axis=1).mean(axis=1)


def _interval(value: float, draws: np.ndarray) -> Interval:
    low, high = np.quantile(draws, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Interval(float(value), float(low), float(high))
