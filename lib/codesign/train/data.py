"""Examples as tensors, and the order in which they are shown."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codesign.corpus import Example
from codesign.encoder import has_tokenizer, sentence_inputs


@dataclass(frozen=True, eq=False)
class Data:
    """Tokenized examples: ``ids`` and ``mask`` int64 [examples, seq], ``labels`` int64 [examples]."""

    ids: Tensor
    mask: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return ids and mask of some examples, cut to the longest of them."""
        mask = self.mask[rows]
        width = int(mask.sum(1).max())
        return self.ids[rows, :width], mask[:, :width]

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through all examples in order."""
        for start in range(0, len(self), size):
            yield self.rows(torch.arange(start, min(start + size, len(self))))


def tokenize(model: str, vocabulary: int, examples: Sequence[Example], seq: int) -> Data:
    """Turn examples into tokens.

    Parameters
    ----------
    model
        Its tokenizer is used. A model with random weights has none: each of its words is a token, by a hash.
    vocabulary
        Number of tokens that the model knows.
    examples
        At least one.
    seq
        Longer texts are cut to this many tokens.
    """
    texts = [example.text for example in examples]
    ids, mask = sentence_inputs(model, texts, seq) if has_tokenizer(model) else _hashed(texts, vocabulary, seq)
    labels = torch.tensor([example.label for example in examples])
    return Data(torch.from_numpy(ids), torch.from_numpy(mask), labels)


def _hashed(texts: Sequence[str], vocabulary: int, seq: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.zeros((len(texts), seq), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower())[:seq] or [""]
        ids[row, : len(words)] = [1 + zlib.crc32(word.encode()) % (vocabulary - 1) for word in words]
        mask[row, : len(words)] = 1
    return ids, mask


@dataclass(frozen=True)
class Order:
    """Which examples each step sees: all of them once an epoch, in an order that follows from the seed.

    Step n is the same whether a run was interrupted before it or not. What does not fill a batch is left out of its
    epoch.
    """

    examples: int
    batch: int
    seed: int

    def at(self, step: int) -> Tensor:
        """Return the examples of a step, counted from 0: int64 [batch], or all where there are fewer."""
        size = min(self.batch, self.examples)
        epoch, place = divmod(step, self.examples // size)
        return _epoch(self.examples, self.seed, epoch)[place * size : (place + 1) * size]


@functools.lru_cache(maxsize=4)
def _epoch(examples: int, seed: int, epoch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(examples))
