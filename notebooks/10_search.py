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
# # Is the search any good?
#
# A tuner is asked for the best schedule it can find in a few trials. To say how good its pick is, one must know what
# there was to find. **How close does the task scheduler come to the best point of a space, and how long does a whole
# encoder take?**
#
# So every point of the space is measured, for each matrix size of the encoder, several times and in mixed order. TVM's
# task scheduler then tunes the same tasks from nothing.
#
# The same layer is also given to TVM's *stock* rules. They cannot schedule loops whose length is data, so all its
# block-rows keep equally many blocks: then every loop is static.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights and masks
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
block = "32x1"  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
search_trials = 12  # of a search
passes = 3  # times each point of a space is timed
stock_trials = 64  # of TVM's stock rules
repeats = 3  # times a whole encoder is tuned from nothing
trials_per_task = 64  # schedules tried for a task at most, when a whole encoder is tuned from nothing

# %% tags=["hide-input"]
from codesign.answers.frames import frame
from codesign.answers.tasks import seconds_until_close
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.points import Case, Point
from codesign.study.pruned import ensure_pruned
from codesign.study.search import ensure_searched
from codesign.study.tuning import ensure_tuned_from_nothing

# %% tags=["remove-stdout"]
study = open_study(results, profile)
point = Point(model, seed, scope, pruner, block, sparsity, batch, seq, threads)
searches = frame(ensure_searched(study, point, trials=search_trials, passes=passes, stock=stock_trials))
ensure_pruned(study, [point])
nothing = frame(ensure_tuned_from_nothing(study, Case("tvm-bsr", point), trials_per_task, repeats))

# %% [markdown]
# ## The real search, and stock rules
#
# GFLOP/s of what was skipped over are not counted: only blocks that are stored.

# %% tags=["hide-input"]
searches["trials"] = searches["record"].map(lambda search: len(search["best_ns"])) + searches["failed"]
searches["gflops"] = [search["flop"] / min(search["best_ns"], default=float("inf")) for search in searches["record"]]
searches["pick"] = [
    "-" if search["rank"] is None else f"{search['rank']} of {search['space']}" for search in searches["record"]
]
beside = searches.pivot(index=["n", "k", "m"], columns="strategy", values=["gflops", "trials", "pick"]).reset_index()
beside.columns = [" ".join(filter(None, name)) for name in beside.columns]
table(
    beside,
    {
        "out": "{n}",
        "in": "{k}",
        "tokens": "{m}",
        "stock rules, GFLOP/s": "{gflops stock rules:.0f}",
        "their trials": "{trials stock rules}",
        "task scheduler": "{gflops scheduler:.0f}",
        "its trials": "{trials scheduler}",
        "best of the space": "{gflops exhaustive:.0f}",
        "rank of its pick": "{pick scheduler}",
    },
)

# %% [markdown]
# ## A whole encoder, from nothing
#
# All tasks of one encoder at one input shape, with an empty database: how long until the sum over its kernels is within
# a twentieth of where tuning ends?

# %% tags=["hide-input"]
table(
    nothing.assign(close=nothing["record"].map(seconds_until_close)),
    {
        "block": "{block}",
        "tasks": "{tasks}",
        "trials": "{trials}",
        "seconds": "{seconds:.0f}",
        "close after": "{close:.0f} s",
    },
)

# %% [markdown]
# ## What this shows
#
# How far a pick from nothing is from the best, the first table says: one search each, whose trials were timed once and
# not [looked at again](../decisions/0023-second-look.md). Tuning an encoder comes close to its end in
# {num}`tuning-close`, the median of {num}`tuning-runs` runs: three minutes are {num}`claim.tuning-time.verdict`.
#
# The difference between stock rules and the best of our space is what schedule families add for the same zeros.
