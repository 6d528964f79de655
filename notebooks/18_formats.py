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
# # Number format: what do eight bits change?
#
# Most CPU deployments run int8 today. An instruction that multiplies small numbers takes several inputs for each lane
# of a register, so depth along the inputs of a weight costs nothing, and blocks of one input have to be put together
# first. **How much faster is a pruned encoder whose linears are in int8, and does the same block shape win?**
#
# | in one instruction of 256 bits | products | of | sums |
# |---|---|---|---|
# | `vfmadd231ps`, float32 | one a lane | one input | float32 |
# | `vpmaddwd`, this page's int8 | two a lane | two inputs of 16 bits | int32, exact |
#
# Weights are rounded to 8 bits, those of a row in equal steps. Activations keep 16 bits, with a step for each token, so
# nothing is calibrated ([why](../decisions/0033-int8-pairs.md)). Layer norm, softmax and residuals stay float32.
# Processors with VNNI or AMX have faster instructions for int8, which our compiler does not use yet: there, read this
# page as a lower bound.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-base, bert-large, bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
blocks = ["4x1", "4x4", "32x1", "32x4"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
engines = ["onnxruntime-int8", "onnxruntime-int8-dynamic"]  # by others, beside torch-eager and openvino
trials_per_task = 16  # schedules tried for a task that was not tuned before, at most

# %% tags=["hide-input"]
from codesign import plot
from codesign.answers.frames import Frames
from codesign.answers.machines import in_formats
from codesign.answers.timings import timings
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.comparisons import ensure_beside, format_cases
from codesign.study.points import sweep

# %% tags=["remove-stdout"]
study = open_study(results, profile)
points = sweep(model, seed, [scope], pruner, blocks, sparsity, batch, seq, threads)
if study.local:
    ensure_beside(study, "formats", format_cases(points, engines), trials_per_task)
found = in_formats(Frames(study.results, model, sparsity, batch, seq, threads, pruner))

# %% [markdown]
# ## Float32 beside int8
#
# Every machine on which both were timed in one session, with as many schedules tried for each.

# %%
plot.formats(found)

# %% [markdown]
# ## All that took part
#
# The cosine compares all outputs with those of PyTorch in float32, for the same pruned weights.

# %% tags=["hide-input"]
table(
    timings(found),
    {
        "machine": "{machine}",
        "engine": "{label}",
        "block": "{stored_block}",
        "computes in": "{computes_in}",
        "median": "{median}",
        "interval": "{interval}",
        "cosine": "{cosine:.5f}",
        "largest error": "{largest_error}",
        "disk": "{disk}",
    },
)

# %% [markdown]
# ## What this shows
#
# On the Zen 3, which has AVX2 alone, int8 in 32x4 is {num}`zen3-avx2.int8-over-fp32.32x4` as fast as the fastest of our
# shapes in float32, and int8 in 4x1 {num}`zen3-avx2.int8-over-fp32.4x1`. The fastest int8 shape is
# {num}`zen3-avx2.int8-over-others` as fast as the fastest int8 engine by others, which computes all zeros. The machine
# was disturbed while these were timed ([how we tell](../decisions/0009-machine-state.md)): take them as a first look.
#
# Deep blocks win in both formats there: one index serves four inputs, and in int8 nothing has to be put together. So
# int8 gives most to the shapes that float32 serves worst, and least to the best one. Its kernels reach less of what the
# instruction can do than those of float32. We think that this is because a tile has half as many steps for the same
# start and end, and have not shown it. What is left of the time is attention, layer norm and GELU, which stay
# float32, and rounding activations.
