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
# # Layout: does it matter how weights and activations lie?
#
# A block is stored whole: its rows side by side, one column after the other. A kernel that keeps four rows of outputs
# in registers then reads four values of each column, skips the rest, and comes back for them in its next pass. **Does a
# tall block lose to a low one because of its shape, or because of how it is stored?** In *strips* of four rows, each
# through all blocks of its block-row, the same values lie in the order in which they are read. That is how our compiler
# stores them in the rest of this book.
#
# Activations are *feature-major* elsewhere in this book: one feature of many tokens side by side, so that every block
# shape can be computed with vectors of tokens. Most engines lay them *token-major*. There a vector has to run along the
# rows of a block, and only tall blocks are fast; the paper's 32x1 is one.
#
# Every encoder is compiled whole in each way, layer norm, softmax and attention included, and tuned. Changes of layout
# at its ends are part of its time.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-base, bert-large, bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
blocks = ["4x1", "16x1", "32x1", "16x16"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
trials_per_task = 32  # schedules tried for a task that 03_tune does not tune, at most

# %% tags=["hide-input"]
from codesign.answers.builds import choices, sides
from codesign.answers.frames import Frames, frame
from codesign.plot import layouts
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.comparisons import ensure_beside, layout_cases
from codesign.study.points import sweep

# %% tags=["remove-stdout"]
study = open_study(results, profile)
points = sweep(model, seed, [scope], pruner, blocks, sparsity, batch, seq, threads)
timed = ensure_beside(study, "layouts", layout_cases(points), trials_per_task)
encoders = sides(frame(timed), "layout")

# %% [markdown]
# ## Whole encoders

# %%
layouts(encoders)

# %% [markdown]
# That strips make every shape with taller blocks faster is {num}`claim.strips.verdict`; the one that gains least gains
# {num}`claim.strips.effect`. That the tallest shape then takes the same time as 4x1 is
# {num}`claim.strips-alike.verdict`. That the fastest encoder is a feature-major one is
# {num}`claim.feature-major.verdict`: it has {num}`claim.feature-major.effect` over the fastest token-major one.
#
# ## Could the compiler choose?
#
# The tuner times each kernel alone. Adding up its best times, each as often as the kernel is called, gives what an
# encoder should take, and so a layout to choose without building any. Sums are in brackets.

# %% tags=["hide-input"]
frames = Frames(study.results, model, sparsity, batch, seq, threads, pruner)
table(
    choices(frames, encoders, scope),
    {
        "block": "{block}",
        "whole blocks, ms": "{whole blocks}",
        "strips, ms": "{strips}",
        "token-major, ms": "{token-major}",
        "strips over whole blocks": "{gain strips}",
        "token-major over strips": "{gain token-major}",
        "records choose": "{picked}",
    },
)

# %% [markdown]
# That the choice is right for every shape is {num}`claim.layout-picked.verdict`.
#
# ## What this shows
#
# The shape that pruning leaves and the form in which it is stored are two things. A tall block can always be stored as
# low ones that share an index, and then it has their speed. So a tall shape that is slower than 4x1 says something
# about its storage, and a reason to prune in tall blocks has to come from elsewhere: fewer indices, or an engine that
# knows no other shape. A compiler that has the token-major layout alone has no fast kernel for 4x1; with it, the best
# shape would be a tall one, as in the paper.
