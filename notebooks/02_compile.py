# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How a linear layer becomes a sparse kernel
#
# TVM has no sparse operator. We add one: a linear layer over weights stored as *block compressed sparse rows* (BSR):
# the non-zero blocks of each block-row, one after the other, with the block-column of each. **What does an encoder
# become when its pruned linears are replaced, and is it still the same function?**
#
# Activations are kept feature-major, `[features, tokens]`, through the whole encoder, so that a kernel can vectorise
# over tokens whatever the shape of its blocks. Bias, GELU and the residual sum happen inside the kernel, before a
# result leaves the registers.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scopes = ["attention", "all"]  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
blocks = ["1x1", "4x1", "16x1", "32x1", "1x32", "16x16", "32x32"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine

# %% tags=["hide-input"]
from codesign.answers.frames import frame
from codesign.plot.tables import listing, table
from codesign.study.chain import open_study
from codesign.study.layer import compile_one_matrix
from codesign.study.lowered import ensure_lowered
from codesign.study.points import headline, sweep
from codesign.study.sessions import compiled_cases

# %%
study = open_study(results, profile)
points = sweep(model, seed, scopes, pruner, blocks, sparsity, batch, seq, threads)

# %% [markdown]
# ## One matrix
#
# The first pruned matrix as the tuner sees it: the definition of the operator, plain loops over blocks.

# %%
example = compile_one_matrix(headline(points))
listing(example["before"])

# %% [markdown]
# And after a *schedule* was chosen, here the first that fits, without tuning: threads divide the tokens, or the
# block-rows by their non-zeros where tokens are few; a tile of outputs stays in registers, each a buffer of its own,
# while the blocks of its row go by; and the innermost loops are one vector wide.

# %% tags=["scroll-output"]
listing(example["after"])

# %% [markdown]
# Its result against PyTorch's, with the same weight and random activations:

# %% tags=["hide-input"]
table(
    [example],
    {"shape": "{shape[0]} x {shape[1]}", "blocks stored": "{density:.1%}", "largest difference": "{max_abs_err:.1e}"},
)

# %% [markdown]
# ## Whole encoders
#
# Each encoder lowered: what its kernels are, and how many places use each. Kernels of one shape and number of blocks
# are one *task*, tuned once. The stock rows are TVM's own pipeline, which computes the zeros.

# %%
tasks = frame(ensure_lowered(study, [case for case in compiled_cases(points) if case.tuned]))
tasks["sparse"] = tasks["family_kind"] == "bsr"
tasks["sparse_uses"] = tasks["weight"].where(tasks["sparse"], 0)
encoders = tasks.groupby(["engine", "scope", "stored_block"], sort=False)
table(
    encoders.agg(tasks=("task", "size"), sparse=("sparse", "sum"), uses=("sparse_uses", "sum")).reset_index(),
    {
        "engine": "{engine}",
        "pruned": "{scope}",
        "block": "{stored_block}",
        "tasks": "{tasks}",
        "sparse tasks": "{sparse}",
        "sparse linears": "{uses}",
    },
)

# %% [markdown]
# ## What this shows
#
# The compiler reads nothing but the zeros in the weights: any checkpoint, pruned by anybody, becomes such an encoder.
# What remains is to choose among the ways in which each kernel can be written, and that is what tuning is for.
# [](16_layer) follows one kernel down to its instructions.
