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
# # Accuracy: what a block shape costs the model, beside what it saves
#
# A block shape is only worth its speed if the model survives it. **Which shape keeps most right answers at a given
# latency, and does training with blocks in mind pay?**
#
# The model is a real pretrained encoder. The task needs no network: passages from the docstrings of this project's own
# packages, with library names masked; which library is a passage from? All passages of a module are on one side of the
# split. A dense model learns the task first. Every pruned model starts from it, with the dense model as its teacher:
# sparsity rises while the regulariser pushes whole blocks to zero, the rest is removed, and what is left recovers.

# %% tags=["parameters"]
results = "reference"  # or "local": train and measure here what is missing
profile = "report"  # smoke, verify, report, paper: whose local records count
model = "minilm"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of heads, masks, dropout and the order of examples
scope = "all"  # linears to prune: attention, ffn, all
pruner = "group-lasso"  # magnitude, l1, group-lasso, reweighted, movement, random
# rows x columns of W[out, in], in the order of training
blocks = ["4x1", "32x1", "16x16", "1x1", "32x32", "1x32", "8x1", "16x1", "64x1", "4x4"]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences, for latency
seq = 128  # tokens a sequence, at most 512, for latency
threads = 2  # at most the cores of this machine
task = "docstrings"  # docstrings-small, or a directory with train.tsv and dev.tsv
train_each = 1500  # texts of each label to learn from
test_each = 400  # texts of each label to be judged by
dense_steps = 400  # of the dense model
prune_steps = 200  # while sparsity rises
recover_steps = 100  # with frozen masks
learning_rate = 0.0001  # the highest of a run
control_blocks = ["1x1", "4x1", "32x1", "32x32"]  # also pruned at once and trained as long, and also pruned at random
stored_blocks = ["4x1", "32x1"]  # in which unstructured masks are stored
repeat_blocks = []  # trained with every seed at every sparsity
sparsities = []  # of those
seeds = [0]  # of those
pruners = []  # other algorithms
pruner_blocks = []  # the shapes that they prune
trials_per_task = 64  # schedules measured for each kernel that has no tuned one

# %% tags=["hide-input"]
from dataclasses import replace

from codesign.study.chain import open_study
from codesign.study.compiled import ensure_built
from codesign.study.figures import pareto
from codesign.study.pruned import ensure_pruned
from codesign.study.tables import table
from codesign.study.timed import OURS, compiled_cases, ensure_timed
from codesign.study.trained import ensure_trained, trained_sweep
from codesign.study.tuned import ensure_tuned
from codesign.train import Recipe

# %%
study = open_study(results, profile)
recipe = Recipe(
    task=task,
    train_each=train_each,
    test_each=test_each,
    allocation=allocation,
    dense_steps=dense_steps,
    prune_steps=prune_steps,
    recover_steps=recover_steps,
)
sweep = {
    "model": model,
    "scope": scope,
    "blocks": ["dense", *blocks],  # with the model that is not pruned
    "sparsities": sparsities,
    "batch": batch,
    "seq": seq,
    "threads": threads,
}
regularised = trained_sweep(recipe, seeds=seeds, pruners=pruners, **sweep)
at_once = trained_sweep(replace(recipe, schedule="one-shot"), seeds=seeds, pruners=["magnitude", "random"], **sweep)
judged = ensure_trained(study, regularised)
compared = ensure_trained(study, at_once)

# %% [markdown]
# ## The task
#
# A bag of words is what the encoder has to beat: if words alone gave the answer, pruning an encoder would cost nothing.

# %% tags=["hide-input"]
table(
    judged[:1],
    {
        "task": "{task}",
        "labels": "{labels}",
        "texts to learn from": "{train_size}",
        "texts to be judged by": "{test_size}",
        "most frequent label": "{majority:.1%}",
        "bag of words": "{baseline:.1%}",
        "dense encoder": "{accuracy:.1%}",
    },
)

# %% [markdown]
# ## Trained for blocks, or pruned at once and trained as long
#
# Embeddings are compared with the dense model's, too: the cosine of the two embeddings of a text, and whether pairs of
# texts keep their order of similarity.

# %% tags=["hide-input"]
table(
    [*judged, *compared],
    {
        "block": "{block}",
        "trained": "{pruner}",
        "blocks removed": "{block_sparsity:.1%}",
        "seed": "{seed}",
        "right answers": "{accuracy:.1%}",
        "cosine": "{cosine:.3f}",
        "rank correlation": "{rank_correlation:.3f}",
    },
)

# %% [markdown]
# ## Accuracy against latency
#
# The same pruned weights, compiled and timed beside the dense engines, which are given pruned weights, too, and compute
# their zeros. Of several seeds the first is timed.

# %%
timed_points = [run.point for run in regularised if run.pruning and run.point.seed == seeds[0]]
ensure_pruned(study, timed_points)
cases = compiled_cases(timed_points, engines=OURS)
ensure_tuned(study, cases, trials_per_task)
ensure_built(study, cases)
timed = ensure_timed(study, timed_points, engines=OURS)
pareto(judged, timed, scope=scope)

# %% [markdown]
# ## What this shows
#
# Points further up cost fewer answers, points further left cost less time; a dense engine's line is what has to be
# left of. How sure the order of two shapes is, the intervals say: they cover the choice of texts and, where there are
# several, of seeds.
