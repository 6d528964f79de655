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
# # Which schedule family makes a block shape fast?
#
# A block shape is fast when some schedule can use it. Our compiler has families of schedules, and each turns blocks
# into vector instructions in another way. **Which family wins where?**

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # whose linears: bert-tiny, minilm, a directory, a hub id
linears = ["attention", "ffn-down"]  # which of them
seed = 0  # of patterns and values
blocks = ["1x1", "1x32", "4x1", "8x1", "16x1", "32x1", "64x1", "4x4", "16x16", "32x32"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
load_blocks = ["1x1", "4x1", "32x1"]  # shapes measured with other numbers of tokens
seqs = [16]  # other lengths, in tokens

# %% tags=["hide-input"]
from codesign.answers.frames import frame
from codesign.answers.kernels import in_turns, winners
from codesign.plot import family_map
from codesign.study.chain import open_study
from codesign.study.kernels import ensure_kernels, problems

# %% tags=["remove-stdout"]
study = open_study(results, profile)
centre = ensure_kernels(study, problems(model, linears, seed, blocks, sparsity, [batch * seq], threads))
tokens = [batch * length for length in seqs]
loads = ensure_kernels(study, problems(model, linears, seed, load_blocks, sparsity, tokens, threads))

# %% [markdown]
# ## The best of each family

# %%
family_map(winners(in_turns(frame([*centre, *loads])), "hot", by=["block", "family"]))

# %% [markdown]
# ## What this shows
#
# A family that vectorises along the rows of a block can take a shape only if its rows fill vectors; one that vectorises
# over tokens takes every shape. So which shapes a pruner may choose from depends on what the compiler was given.
# Whether tall linear blocks lead without the second family is for the first figure to say, not for this argument.
