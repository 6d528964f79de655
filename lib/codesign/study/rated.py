"""Ratings: what a trained model says of the sentences of each domain, whichever engine ran it.

An engine computes hidden states. The head that was trained on them is published beside the encoder's checkpoint.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from codesign.corpus import reviews
from codesign.corpus.task import REVIEWS, Task, load_task, rated
from codesign.progress import say
from codesign.train.evaluate import correlation, signs, words_rated
from codesign.train.model import average
from codesign.train.recipe import Recipe

#: Whose sentences are asked; those of the first are never taught.
DOMAINS = (reviews.AMAZON, reviews.MOVIES)
#: The engine that a model is trained with, which is the first to be asked.
EAGER = "torch-eager"
_HEAD = "head.npz"
_DIGITS = 3  # of influences: their rounding is a thousandth of what they vary by


@dataclass(frozen=True, eq=False)
class Question:
    """The sentences of a domain, and what answers to them are compared with.

    Parameters
    ----------
    domain
        One of `DOMAINS`.
    task
        What was taught; its ``test`` are the sentences of the domain.
    bounds
        Fields of a record: what a bag of words reaches, and what raters do.
    """

    domain: str
    task: Task
    bounds: Mapping[str, float]

    def judge(self, predictions: np.ndarray, recipe: Recipe) -> dict[str, Any]:
        """Return the fields of a `rating` record that follow from predictions.

        Parameters
        ----------
        predictions
            float [sentences]: the predicted mean rating of each sentence of ``task.test``, in order.
        recipe
            How the model was trained.
        """
        right = signs(predictions, self.ratings)
        r, influence = correlation(predictions, self.ratings)
        return {
            "domain": self.domain,
            "task": self.task.name,
            "task_digest": self.task.digest,
            "train_size": len(self.task.train),
            "test_size": len(self.task.test),
            "settings": asdict(recipe),
            "sign_accuracy": right.count("1") / len(right),
            "hits": right,
            "pearson": r,
            "influence": influence.round(_DIGITS).tolist(),
            **self.bounds,
        }

    @property
    def ratings(self) -> np.ndarray:
        """The mean rating of each sentence, float64 [sentences]."""
        return np.array([example.label for example in self.task.test])


@functools.cache
def question(domain: str, train_each: int | None = None, test_each: int | None = None) -> Question:
    """Read the sentences of a domain, and let words and raters answer first.

    ``train_each`` and ``test_each`` are as in `codesign.corpus.task.load_task`.
    """
    say(f"asking words and raters about {domain}")
    task, found = load_task(REVIEWS, train_each=train_each, test_each=test_each), reviews.reviews(domain)
    if domain == reviews.MOVIES:
        asked = {example.text for example in task.test}
        found = tuple(review for review in found if review.text in asked)
    else:
        task = replace(task, test=rated(found, test_each))
    right, r = words_rated(task)
    halves = reviews.raters(found)
    bounds = {
        "words_sign": right.count("1") / len(right),
        "words_pearson": r,
        "raters_sign": halves.sign,
        "raters_pearson": halves.pearson,
        "ceiling_pearson": halves.ceiling,
    }
    return Question(domain, task, bounds)


def save_head(head: nn.Linear, checkpoint: Path) -> None:
    """Write a head beside the encoder that it was trained with."""
    np.savez(checkpoint / _HEAD, weight=head.weight.detach().numpy(), bias=head.bias.detach().numpy())


def predictions(checkpoint: Path, hidden: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """Rate sentences of which an engine has computed the hidden states.

    Parameters
    ----------
    checkpoint
        Of the encoder; its head lies beside it.
    hidden, attention_mask
        float32 [sentences, seq, hidden] and int64 [sentences, seq].

    Returns
    -------
    numpy.ndarray
        float32 [sentences].
    """
    with np.load(checkpoint / _HEAD) as arrays:
        head = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    embedded = average(torch.from_numpy(hidden), torch.from_numpy(attention_mask))
    return functional.linear(embedded, **head)[:, 0].numpy()
