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
# # Latency: every block shape beside the engines one would otherwise use
#
# **Which block shape makes an inference fastest, and how does it compare with engines that ignore zeros?**
#
# Engines take turns in one session, each in a process of its own with the same threads; the first calls of each turn
# are thrown away, because the threads of the engine before may still be spinning. PyTorch takes part twice: if its two
# entries disagree, or an engine is slower in company than alone, the session is marked. Every engine's output is
# compared with what PyTorch computes in float32 for the same weights before its time counts.
#
# All engines of a session get the same pruned weights. Those that may leave zeros out run every block shape; to the
# others zeros are values like any other, so they run the weights of one shape, 32x1.

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
engines = [  # beside torch-eager and openvino, which take part in every session
    "torch-compile", "torch-bf16", "torch-bsr", "onnxruntime", "openvino-bf16", "deepsparse",  # by others
    "tvm-stock-default", "tvm-stock-tuned", "tvm-dense", "tvm-bsr",  # TVM as it comes, and our compiler
]  # fmt: skip
peer_blocks = ["1x1", "4x1", "32x1"]  # block shapes that the sparse engines of others run: deepsparse, torch-bsr
rival = "onnxruntime"  # engine that shares the machine with ours when protocols are compared

# %% tags=["hide-input"]
from codesign.answers.frames import frame
from codesign.answers.timings import timings
from codesign.plot import latency_bars, ways
from codesign.plot.tables import table
from codesign.study.artefacts import ensure_built
from codesign.study.chain import open_study
from codesign.study.comparisons import ensure_compared
from codesign.study.points import Case, headline, sweep
from codesign.study.sessions import compiled_cases, ensure_timed

# %%
study = open_study(results, profile)
points = sweep(model, seed, scopes, pruner, blocks, sparsity, batch, seq, threads)
built = ensure_built(study, compiled_cases(points, engines=engines))
timed = frame(ensure_timed(study, points, engines=engines, peer_blocks=peer_blocks))

# %% [markdown]
# ## The sessions

# %%
latency_bars(timed, scopes=tuple(scopes))

# %% [markdown]
# With all encoder weights pruned, the fastest shape is {num}`shapes.best.all` at {num}`shape-latency.best.all`; our own
# dense engine takes {num}`latency.tvm-dense.none.dense`, OpenVINO {num}`latency.openvino.none.dense` and PyTorch
# {num}`latency.torch-eager.none.dense`. With attention weights only, it is {num}`shapes.best.attention` at
# {num}`shape-latency.best.attention`. Q, K, V and the output projection are {num}`amdahl.share` of the encoder's
# arithmetic, so skipping {num}`point.sparsity` of them gives at most {num}`amdahl.bound` over an equally good
# dense compiler.

# %% [markdown]
# ## Every engine
#
# Also those that compute in bfloat16, and those that take no such encoder, with their own reason. Of a hundred calls in
# turns that count, one takes longer than the p99, which is left out where fewer were timed. Memory is the most that the
# engine's process ever had resident; disk is what it loads.

# %% tags=["hide-input"]
contenders = timings(timed[timed["control"].isna()])
table(
    contenders,
    {
        "pruned": "{scope}",
        "engine": "{label}",
        "block": "{stored_block}",
        "computes in": "{computes_in}",
        "median": "{median}",
        "p95": "{p95}",
        "p99": "{p99}",
        "over our dense engine": "{over_dense}",
        "error": "{largest_error}",
        "memory": "{memory}",
        "disk": "{disk}",
    },
)

# %% [markdown]
# ## What a naive protocol would have measured
#
# Two of these engines once more: each alone, which is the truth; one call each in turn, as anybody would time them
# first; and in our turns.

# %%
pair = tuple(Case(engine, headline(points)) for engine in ("tvm-bsr", rival))
ways(frame(ensure_compared(study, pair)))

# %% [markdown]
# Alone, our sparse engine takes {num}`protocol.alone.ours` and {num}`protocol-rival` {num}`protocol.alone.other`.
# Called in turn, one call each, ours appears to take {num}`protocol.naive.ours` and the other
# {num}`protocol.naive.other` of that; in our turns it is {num}`protocol.turns.ours` and {num}`protocol.turns.other`.
# The other engine's threads are still spinning when a call starts, and whoever waits longer for a core loses more.

# %% [markdown]
# ## Is it still the same function?
#
# The largest difference of each built encoder from PyTorch with the same weights and inputs.

# %% tags=["hide-input"]
table(
    built,
    {
        "engine": "{engine}",
        "pruned": "{scope}",
        "block": "{block}",
        "sparse linears": "{bsr_linears}",
        "kernels": "{functions}",
        "error": "{max_abs_err:.1e}",
    },
)

# %% [markdown]
# ## What this shows
#
# Ratios within a session travel; milliseconds do not. A share of any gain over PyTorch or over TVM's own pipeline
# comes from better dense kernels, so what sparsity itself brings is the distance to our dense engine, which compiles
# the same encoder without zeros by the same means. Why the shapes differ is the subject of the next notebook.
