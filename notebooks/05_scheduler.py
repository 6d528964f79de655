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
# # What the task scheduler sees of a block shape
#
# The paper suggests that block regularisation helps because it leaves *fewer, more common* patterns for the scheduler
# to tune. A task scheduler tells kernels apart by their structure, and the structure of a sparse kernel contains its
# shape and its number of non-zero blocks. **How many tasks does each block shape make, how often is each used, and how
# many trials does it get?**

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
from codesign.answers.frames import frame, where
from codesign.plot import task_map
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.lowered import tasks_of
from codesign.study.points import Case, sweep

# %%
study = open_study(results, profile)
points = sweep(model, seed, scopes, pruner, blocks, sparsity, batch, seq, threads)
tasks = frame(task for point in points for task in tasks_of(study, Case("tvm-bsr", point)))

# %% [markdown]
# ## Tasks, uses and trials

# %%
task_map(tasks)

# %% [markdown]
# Every matrix loses the same share of its blocks here, so matrices of one size keep equally many, and their kernels
# are one task. With 32x1 and all weights pruned, the encoder's {num}`sparse-uses.all.32x1` sparse linears are
# {num}`sparse-tasks.all.32x1` tasks; with 4x1 they are {num}`sparse-tasks.all.4x1`. What tells two
# tasks of one size apart is what happens at the end of the kernel: a bias alone, a GELU, or a residual sum.

# %% [markdown]
# ## The sparse tasks, one by one

# %% tags=["hide-input"]
table(
    where(tasks, family_kind="bsr"),
    {
        "pruned": "{scope}",
        "block": "{block}",
        "tokens": "{m:.0f}",
        "out": "{n:.0f}",
        "in": "{k:.0f}",
        "blocks kept": "{nnz_blocks:.0f}",
        "uses": "{weight}",
        "trials": "{trials}",
    },
)

# %% [markdown]
# ## What this shows
#
# With a budget that is uniform over matrices, reuse does not depend on the block shape: the counts above are those of
# the encoder's matrix sizes. Whatever separates the shapes in latency must then come from the kernels themselves, from
# what a schedule can do with a block, and not from a larger share of the trials. A budget spread unevenly over
# matrices would make a task of each, and is the experiment that could show the paper's effect.
