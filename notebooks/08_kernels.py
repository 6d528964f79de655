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
# # How near the machine's limit does each block shape run?
#
# An encoder is many kernels, and what a block shape does to it is what it does to them. Here one linear layer runs by
# itself, in every block shape and with every schedule that our families offer. **How much of what the processor can
# multiply and add does the best schedule of each shape reach, and what holds it back?**
#
# The limit is measured, too: multiply-adds in registers, on the same cores, with the same instruction set, right before
# each kernel, because the clock of a processor changes ([why](../decisions/0012-kernel-ceiling.md)). Hot means that a
# kernel finds its weights in a cache, because the call before used them. Cold means that calls go through many copies
# of the weights, as an encoder goes through its layers.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # whose linears: bert-tiny, minilm, a directory, a hub id
linears = ["attention", "ffn-up", "ffn-down"]  # which of them
seed = 0  # of patterns and values
blocks = ["1x1", "1x32", "4x1", "8x1", "16x1", "32x1", "64x1", "4x4", "16x16", "32x32"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine

# %% tags=["hide-input"]
from codesign import plot
from codesign.answers.frames import frame
from codesign.answers.kernels import hot_and_cold, in_turns
from codesign.answers.roofline import predictions
from codesign.plot.tables import table
from codesign.study.ceilings import limits_of
from codesign.study.chain import open_study
from codesign.study.kernels import ensure_kernels, problems

# %% tags=["remove-stdout"]
study = open_study(results, profile)
records = ensure_kernels(study, problems(model, linears, seed, blocks, sparsity, [batch * seq], threads))
ceilings, machine = limits_of(study, records)
timed = in_turns(frame(records))
best = hot_and_cold(timed)

# %% [markdown]
# ## Share of the ceiling

# %%
plot.kernel_shares(best)

# %% [markdown]
# Every valid schedule was measured. The fastest of many is partly the luckiest of many, so the best few of each family
# were measured again, in rounds that go through all shapes: the even rounds chose, and only the odd rounds are shown.

# %% tags=["hide-input"]
table(
    best.assign(
        decisions=[", ".join(f"{name} {value}" for name, value in r["decisions"].items()) for r in best["record"]],
        mib=best["rotated_bytes"] / 2**20,
    ),
    {
        "matrix": "{size}",
        "block": "{block}",
        "family": "{family}",
        "decisions, hot": "{decisions}",
        "GFLOP/s, hot": "{gflops:.0f}",
        "hot": "{hot:.0%}",
        "cold": "{cold:.0%}",
        "MiB rotated": "{mib:.0f}",
    },
)

# %% [markdown]
# ## What arithmetic predicts
#
# The inner loop of a schedule multiplies a few broadcast values by a few vectors. From these two counts follows how
# long it must take: so many multiply-adds and so many loads for two ports each, four cycles before a sum can go on, and
# bytes from whichever cache holds them at the rate that was measured for it. Nothing in the prediction was fitted.

# %%
predicted = predictions(timed, ceilings, machine)
plot.predictions(predicted)

# %% tags=["hide-input"]
table(
    predicted,
    {
        "matrix": "{size}",
        "block": "{block}",
        "weights": "{state}",
        "bound by": "{bound}",
        "predicted": "{predicted:.0%}",
        "measured": "{measured:.0%}",
        "off": "{off:+.0%}",
    },
)

# %% [markdown]
# ## What this shows
#
# One load of activations serves as many rows as a tile has, and a block of one row has one. So unstructured pruning is
# bound by loads and by the cache behind them, whatever the schedule, and a block of a few rows no longer is. Between
# the tall shapes the model sees nothing in the way of the peak: what they lose all the same, it does not explain, and
# their order here is as much a matter of the minute as of the shape. What lies between hot and cold is the price of
# memory.
