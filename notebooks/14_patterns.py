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
# # Do common patterns inside blocks make a kernel faster?
#
# The paper explains why block shape matters by patterns: a regulariser that aims for blocks leaves fewer and more
# common patterns inside them, and the runtime reuses what they share. In a kernel that can be put to the test. **With
# the number of blocks and their places held fixed, does it matter how many different patterns there are inside? And
# with the inside held fixed, does it matter where the blocks lie?**
#
# What was expected, written down before anything was measured: inside blocks, nothing. A BSR kernel stores the zeros
# inside a block and multiplies them like any other value, so the ratio should be one, within what the same weights show
# against themselves. The threshold of two percent was chosen then, too. Places should matter a little: which columns a
# block-row reads decides which activations the next one still finds in a cache.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # whose linears: bert-tiny, minilm, a directory, a hub id
linears = ["attention", "ffn-up"]  # which of them
seed = 0  # of patterns and values
blocks = ["4x1", "32x1", "1x32", "16x16"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine

# %% tags=["hide-input"]
from codesign.answers.frames import frame, where
from codesign.answers.kernels import in_turns, winners
from codesign.answers.patterns import compared
from codesign.answers.words import times
from codesign.plot import patterns
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.kernels import ensure_kernels, problems
from codesign.study.patterns import ensure_patterns

# %% tags=["remove-stdout"]
study = open_study(results, profile)
wanted = problems(model, linears, seed, blocks, sparsity, [batch * seq], threads)
fastest = winners(in_turns(frame(ensure_kernels(study, wanted))), "hot")
chosen = [
    (problem, problem.candidate(record["family"], record["decisions"]))
    for problem in wanted
    if problem.block != "dense"
    for record in where(fastest, **vars(problem))["record"]
]
rows = compared(frame(ensure_patterns(study, chosen)))

# %% [markdown]
# ## Inside blocks
#
# For each matrix and block shape, the fastest schedule that the study of [kernels](08_kernels) found is compiled once.
# It is then given, in turns and in the same buffers, weights whose blocks are all full; weights in which half of each
# block is zero, in one pattern that all blocks share, in one of sixteen, or in as many as there are for the shape; and
# the full ones again, as a control. No weight is denormal. Every result is checked.

# %%
patterns(rows, "inside")

# %% [markdown]
# Over all matrices, shapes and states, the ratio that is farthest from one is {num}`claim.patterns-inside.effect`,
# counted as one below it whichever way it is off. That nothing inside blocks changes a time by more than two percent is
# {num}`claim.patterns-inside.verdict`.

# %% [markdown]
# ## Where blocks lie
#
# All blocks are full here, and every block-row keeps as many as before, so that the threads stay balanced. Its columns
# are drawn at random, or are the same for several consecutive block-rows, or lie side by side in a band. Between the
# fastest and the slowest place of the kernel that minds most lies {num}`claim.patterns-where.effect`; the rounds that
# chose it do not count.

# %%
patterns(rows, "where")

# %% tags=["hide-input", "hide-output"]
table(
    rows.assign(hot=rows["hot"].map(times), cold=rows["cold"].map(times)),
    {
        "matrix": "{size}",
        "block": "{block}",
        "weights": "{variant}",
        "distinct patterns": "{distinct_patterns:,}",
        "hot": "{hot}",
        "cold": "{cold}",
        "error": "{max_abs_err:.1e}",
    },
)

# %% [markdown]
# ## What this shows
#
# The first figure asks whether patterns inside blocks are what a kernel gains from, and its control says how much of
# any difference is chance. Where nothing lies outside the pale band, a kernel does not see patterns, and the reason
# for a block shape has to be sought elsewhere: in how many rows one load of activations serves, and in how many tuning
# tasks there are. The second figure shows what a pattern can do to a kernel: decide which activations are near.
