"""Checkpoints from strangers: what would be computed wrongly or not at all is refused, by file and field."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import BertConfig

from codesign.checkpoint import left_out
from codesign.encoder import load_checkpoint, load_encoder, save_checkpoint, sentence_inputs
from codesign.errors import InputError
from codesign.forward import EncoderForward

QUERY = "encoder.layer.0.attention.self.query.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("strangers") / "good"
    save_checkpoint(load_encoder("bert-tiny", seed=1), directory, {})
    return directory


@pytest.fixture
def theirs(good: Path, tmp_path: Path) -> Path:
    """Return a copy to spoil."""
    return Path(shutil.copytree(good, tmp_path / "theirs"))


def configure(directory: Path, **fields: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def restore(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = directory / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def output(directory: Path) -> Tensor:
    ids = torch.arange(7)[None]
    return EncoderForward(load_encoder(str(directory)))(ids, torch.ones_like(ids))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"7", b"[" * 10_000])
def test_a_config_that_cannot_be_read_is_refused(theirs: Path, content: bytes) -> None:
    (theirs / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.json"):
        load_encoder(str(theirs))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads is at least 1, not 0"),
        ({"num_attention_heads": 3}, r"hidden size \(128\) is not a multiple of the number of attention heads \(3\)"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is at least 1, not -1"),
        ({"num_hidden_layers": 10**9}, r"encoder\.layer\.999999999\.output\.dense\.weight is missing"),
        ({"num_hidden_layers": 1}, r"no encoder weight that config\.json does not ask for \(encoder\.layer\.1"),
        ({"hidden_size": "128"}, "hidden_size.*'128'"),
        ({"hidden_size": 2**31}, "Storage size calculation overflowed"),
        ({"hidden_size": 64}, r"of shape \[1000, 64\], as config\.json says, not \[1000, 128\]"),
        ({"vocab_size": True}, "vocab_size|word_embeddings"),
        ({"type_vocab_size": 0}, "type_vocab_size"),
        ({"max_position_embeddings": None}, "max_position_embeddings"),
        ({"hidden_act": "magic"}, "hidden_act is one of gelu, .*, not 'magic'"),
        ({"hidden_act": ["gelu"]}, "hidden_act"),
        ({"layer_norm_eps": None}, "layer_norm_eps"),
        ({"dtype": "float99"}, "float99"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'absolute', not 'relative_key'"),
        ({"is_decoder": True}, "is_decoder is False, not True"),
        ({"quantization_config": {"load_in_8bit": True}}, "quantization_config is None"),
        ({"model_type": "roberta"}, "not 'roberta'"),
        ({"model_type": ["bert"]}, r"not \['bert'\]"),
    ],
)
def test_a_config_of_another_encoder_is_refused_by_field(theirs: Path, fields: dict[str, Any], message: str) -> None:
    configure(theirs, **fields)
    with pytest.raises(InputError, match=message):
        load_encoder(str(theirs))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 9) + b"not json!", None],
    ids=["empty", "short", "huge header", "no json", "truncated"],
)
def test_a_damaged_weight_file_is_refused(theirs: Path, content: bytes | None) -> None:
    path = theirs / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000] if content is None else content)
    with pytest.raises(InputError, match=r"a complete safetensors file \(model\.safetensors: "):
        load_encoder(str(theirs))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (QUERY, float("nan")),
        ("embeddings.word_embeddings.weight", float("inf")),
        ("encoder.layer.1.output.LayerNorm.bias", float("-inf")),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_place(theirs: Path, name: str, value: float) -> None:
    def spoil(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        weights[name].view(-1)[5] = value
        return weights

    restore(theirs, spoil)
    with pytest.raises(InputError, match=rf"finite weights \({name}\[(0, )?5\] is {value}\)"):
        load_encoder(str(theirs))


def test_a_weight_of_another_shape_or_type_is_refused(theirs: Path) -> None:
    restore(theirs, lambda weights: weights | {QUERY: weights[QUERY][:, :64].clone()})
    with pytest.raises(InputError, match=rf"{QUERY} of shape \[128, 128\], as config\.json says, not \[128, 64\]"):
        load_encoder(str(theirs))
    restore(theirs, lambda weights: weights | {QUERY: torch.ones(128, 128, dtype=torch.int8)})
    with pytest.raises(InputError, match=rf"{QUERY} stored as one of F64, F32, F16, BF16, not I8"):
        load_encoder(str(theirs))


def test_pickled_weights_are_refused(theirs: Path) -> None:
    torch.save(load_file(theirs / "model.safetensors"), theirs / "pytorch_model.bin")
    (theirs / "model.safetensors").unlink()
    with pytest.raises(InputError, match="safetensors"):
        load_encoder(str(theirs))


def test_shards_lie_beside_their_index(theirs: Path) -> None:
    (theirs / "model.safetensors").rename(theirs / "part.safetensors")
    index = theirs / "model.safetensors.index.json"
    names = load_file(theirs / "part.safetensors")
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "part.safetensors")}))
    assert torch.isfinite(output(theirs)).all()
    for content, message in (
        ({"weight_map": {"x": "../x"}}, "files beside"),
        ({}, "a weight_map"),
        ([], "JSON object"),
    ):
        index.write_text(json.dumps(content))
        with pytest.raises(InputError, match=message):
            load_encoder(str(theirs))


def test_code_that_comes_with_a_model_is_not_run(theirs: Path, tmp_path: Path) -> None:
    (theirs / "theirs.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom transformers import BertConfig as C\n"
    )
    configure(theirs, auto_map={"AutoConfig": "theirs.C", "AutoModel": "theirs.C"})
    load_encoder(str(theirs))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_storage_is_read_as_the_same_values(theirs: Path, dtype: torch.dtype) -> None:
    before = load_encoder(str(theirs)).get_parameter(QUERY)
    restore(theirs, lambda weights: {name: weight.to(dtype) for name, weight in weights.items()})
    after = load_encoder(str(theirs)).get_parameter(QUERY)
    assert after.dtype == torch.float32
    assert torch.equal(after, before.to(dtype).to(torch.float32))


SMALL = BertConfig(vocab_size=50, hidden_size=24, num_attention_heads=3, num_hidden_layers=1, intermediate_size=40)
CLASSIFIER = ["BertForSequenceClassification", "classifier.bias", "classifier.weight", "pooler.dense.bias"]


def test_a_head_is_refused_by_its_class_and_tensors(tmp_path: Path) -> None:
    transformers.BertForSequenceClassification(SMALL).save_pretrained(tmp_path)
    head = r"the head of BertForSequenceClassification \(classifier\.bias, classifier\.weight, pooler\.dense\.bias, "
    with pytest.raises(InputError, match=head + r".*--encoder-only .* last hidden state"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("architectures", [None, [], ["BertModel"], ["BertForQuestionAnswering"]])
def test_a_head_is_found_by_its_tensors_or_by_its_class(theirs: Path, architectures: list[str] | None) -> None:
    configure(theirs, architectures=architectures)
    plain = architectures in (None, [], ["BertModel"])
    if plain:
        restore(theirs, lambda weights: weights | {"pooler.dense.bias": torch.ones(128)})
        assert left_out(load_encoder(str(theirs)).config) == []  # a pooler beside an encoder is no head
        restore(theirs, lambda weights: weights | {"qa_outputs.bias": torch.ones(2)})
    found = r"a class that its config does not name \(.*qa_outputs\.bias\)" if plain else "BertForQuestionAnswering"
    with pytest.raises(InputError, match=f"the head of {found}"):
        load_encoder(str(theirs))


@pytest.mark.parametrize("architectures", ["BertForMaskedLM", [7]])
def test_architectures_that_are_no_names_are_refused(theirs: Path, architectures: object) -> None:
    configure(theirs, architectures=architectures)
    with pytest.raises(InputError, match="architectures"):
        load_encoder(str(theirs), encoder_only=True)


def test_what_was_left_out_is_known_wherever_the_encoder_goes(tmp_path: Path) -> None:
    transformers.BertForSequenceClassification(SMALL).save_pretrained(tmp_path / "whole")
    loaded = load_encoder(str(tmp_path / "whole"), encoder_only=True)
    save_checkpoint(loaded, tmp_path / "encoder", {})
    again, _ = load_checkpoint(tmp_path / "encoder")  # which has no head to refuse
    assert left_out(loaded.config) == left_out(again.config) == [*CLASSIFIER, "pooler.dense.weight"]


def test_an_encoder_under_a_head_with_tied_weights_is_the_encoder(tmp_path: Path) -> None:
    whole = transformers.BertForMaskedLM(SMALL).eval()
    whole.save_pretrained(tmp_path / "tied")
    with pytest.raises(InputError, match=r"the head of BertForMaskedLM \(cls\.predictions\.bias, "):
        load_encoder(str(tmp_path / "tied"))
    loaded = load_encoder(str(tmp_path / "tied"), encoder_only=True)
    assert torch.equal(loaded.get_parameter(QUERY), whole.bert.get_parameter(QUERY))


@pytest.mark.parametrize(("activation", "hidden", "heads"), [("relu", 384, 3), ("silu", 33, 3), ("gelu_new", 16, 16)])
def test_unusual_encoders_compute_what_transformers_does(
    tmp_path: Path, activation: str, hidden: int, heads: int
) -> None:
    config = BertConfig(
        **{"vocab_size": 50, "hidden_size": hidden, "num_attention_heads": heads, "num_hidden_layers": 1},
        **{"intermediate_size": 40, "hidden_act": activation, "chunk_size_feed_forward": 4},
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    config.chunk_size_feed_forward = 0  # refuses 7 tokens; cutting them into parts changes nothing
    whole = transformers.BertModel.from_pretrained(tmp_path, config=config, add_pooling_layer=False).eval()
    with torch.no_grad():
        assert torch.allclose(output(tmp_path), whole(torch.arange(7)[None]).last_hidden_state, atol=1e-5)


def test_a_tokenizer_that_does_not_fit_is_refused(theirs: Path) -> None:
    (theirs / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="a tokenizer that can be read"):
        sentence_inputs(str(theirs), ["A sentence."], 8)
    (theirs / "tokenizer.json").unlink()
    (theirs / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(2000))]))
    (theirs / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    with pytest.raises(InputError, match="at most 1000 tokens"):
        sentence_inputs(str(theirs), ["1999"], 8)


def test_a_sidecar_that_cannot_be_read_is_refused(theirs: Path) -> None:
    (theirs / "codesign.json").write_text("{")
    with pytest.raises(InputError, match=r"a readable codesign\.json"):
        load_checkpoint(theirs)
