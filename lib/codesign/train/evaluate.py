"""What a trained model is worth: its answers, beside those of words alone, and faithfulness to another model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codesign.corpus.task import Task
from codesign.train.data import Data
from codesign.train.model import Classifier

#: Pairs of texts whose similarity is ranked.
PAIRS = 2000
_CHUNK = 64


@torch.inference_mode()
def outputs(model: Classifier, data: Data) -> tuple[Tensor, Tensor]:
    """Run a model over all examples, without dropout.

    Returns
    -------
    tuple[Tensor, Tensor]
        Logits float32 [examples, labels] and embeddings float32 [examples, hidden], on the CPU.
    """
    model.eval()
    device = model.head.weight.device
    embeddings = torch.empty(len(data), model.head.in_features)
    logits = torch.empty(len(data), model.head.out_features)
    for rows, ids, mask in data.chunks(_CHUNK):
        embedded = model.embed(ids.to(device), mask.to(device))
        embeddings[rows], logits[rows] = embedded.cpu(), model.head(embedded).cpu()
    return logits, embeddings


def hits(logits: Tensor, labels: Tensor) -> str:
    """Mark right answers: a text of ``1`` and ``0``, one character an example."""
    return "".join("1" if right else "0" for right in (logits.argmax(1) == labels).tolist())


def signs(predictions: np.ndarray, ratings: np.ndarray) -> str:
    """Mark predictions that have the sign of the rating, as `hits` does; ratings of exactly 0 are left out."""
    right = (predictions > 0) == (ratings > 0)
    return "".join("1" if each else "0" for each in right[ratings != 0])


def correlation(predictions: np.ndarray, ratings: np.ndarray) -> tuple[float, np.ndarray]:
    """Pearson's r of predictions and ratings, and by how much each text moves it.

    Returns
    -------
    tuple[float, np.ndarray]
        r, and the influence of each text, float64 [texts]. By the delta method, the variance of r is theirs over their
        number; and that of a difference of two r on the same texts is that of the differences of their influences.
    """
    if not predictions.std():  # a model that says the same of every text
        return 0.0, np.zeros(len(ratings))
    x, y = ((each - each.mean()) / each.std() for each in (predictions.astype(np.float64), ratings))
    r = float((x * y).mean())
    return r, x * y - r / 2 * (x**2 + y**2)


def bag_of_words(task: Task) -> str:
    """Answer a task by logistic regression on TF-IDF weights of words and pairs of words.

    It learns from ``task.train``, and it sees the same texts as the encoder, which has to beat it.

    Returns
    -------
    str
        Right answers to ``task.test``, as `hits` marks them.
    """
    from sklearn.linear_model import LogisticRegression  # seconds to import

    words, asked = _words(task)
    learner = LogisticRegression(C=10.0, max_iter=1000).fit(words, [example.label for example in task.train])
    answers = learner.predict(asked)
    return "".join("1" if answer == e.label else "0" for answer, e in zip(answers, task.test, strict=True))


def words_rated(task: Task) -> tuple[str, float]:
    """Answer a rated task like `bag_of_words`: signs by logistic regression, ratings by ridge regression.

    Returns
    -------
    tuple[str, float]
        Right signs in ``task.test``, as `signs` marks them, and Pearson's r.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    words, asked = _words(task)
    taught, ratings = (np.array([example.label for example in side]) for side in (task.train, task.test))
    learner = LogisticRegression(C=10.0, max_iter=1000).fit(words[taught != 0], taught[taught != 0] > 0)
    right = signs(learner.decision_function(asked), ratings)
    return right, correlation(Ridge().fit(words, taught).predict(asked), ratings)[0]


def _words(task: Task) -> tuple[Any, Any]:
    """TF-IDF weights of the texts that are taught and asked, sparse [texts, words and pairs of them]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    taught = words.fit_transform([example.text for example in task.train])
    return taught, words.transform([example.text for example in task.test])


@dataclass(frozen=True)
class Fidelity:
    """How much of one model's geometry is left in another.

    ``cosine`` is the mean cosine of the two embeddings of a text. ``rank_correlation`` is Spearman's, between the
    cosines of `PAIRS` pairs of texts by one model and by the other.
    """

    cosine: float
    rank_correlation: float


def fidelity(embeddings: np.ndarray, reference: np.ndarray, seed: int = 0) -> Fidelity:
    """Compare embeddings of the same texts by two models, float32 [texts, hidden]; at least three texts."""
    from scipy.stats import rankdata  # a second to import

    a, b = (_normalised(each) for each in (embeddings, reference))
    left, right = np.random.default_rng(seed).integers(len(a), size=(2, PAIRS))
    left, right = (side[left != right] for side in (left, right))
    ranks = rankdata([(each[left] * each[right]).sum(1) for each in (a, b)], axis=1)
    alike = np.corrcoef(ranks)[0, 1] if ranks.std(axis=1).all() else 0.0  # where all texts are the same to a model
    return Fidelity(float(np.clip((a * b).sum(1).mean(), -1, 1)), float(np.clip(alike, -1, 1)))


def _normalised(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
