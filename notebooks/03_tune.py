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
# # Tuning dense and sparse kernels together
#
# A lowered encoder is a list of *tasks*: kernels, each with a weight that says how often one inference runs it. TVM's
# task scheduler spends trials where they are expected to shorten the whole inference most. **What does it make of the
# tasks of all our encoders, sparse and dense, when it tunes them as one set?**
#
# Tasks that are equal are tuned once, however many encoders use them: shapes, scopes and the dense parts share. The
# stock pipeline of TVM is tuned beside them as a baseline, by its own rules. Every trial goes into one database for
# this kind of CPU and number of threads, and a later run starts from it.
#
# A trial is short, so the fastest of many is partly the luckiest. At the end the best four trials of each task are
# timed again, in turns, and one of these is what an encoder is built from.

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
trials_per_task = 64  # schedules tried for a task at most

# %% tags=["hide-input"]
from codesign.answers.frames import frame
from codesign.plot import tuning_curves
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.points import sweep
from codesign.study.sessions import compiled_cases
from codesign.study.tuning import ensure_tuned

# %% tags=["remove-stdout"]
study = open_study(results, profile)
points = sweep(model, seed, scopes, pruner, blocks, sparsity, batch, seq, threads)
cases = [case for case in compiled_cases(points) if case.tuned]
runs = frame(ensure_tuned(study, cases, trials_per_task))

# %% [markdown]
# ## What tuning gained
#
# The height of a curve is the sum over tasks of best time so far, times its weight: the part of the latency that
# tuning can change.

# %%
tuning_curves(runs)

# %% tags=["hide-input"]
table(
    runs,
    {
        "run": "{engine}",
        "tasks": "{tasks}",
        "trials": "{trials}",
        "failed": "{failed_trials}",
        "seconds": "{seconds:.0f}",
        "target": "{target}",
    },
)

# %% [markdown]
# ## What this shows
#
# The curves say how quickly the scheduler finds its schedules and where more trials would stop paying. They are sums
# of kernels timed by the tuner, each kernel over and over by itself; what an inference takes is measured in the next
# notebook, and only that is compared with other engines.
