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
# # One layer, from weights to machine code
#
# A block shape is chosen by a pruner, far away from any register. **What becomes of it in the instructions that the
# processor runs?** Here one linear layer of the encoder is followed all the way down: the query projection of the first
# layer, with the weights that pruning left it and the schedule that tuning chose for it on this machine.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scope = "attention"  # linears to prune: attention, ffn, all; its first one is followed
pruner = "magnitude"  # or random
blocks = ["32x1", "4x1", "1x1"]  # rows x columns of W[out, in]: the first is followed, the others stand beside it
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine

# %% tags=["hide-input"]
from IPython.display import display

from codesign.answers.roofline import loops
from codesign.plot import inner_loops, layer_arrays, layer_matrix
from codesign.plot.tables import assembly, listing, table
from codesign.study.chain import open_study
from codesign.study.layer import ensure_listed
from codesign.study.points import sweep

# %% tags=["remove-stdout"]
study = open_study(results, profile)
listings = ensure_listed(study, sweep(model, seed, [scope], pruner, blocks, sparsity, batch, seq, threads))
layer = listings[0]

# %% [markdown]
# ## The matrix
#
# Pruning removed whole blocks. What it left looks random, and for the kernel it is: nothing in it can be known when the
# kernel is compiled, except how many blocks there are.

# %% tags=["hide-input"]
layer_matrix(layer)

# %% [markdown]
# ## Three arrays
#
# `indptr` says where the blocks of a block-row begin, `indices` in which block-column each of them stands, and `data`
# has their values. A kernel computes a few rows at a time, so a tall block is stored in *strips*: the first few rows of
# every block of the block-row, then the next few. The rows of a strip lie side by side, because the kernel wants them
# together ([](17_layouts)).

# %% tags=["hide-input"]
layer_arrays(layer)

# %% [markdown]
# ## What is to be computed
#
# This is what the tuner is given. It defines the result and says nothing about how to get there: one output after the
# other, every stored block of its row times the activations that it meets, and the bias at the end.

# %% tags=["hide-input"]
listing(layer["before"])

# %% [markdown]
# ## How it is computed
#
# A schedule family turns a few decisions into loops. The tuner timed candidates for this layer, compared the best of
# them once more, and took the fastest:

# %% tags=["hide-input"]
decisions = {name: f"{{decisions[{name}]}}" for name in layer["decisions"]}
table([layer], {"block": "{block}", "family": "{family}"} | decisions)

# %% [markdown]
# `rows` and `vectors` are the tile: so many outputs, each for so many vectors of tokens, are added up in registers
# while the blocks of a row go by. In TensorIR every register of the tile is a buffer of its own.
#
# That makes the listing long, and it says the same many times, register by register.

# %% tags=["hide-input", "scroll-output"]
listing(layer["after"])

# %% [markdown]
# ## The inner loop
#
# LLVM keeps the buffers of the tile in registers, and what remains of the loop over blocks is this. One pass takes one
# block, as far as its rows are in the tile, or a few blocks where LLVM unrolled. The margin says what an instruction is
# for; an empty one means counting and addresses. In this notation the destination stands last, and parentheses mean
# memory.

# %% tags=["hide-input"]
assembly(layer["loop"], layer["family"])

# %% [markdown]
# Each weight is read once and copied to all lanes of a register, each vector of activations is read once, and every
# pair of the two is one multiply-add. The sums never leave their registers.
#
# That is all a tall block is good for: its rows share the activations. One index and one vector of activations serve
# every row of the tile.

# %% [markdown]
# ## The same layer in smaller blocks
#
# The layer again, pruned to the same sparsity in other shapes, each with the schedule that tuning chose for it. A core
# can start two multiply-adds a cycle and two loads. Which of the two is the longer queue?

# %% tags=["hide-input"]
rows = loops(listings)
inner_loops(rows)

# %% [markdown]
# With one row to a block, every vector of activations serves a single multiply-add, and each weight brings an index of
# its own. The loads then take longer than the arithmetic, whatever the schedule.

# %% tags=["hide-input"]
table(
    rows,
    {
        "block": "{block}",
        "tile": "{tile}",
        "multiply-adds": "{fma}",
        "single values": "{broadcast}",
        "vectors": "{load}",
        "indices": "{index}",
        "others": "{other}",
        "registers that sum": "{accumulators}",
        "bytes of code": "{bytes}",
        "bound by": "{bound}",
        "of the peak, at most": "{most:.0%}",
    },
)

# %% [markdown]
# The inner loops of the others:

# %% tags=["hide-input", "hide-output"]
for other in listings[1:]:
    display(listing(f"# {other['block']}"), assembly(other["loop"], other["family"]))

# %% [markdown]
# ## What this shows
#
# Scheduler and block shape meet in one number: how many multiply-adds a load is worth. The block shape bounds how many
# rows may share a vector of activations; the number of registers bounds how many sums can be kept; and the scheduler
# looks for the tile that comes closest to both. A block taller than any tile that fits brings nothing more to this
# loop, only fewer indices.
