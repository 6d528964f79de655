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
# # Is it one task, or many?
#
# A tuner sees functions. Two layers whose functions are equal are one task: it is tuned once, for both of them. In a
# sparse kernel the number of stored blocks is part of the function. So *how a sparsity budget is divided* decides how
# many tasks a model has. **How many does each block shape leave under each allocation, and is the number of blocks
# all that tells them apart?**
#
# A *uniform* budget takes the same share of every matrix, a *row-balanced* one the same share of every block-row. A
# *global* one takes the weakest blocks of the whole encoder, wherever they are. Nothing is timed here: models are
# pruned and lowered, and their tasks are extracted after fusion.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # with random weights; or bert-tiny, minilm, a directory, a hub id
models = ["minilm"]  # others; this one has real weights
seed = 0  # of random weights and masks
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
blocks = ["1x1", "4x1", "8x1", "16x1", "32x1", "64x1", "1x32", "4x4", "16x16", "32x32"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
allocations = ["uniform", "global", "row-balanced"]  # who pays for the sparsity
bucket = 0.05  # padding: stored blocks come in multiples of this share of a matrix

# %% tags=["hide-input"]
from codesign.answers.frames import frame
from codesign.answers.tasks import counted
from codesign.plot import task_counts
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.lowered import ensure_identity
from codesign.study.points import sweep

# %% tags=["remove-stdout"]
study = open_study(results, profile)
points = [
    point
    for name in (model, *models)
    for point in sweep(name, seed, [scope], pruner, blocks, sparsity, batch, seq, threads)
]
tasks = counted(frame(ensure_identity(study, points, allocations)), bucket)

# %% [markdown]
# ## Tasks by allocation
#
# Which weights a number comes from matters here. Random weights are alike in all matrices, and a global threshold
# takes nearly the same share of each: only *nearly*, which is enough to make another function. Pretrained weights
# differ between matrices, and a global threshold empties some and spares others.

# %%
task_counts(tasks)

# %% [markdown]
# ## The control: padding
#
# If the number of blocks is all that tells tasks apart, then storing a few explicit zero blocks brings them back
# together: each matrix is padded to the next bucket. The result of the layer is the same, and padding is paid for in
# work.

# %% tags=["hide-input", "hide-output"]
table(
    tasks,
    {
        "model": "{model}",
        "weights": "{weights}",
        "block": "{block}",
        "allocation": "{allocation}",
        "tasks": "{tasks}",
        "sparse": "{sparse}",
        "uses of a sparse task": "{least} to {most}",
        "share of blocks stored": "{emptiest:.0%} to {fullest:.0%}",
        "linears stored whole": "{whole}",
        "sparse tasks, padded": "{padded}",
        "blocks added": "{added:.1%}",
    },
)

# %% [markdown]
# ## What this shows
#
# Does a global budget make at least four times as many tasks as a uniform one, for every shape and model? By the
# records: {num}`claim.task-reuse.verdict`; where it is least, {num}`claim.task-reuse.effect`. Does padding make them
# alike? By the records: {num}`claim.task-static.verdict`. Where both hold, reuse belongs to how static block counts are
# compared, and not to a block shape. Thresholds were chosen before anything was counted.
