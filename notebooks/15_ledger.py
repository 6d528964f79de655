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
# # Amdahl's ledger: where a speed-up comes from
#
# A sparse encoder is so many times faster than PyTorch. Part of that is skipped work, part of it a better compiler that
# would serve dense weights as well, part of it the width of vectors. **Which factor comes from where?**
#
# First, where the time of one inference goes; then, what the width of vectors does to each block shape; last, the
# ledger, whose factors multiply to the speed-up that was measured.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "bert-base"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of random weights, masks and inputs
scopes = ["attention", "all"]  # linears to prune: attention, ffn, all
pruner = "magnitude"  # or random
blocks = ["1x1", "4x1", "16x1", "32x1"]  # rows x columns of W[out, in]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences
seq = 128  # tokens a sequence, at most 512
threads = 2  # at most the cores of this machine
isas = ["native", "avx2"]  # instruction sets to compile for
trials_per_task = 64  # schedules tried for a task at most, for those that are not the machine's own

# %% tags=["hide-input"]
import pandas as pd

from codesign.answers.builds import sides
from codesign.answers.frames import Frames, frame
from codesign.answers.ledger import by_kind, kernels, ledgers
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, times
from codesign.plot import ladder, operator_profile, show, vectors
from codesign.plot.tables import table
from codesign.study.artefacts import ensure_profiled
from codesign.study.chain import open_study
from codesign.study.comparisons import ensure_beside, vector_cases
from codesign.study.points import Case, headline, sweep

# %% tags=["remove-stdout"]
study = open_study(results, profile)
points = sweep(model, seed, scopes, pruner, blocks, sparsity, batch, seq, threads)
profiled = ensure_profiled(study, [Case("tvm-dense", headline(points)), *(Case("tvm-bsr", each) for each in points)])
widest = [point for point in points if point.scope == scopes[-1]]
timed = ensure_beside(study, "vectors", vector_cases(widest, isas), trials_per_task)
frames = Frames(study.results, model, sparsity, batch, seq, threads, pruner)

# %% [markdown]
# ## Where the time goes
#
# Every kernel of a compiled encoder is timed inside whole inferences. Bias, GELU and residual additions are computed
# where the linears' results are still in registers, so they are part of the linears here and have no kernel of their
# own.

# %%
kinds = by_kind(kernels(frame(profiled)))
operator_profile(kinds, scopes[-1])

# %% tags=["hide-input", "hide-output"]
table(
    kinds,
    {
        "pruned": "{stored_scope}",
        "block": "{stored_block}",
        "kernels": "{function_kind}",
        "calls": "{calls}",
        "milliseconds": "{ms:.2f}",
        "share": "{share:.1%}",
    },
)

# %% [markdown]
# With all encoder weights pruned, linears take {num}`claim.outside-linears.effect` of the time in kernels in the shape
# where that is least: that they take four fifths is {num}`claim.outside-linears.verdict`, and that no other kind takes
# more than a fifth is {num}`claim.outside-linears-each.verdict`.

# %% [markdown]
# ## What the width of vectors does
#
# The same encoders compiled for narrower vectors, tuned for them, and timed in one session beside those compiled for
# all that the machine has. If the best block shape were a matter of lanes, it would change here.

# %%
vectors(sides(frame(timed), "isa"))

# %% [markdown]
# The encoder that gains least from AVX-512 gains {num}`claim.lanes.effect`. That the fastest shape stays the fastest
# with AVX2 is {num}`claim.lanes-shape.verdict`: over the closest other one it has {num}`claim.lanes-shape.effect`.

# %% [markdown]
# ## The ledger
#
# *Skipped work* is Amdahl's law on the profile of the dense encoder: what would be gained if sparse kernels did as much
# in a second as dense ones. *Sparse kernels* is what they really do. Our compiler fuses and chooses layouts at once
# with its kernels and has no switch for one of them, so they stay together in the first step
# ([why](../decisions/0015-ledger.md)).

# %%
for scope in scopes:
    show(ladder(ledgers(frames, "torch-eager", [scope], blocks)))

# %% tags=["hide-input", "hide-output"]
steps = pd.concat(ledgers(frames, baseline, scopes, blocks) for baseline in ("torch-eager", "tvm-stock-tuned"))
table(
    steps.assign(
        baseline=steps["baseline"].map(ENGINE_LABELS),
        scope=steps["scope"].map(SCOPE_LABELS),
        factor=steps["factor"].map(times),
    ),
    {
        "from": "{baseline}",
        "pruned": "{scope}",
        "block": "{block}",
        "step": "{step}",
        "factor": "{factor}",
        "how it is known": "{how}",
        "records": "{sources}",
    },
)

# %% [markdown]
# ## What this shows
#
# Only a step in which one thing was changed is measured as such; the steps named after what is left hold all that
# nobody took apart. A factor near one under *sparse kernels* means that skipping blocks costs no efficiency in that
# shape, and one well below it is the price of unstructured zeros. The order of steps matters: wider vectors stand
# before pruning here, and what they give a sparse encoder is in the figure above.
