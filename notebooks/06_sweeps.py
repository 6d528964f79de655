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
# # When does sparsity pay?
#
# So far one model, one sparsity and one load. Here one factor at a time leaves that centre: the sparsity, the size of
# the model, the batch, the length of the sequence, the threads. **From which sparsity on do sparse kernels beat the
# best dense engine, for which block shape, and does that survive another load?**
#
# Each value is a session of its own, tuned for itself, with the references and our dense engine on the same weights. A
# gain is always over whichever dense engine of that session was fastest, ours or not, in any number format that counts.
# Beside the values below, the page shows every other one that was measured around the same centre.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
load_blocks = ["4x1", "32x1"]  # shapes timed under other loads
blocks = ["4x1", "32x1"]  # shapes timed at other sparsities and in other models
engines = ["tvm-dense", "tvm-bsr"]  # beside torch-eager and openvino
batches = []  # other batches, in sequences
seqs = []  # other lengths, in tokens
thread_counts = []  # other numbers of threads
process_counts = []  # processes at once, each of one thread on a core of its own
sparsities = [0.5, 0.9]  # other shares of blocks removed
models = []  # other models
model_sparsities = [0.5, 0.8, 0.9]  # shares of blocks removed in those
trials_per_task = 64  # schedules tried for a task at most

# %% tags=["hide-input"]
from codesign.answers.crossover import around, by_load, by_sparsity, crossovers
from codesign.answers.frames import frame
from codesign.answers.throughput import throughputs
from codesign.plot import crossover, loads
from codesign.plot.tables import table
from codesign.study.chain import open_study
from codesign.study.points import HEADLINE, Point
from codesign.study.sweeps import Sweep, ensure_swept
from codesign.study.throughput import ensure_throughput

# %% tags=["remove-stdout"]
study = open_study(results, profile)
centre = Point(model, seed, scope, pruner, HEADLINE, sparsity, batch, seq, threads)
factors = batches, seqs, thread_counts, sparsities, models, model_sparsities
ensure_swept(study, Sweep(centre, load_blocks, blocks, engines, *factors), trials_per_task)
ensure_throughput(study, centre, load_blocks, engines, process_counts, trials_per_task)
timed = around(frame(study.found("latency", {})), centre.fields())

# %% [markdown]
# ## Sparsity, and the size of the model

# %%
curves = by_sparsity(timed, centre.fields())
crossover(curves)

# %% [markdown]
# The crossover is where a line meets the orange one: from there on, sparse is faster than every dense engine. Between
# two measured sparsities the time of a sparse encoder, relative to the dense one, is taken to be linear.

# %% tags=["hide-input"]
table(
    crossovers(curves),
    {"model": "{model}", "block": "{block}", "pays from": "{pays_from}", "at 80%": "{at80}", "at 90%": "{at90}"},
)

# %% [markdown]
# ## The load

# %%
moved = by_load(timed, centre.fields())
loads(moved)

# %% tags=["hide-input"]
table(
    moved,
    {"factor": "{factor}", "value": "{value}", "block": "{block}", "best dense": "{over}", "gain": "{times}"},
)

# %% [markdown]
# ## Throughput
#
# A server that always has requests waiting asks for sequences a second. It may call one process with all threads, with
# one sequence or with several at once; or give every core a process of its own.

# %% tags=["hide-input"]
rates = throughputs(timed, frame(study.found("throughput", {})), centre.fields())
table(rates, {name: f"{{{name}}}" for name in rates})

# %% [markdown]
# ## What this shows
#
# Where a line starts above the orange one, the crossover lies below the lowest sparsity that was measured; where it
# ends below, no sparsity here was enough. Nothing is said about sparsities under a quarter: our compiler stores such
# matrices whole, because indices would cost more than they skip, and sparse is then dense. A gain is over the best
# dense engine of the *same* session, so it compares with other gains, and milliseconds of two sessions do not.
