"""An encoder that classifies or rates: the mean of its hidden states, and one linear layer."""

from __future__ import annotations

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from codesign.encoder import load_encoder, prunable_linears
from codesign.forward import EncoderForward


def average(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    """Average the hidden states of real tokens: float32 [batch, seq, hidden] -> float32 [batch, hidden]."""
    weight = attention_mask[:, :, None].to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


class Classifier(nn.Module):
    """Token ids to logits, through the same forward function as every engine runs.

    Parameters
    ----------
    bert
        The encoder; its parameters will be trained, but for the embeddings of words: they are half of a small encoder,
        nobody prunes them, and a short training sees few of them.
    labels
        Number of labels; 1 where texts are rated.
    """

    #: Where the encoder's parameters are among this module's.
    PREFIX = "forward_encoder.bert."

    def __init__(self, bert: transformers.BertModel, labels: int) -> None:
        super().__init__()
        self.forward_encoder = EncoderForward(bert)
        self.dropout = nn.Dropout(bert.config.hidden_dropout_prob)
        self.head = nn.Linear(bert.config.hidden_size, labels)
        self.requires_grad_(True)
        bert.embeddings.word_embeddings.requires_grad_(False)

    @property
    def bert(self) -> transformers.BertModel:
        """The encoder."""
        return self.forward_encoder.bert

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Average the hidden states of real tokens: int64 [batch, seq] twice -> float32 [batch, hidden]."""
        return average(self.forward_encoder(input_ids, attention_mask), attention_mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logits, float32 [batch, labels]."""
        logits: Tensor = self.head(self.dropout(self.embed(input_ids, attention_mask)))
        return logits

    def matrices(self, scope: str) -> dict[str, Tensor]:
        """Name the prunable weights of a scope, as `codesign.encoder.prunable_linears` does: the parameters."""
        return {name: linear.weight for name, linear in prunable_linears(self.bert, scope).items()}


def classifier(model: str, labels: int, seed: int) -> Classifier:
    """Load an encoder and give it a new head.

    Parameters
    ----------
    model
        As in `codesign.encoder.load_encoder`; a head that it has is left out for the new one.
    labels
        Number of labels.
    seed
        Of the head, and of the encoder where its weights are random.
    """
    bert = load_encoder(model, seed=seed, attention="sdpa", encoder_only=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]))
        return Classifier(bert, labels)


def device() -> torch.device:
    """Return the device that models are trained on: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
