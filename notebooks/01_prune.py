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
# # What block pruning leaves of the weights
#
# Pruning by block removes weights in groups of `rows x columns`: a 32x1 block is a run of 32 output features that read
# the same input. The larger the group, the less choice the pruner has, and the more it must throw away that it would
# rather keep. **What do the masks look like, and how much of the weights' norm survives for each block shape?**
#
# Every matrix loses the same share of its blocks: those with the smallest norm. What comes out is an ordinary encoder
# whose weights are dense tensors with exact zeros. Nothing else is handed to the compiler.

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
from codesign.plot import masks, retained_norm, show
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.points import sweep
from codesign.study.pruned import ensure_pruned, example_weights

# %%
study = open_study(results, profile)
points = sweep(model, seed, scopes, pruner, blocks, sparsity, batch, seq, threads)
patterns = frame(ensure_pruned(study, points))

# %% [markdown]
# ## The masks
#
# The same corner of the first pruned matrix for each shape. A mask follows from the weights, the shape and the seed
# alone, so it is drawn afresh here.

# %%
masks(example_weights(points))

# %% [markdown]
# ## What survives
#
# The share of blocks is what was asked for, up to rounding. The share of the norm is the price of the shape: with
# single weights ({num}`retained-norm.all.1x1` of the norm kept in the whole encoder) the pruner keeps whatever is
# large; with 32x1 ({num}`retained-norm.all.32x1`) and 32x32 ({num}`retained-norm.all.32x32`) it must take
# small weights along with large ones.

# %%
for scope in scopes:
    show(retained_norm(patterns, scope=scope))

# %% tags=["hide-input"]
table(
    patterns,
    {
        "pruned": "{scope}",
        "block": "{block}",
        "blocks removed": "{block_sparsity:.1%}",
        "weights removed": "{element_sparsity:.1%}",
        "norm kept": "{retained_l2:.1%}",
    },
)

# %% [markdown]
# ## What this shows, and what it does not
#
# A retained norm is a statement about weights, not about answers: random weights have no accuracy to lose, and trained
# ones can be tuned again after pruning. What it does say is in which direction the price goes, before any compiler is
# involved. The next notebook hands these encoders to the compiler.
