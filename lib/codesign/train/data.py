"""Examples as tensors, and the order in which they are shown."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codesign.corpus.task import Example
from codesign.encoder import has_tokenizer, sentence_inputs


@dataclass(frozen=True, eq=False)
class Data:
    """Tokenized examples: ``ids`` and ``mask`` int64 [examples, seq]; ``labels`` int64 [examples], ratings float32."""

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

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Go through all examples, the shortest first: their rows, ids and mask."""
        for rows in torch.split(torch.argsort(self.mask.sum(1), stable=True), size):
            yield (rows, *self.rows(rows))


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
    inputs = sentence_inputs(model, texts, seq) if has_tokenizer(model) else _hashed(texts, vocabulary, seq)
    labels = torch.tensor([example.label for example in examples])
    # single sentences: every token is of type 0, which the encoder takes for granted
    ids, mask = (torch.from_numpy(inputs[name]) for name in ("input_ids", "attention_mask"))
    return Data(ids, mask, labels)


def _hashed(texts: Sequence[str], vocabulary: int, seq: int) -> dict[str, np.ndarray]:
    ids = np.zeros((len(texts), seq), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower())[:seq] or [""]
        ids[row, : len(words)] = [1 + zlib.crc32(word.encode()) % (vocabulary - 1) for word in words]
        mask[row, : len(words)] = 1
    return {"input_ids": ids, "attention_mask": mask}


#: Batches among which examples are sorted by length, so that a batch has little padding.
_BUCKET = 16


class Order:
    """Which examples each step sees: all of them once an epoch, in an order that follows from the seed.

    Step n is the same whether a run was interrupted before it or not. Examples of similar length share a batch. What
    does not fill a batch is left out of its epoch.

    Parameters
    ----------
    lengths
        Tokens of each example, int64 [examples].
    batch
        Examples a step, fewer where there are not so many in all.
    seed
        At least 0.
    """

    def __init__(self, lengths: Tensor, batch: int, seed: int) -> None:
        self.lengths, self.seed = lengths.numpy(), seed
        self.batch = min(batch, len(lengths))
        self._epoch, self._batches = -1, np.empty((0, self.batch), np.int64)

    def at(self, step: int) -> Tensor:
        """Return the examples of a step, counted from 0: int64 [batch]."""
        epoch, place = divmod(step, len(self.lengths) // self.batch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._draw(epoch)
        return torch.from_numpy(self._batches[place])

    def _draw(self, epoch: int) -> np.ndarray:
        """Return the batches of an epoch: int64 [batches, batch]."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        pool = self.batch * _BUCKET
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        # what is left out is the end of the last pool: it must not always be the longest
        whole = len(order) // self.batch * self.batch
        pools[-1] = pools[-1][: whole - (len(pools) - 1) * pool]
        batches = np.concatenate([each[np.argsort(self.lengths[each], kind="stable")] for each in pools])
        shuffled: np.ndarray = rng.permutation(batches.reshape(-1, self.batch))
        return shuffled
