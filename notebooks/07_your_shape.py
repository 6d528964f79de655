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
# # Your shape
#
# `make try BLOCK=24x1 SPARSITY=0.9` takes a block shape that nobody planned through the whole chain, on your machine:
# pruned, compiled, tuned, timed beside 32x1 and the dense engines, and shown here beside the shapes of the book.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "try"
model = "bert-base"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
block = "24x1"  # rows x columns of W[out, in]
sparsity = 0.9  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
trials_per_task = 64  # schedules tried for a task at most

# %% tags=["hide-input"]
from codesign.answers.frames import where
from codesign.answers.timings import timings
from codesign.commands.bench import measure
from codesign.commands.tried import in_the_book, summary, tried
from codesign.plot import show, your_shape
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.points import HEADLINE, sweep

# %%
blocks = list(dict.fromkeys([HEADLINE, block]))
points = sweep(model, seed, [scope], pruner, blocks, sparsity, batch, seq, threads)
if results == "local":
    measure(open_study("local", profile), points, trials_per_task)
records = tried()
summary(records)

# %%
for pruned in sorted(where(records, engine="tvm-bsr")["scope"].unique()):
    show(your_shape(records, in_the_book(records), scope=pruned))

# %% tags=["hide-input"]
table(
    timings(records[records["control"].isna()]),
    {
        "pruned": "{scope}",
        "engine": "{label}",
        "block": "{block}",
        "blocks removed": "{block_sparsity:.1%}",
        "median": "{median}",
        "error": "{largest_error}",
    },
)
