"""The one forward that every engine runs, and the names of what it takes."""

from __future__ import annotations

import torch
import transformers
from torch import Tensor, nn

#: What a BERT encoder takes, int64 [batch, seq] each, in the order of `EncoderForward.forward`.
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def input_names(config: transformers.BertConfig) -> tuple[str, ...]:
    """Name the inputs of a model, in order: segments are one only where it tells them apart."""
    return INPUTS if config.type_vocab_size > 1 else INPUTS[:2]


class EncoderForward(nn.Module):
    """Token ids to hidden states: the function that every engine runs.

    It builds the additive mask itself, so that eager PyTorch, an exported graph and a compiled one are one and the
    same computation. A masked key gets the lowest float32, which softmax turns into exactly zero; the rows of padded
    tokens are computed like any other and mean nothing.
    """

    def __init__(self, bert: transformers.BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Encode.

        Parameters
        ----------
        input_ids
            int64 [batch, seq].
        attention_mask
            int64 [batch, seq]; 1 is a real token, 0 padding.
        token_type_ids
            int64 [batch, seq]: the segment of each token. None is type 0 for all of them, as in transformers; a model
            with a single type has no such input (`input_names`), and its one row is a constant.

        Returns
        -------
        Tensor
            float32 [batch, seq, hidden]: the last hidden state.
        """
        embeddings = self.bert.embeddings
        words = embeddings.word_embeddings(input_ids)
        positions = embeddings.position_embeddings.weight[: input_ids.shape[1]]
        types = embeddings.token_type_embeddings
        segments = types.weight[0] if token_type_ids is None else types(token_type_ids)
        hidden = embeddings.LayerNorm(words + segments + positions)
        # arithmetic, not torch.where: TVM's importer knows no where with scalars
        additive = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * torch.finfo(torch.float32).min
        output: Tensor = self.bert.encoder(hidden, additive).last_hidden_state
        return output
