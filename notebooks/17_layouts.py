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
# # Layout: does it matter how activations lie?
#
# Elsewhere in this book activations lie *feature-major*: one feature of many tokens side by side. Every block shape can
# then be computed with vectors of tokens. Most engines lay them *token-major*, all features of a token side by side.
# There a vector has to run along the rows of a block, so only tall blocks are fast; the paper's 32x1 is one.
#
# **Is the best block shape a matter of the layout?** Both encoders are compiled whole, layer norm, softmax and
# attention included, and each is tuned. Changes of layout at the ends of the encoder are part of its time.

# %% tags=["parameters"]
results = "reference"  # or "local": measure here what is missing
profile = "report"  # smoke, verify, report, paper: whose local records count
model = "bert-base"  # bert-base, bert-large, bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
blocks = ["4x1", "16x1", "32x1", "16x16", "32x32"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
trials_per_task = 64  # schedules tried for a task of a token-major encoder, at most

# %% tags=["hide-input"]
from codesign.study.chain import open_study
from codesign.study.evidence import Evidence
from codesign.study.figures import layouts
from codesign.study.layout_views import choice_rows, layout_rows
from codesign.study.layouts import ensure_layouts
from codesign.study.points import sweep
from codesign.study.tables import table

# %% tags=["remove-stdout"]
study = open_study(results, profile)
points = sweep(model, seed, [scope], pruner, blocks, sparsity, batch, seq, threads)
timed = ensure_layouts(study, points, trials_per_task)
rows = layout_rows(Evidence(study.results, model, sparsity, batch, seq, threads, pruner), scope)

# %% [markdown]
# ## Whole encoders

# %%
layouts(rows)

# %% [markdown]
# With 32x1 blocks, the token-major encoder is {num}`claim.layout-tall.effect` as fast as the feature-major one: that it
# is faster is {num}`claim.layout-tall.verdict`. Over all shapes, that a feature-major encoder is the fastest is
# {num}`claim.layout-fastest.verdict`; it has {num}`claim.layout-fastest.effect` over the fastest token-major one.
#
# ## Could the compiler choose?
#
# The tuner times each kernel alone. Adding up its best times, each as often as the kernel is called, gives what an
# encoder should take, and so a layout to choose without building both.

# %% tags=["hide-input"]
table(
    choice_rows(rows),
    {
        "block": "{block}",
        "feature-major, ms": "{feature-major measured:.1f}",
        "its kernels": "{feature-major kernels:.1f}",
        "token-major, ms": "{token-major measured:.1f}",
        "kernels of that": "{token-major kernels:.1f}",
        "token-major faster by": "{gain}",
        "records choose": "{picked}",
    },
)

# %% [markdown]
# That the choice is right for every shape is {num}`claim.layout-picked.verdict`.
#
# ## What this shows
#
# Shapes that fill a vector with rows have two ways to be fast, others only one. A compiler that has the token-major
# layout alone has no fast kernel for 4x1: in it, the best shape would be a tall one, as in the paper. One that has both
# can take each shape in the layout that serves it best.
