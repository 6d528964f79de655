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
# # Accuracy: what a block shape costs the model
#
# A block shape is only worth its speed if the model survives it. **Which shape keeps most right answers at a given
# latency, and does it pay to train with blocks in mind?**
#
# The model is a real pretrained encoder. Two tasks need no network. One has ratings that people gave, and says how good
# the dense model is; the shapes are compared on the other: passages from the docstrings of this project's own
# packages, with library names masked. Which library is a passage from? All passages of a module are on one side of the
# split, and no question shares eight words in a row with what was taught.
#
# A dense model learns the task first. Every pruned model starts from it, and has it as its teacher. While it is
# trained, sparsity rises, and every few steps the weakest blocks are set to zero; then the mask is frozen and the rest
# recovers. The weights that answer the questions are the weights that are compiled and timed.

# %% tags=["parameters"]
results = "book"  # the machine that the book shows; another one by name; or "local": measure here what is missing
profile = "default"  # quick, default, full: whose local records count
model = "minilm"  # bert-tiny, minilm, a directory, a hub id
seed = 0  # of heads, masks, dropout and the order of examples
scope = "all"  # linears to prune: attention, ffn, all
pruner = "magnitude"  # magnitude, l1, group-lasso, reweighted, movement, random
# rows x columns of W[out, in], in the order of training
blocks = ["32x1", "4x1", "16x16", "1x1", "32x32", "1x32", "8x1", "16x1", "64x1", "4x4"]
sparsity = 0.8  # share of blocks removed, 0 to below 1
batch = 1  # sequences, for latency
seq = 128  # tokens a sequence, at most 512, for latency
threads = 2  # at most the cores of this machine
task = "docstrings"  # docstrings-small, or a directory with train.tsv and dev.tsv
train_each = 1500  # texts of each label to learn from
test_each = 400  # texts of each label to be judged by
dense_steps = 500  # of the dense model
prune_steps = 240  # while sparsity rises
recover_steps = 120  # with frozen masks
learning_rate = 0.0003  # the highest of a run
control_blocks = ["1x1", "4x1", "32x1", "32x32"]  # also pruned at once and trained as long, and also pruned at random
stored_blocks = ["4x1", "32x1"]  # in which unstructured masks are stored
repeat_blocks = ["4x1", "32x1", "32x32"]  # trained with every seed at every sparsity
sparsities = [0.5, 0.8, 0.9]  # of those
seeds = [0, 1, 2]  # of those
pruners = ["group-lasso", "reweighted", "movement"]  # other algorithms
pruner_blocks = ["32x1", "4x1", "1x1"]  # the shapes that they prune
# the shapes that group-lasso, the proximal method, prunes
proximal_blocks = ["32x1", "4x1", "1x1", "16x16", "8x1", "32x32", "1x32", "16x1", "64x1", "4x4"]
rated_seeds = []  # of dense models that learn the task with ratings
rated_steps = 500  # of those
rated_learning_rate = 0.0002  # the highest of those
rated_engines = []  # which also run those, in number formats of their own
trials_per_task = 8  # schedules measured for each kernel that has no tuned one

# %% tags=["hide-input"]
import pandas as pd

from codesign.answers.accuracy import AT_ONCE, PRUNING, TRAINED, leads, models, newest_recipe, share
from codesign.answers.frames import Frames, by_shape, frame, where
from codesign.answers.machines import labels
from codesign.answers.ratings import dense_ratings
from codesign.answers.tradeoff import acceptable, dense_beside, patterns, stored
from codesign.answers.words import ENGINE_LABELS, correlation, percent, times
from codesign.answers.words import points as in_points
from codesign.answers.yardstick import losses
from codesign.measure.ratios import ratio
from codesign.plot import pareto
from codesign.plot.tables import table
from codesign.records import RESULTS_ROOT
from codesign.study.artefacts import ensure_built
from codesign.study.chain import open_study
from codesign.study.formats import ensure_rated_by
from codesign.study.points import Point
from codesign.study.pruned import ensure_pruned
from codesign.study.sessions import OURS, compiled_cases, ensure_timed
from codesign.study.trained import ensure_stored, ensure_trained, trainings
from codesign.study.tuning import ensure_tuned

# %% tags=["remove-stdout"]
study = open_study(results, profile)
planned = trainings(globals())  # the parameters above
ensure_rated_by(study, planned.rated, rated_engines)
judged = newest_recipe(frame(ensure_trained(study, planned.runs)))
pruned = models(judged)
pruned["answers"] = [percent(right, 1) for right in pruned["right"]]
pruned["loss"] = pruned["lost"].map(in_points)

# %% tags=["remove-stdout"]
# One session: every shape and sparsity, and random patterns and unstructured masks in some of them. Latency does not
# depend on the seed, so the first one is timed.
shapes = [run.point for run in planned.shapes if run.pruning]
others = [run.point for run in planned.repeats if run.pruning and run.point.seed == seed]
compared = [Point(model, seed, scope, "random", block, sparsity, batch, seq, threads) for block in control_blocks]
compared += ensure_stored(study, [run.point for run in planned.unstructured], stored_blocks)
every = list(dict.fromkeys([*shapes, *others, *compared]))
ensure_pruned(study, every)
cases = compiled_cases(every, engines=OURS)
ensure_tuned(study, cases, trials_per_task)
ensure_built(study, cases)
timed = frame(ensure_timed(study, every, engines=OURS))

# %% [markdown]
# ## A task with ratings
#
# Sentences of film reviews, each rated by about twenty people from -4 to 4 {cite:p}`hutto2014`. The model learns to
# predict the mean of the raters. It is judged by sentences that it has not seen, and by those of Amazon's customers, of
# which it has seen none. **How often does it have the sign right**, where the mean is not exactly 0, **and how well
# do its ratings correlate with the mean?**
#
# Below it is a bag of words: logistic and ridge regression on the same sentences. Above it are the raters. One half of
# those of a sentence predicts the other half as the table says; the halves are small, so a model that predicts the mean
# of all raters may do better than they do. The most that a correlation with that mean can reach is the last number: the
# square root of the reliability that follows from the halves by the formula of Spearman and Brown.

# %% tags=["hide-input"]
rated = dense_ratings(Frames(study.results, committed=RESULTS_ROOT))
rated["sign"] = [percent(sign, 1) for sign in rated.get("sign", ())]
rated["r"] = [correlation(r) for r in rated.get("r", ())]
table(
    rated,
    {
        "reviews of": "{domain}",
        "sentences": "{test_size:,}",
        "seeds": "{seeds}",
        "sign right": "{sign}",
        "by words": "{words_sign:.1%}",
        "half the raters": "{raters_sign:.1%}",
        "correlation": "{r}",
        "of words": "{words_pearson:.3f}",
        "of half the raters": "{raters_pearson:.3f}",
        "at most": "{ceiling_pearson:.3f}",
        "records of": "{whose}",
    },
)

# %% [markdown]
# ### What a number format costs
#
# The same dense models, run by other engines in the formats that these compute in, one sentence at a time. A format
# counts as a rival of float32 elsewhere in this book if it costs at most one point of right signs and 0.01 of the
# correlation, on average over seeds and domains.

# %% tags=["hide-input"]
costs = losses(pd.concat([each.all("rating") for each in Frames(study.results, committed=RESULTS_ROOT).machines]))
table(
    costs.assign(label=costs["engine"].map(ENGINE_LABELS), verdict=costs["counts"].map({True: "yes", False: "no"})),
    {
        "engine": "{label}",
        "computes in": "{format}",
        "right signs lost": "{sign_accuracy:+.2%}",
        "correlation lost": "{pearson:+.4f}",
        "counts": "{verdict}",
    },
)

# %% [markdown]
# ## The task of the shapes
#
# A bag of words is what the encoder has to beat. If words alone gave the answer, pruning an encoder would cost nothing.

# %% tags=["hide-input"]
dense = where(judged, block="dense")
learnt = dense["record"].iloc[0]
sizes = {
    "labels": ", ".join(learnt["labels"]),
    "learn": sum(learnt["train_size"]),
    "judge": sum(learnt["test_size"]),
    "words": percent(share(dense, "baseline_hits"), 1),
    "dense": percent(share(dense), 1),
    "whose": labels([Frames(study.results)])[0],
}
table(
    [learnt | sizes],
    {
        "libraries": "{labels}",
        "texts to learn from": "{learn:,}",
        "texts to be judged by": "{judge:,}",
        "most frequent one": "{majority:.1%}",
        "bag of words": "{words}",
        "dense encoder": "{dense}",
        "records of": "{whose}",
    },
)

# %% [markdown]
# ## Accuracy against latency
#
# The same pruned weights, judged and timed. Dense engines are given pruned weights, too, and compute their zeros.

# %%
pareto(judged, timed, scope=scope)

# %% tags=["hide-input"]
fast = acceptable(judged, timed).merge(pruned, on=PRUNING)
rivals = [(dense_beside(record, timed), record) for record in fast["record"]]
fast["over"] = [times(ratio(*pair)) if pair[0] else "" for pair in rivals]
table(
    fast,
    {
        "models that lose at most two points, the fastest first": "{block}",
        "sparsity": "{sparsity:.0%}",
        "ms": "{ms:.2f}{remark}",
        "answers lost, points": "{loss}",
        "faster than the fastest dense engine": "{over}",
    },
)

# %% [markdown]
# ## How much sparsity a shape survives
#
# Some shapes are trained at several sparsities, if the profile asks for it. The intervals cover the choice of questions
# and, where there are several, of seeds: of the head, of dropout, and of the order in which examples are shown.

# %% tags=["hide-input"]
repeated = where(pruned, how=TRAINED)
repeated = repeated[repeated.groupby("sparsity")["block"].transform("nunique") > 1]
repeated = repeated[repeated.groupby("block")["sparsity"].transform("nunique") > 1]
table(
    repeated,
    {
        "block": "{block}",
        "sparsity": "{sparsity:.0%}",
        "seeds": "{seeds}",
        "right answers": "{answers}",
        "lost, points": "{loss}",
    },
)

# %% [markdown]
# ## Trained for blocks, or pruned at once and trained as long
#
# The control removes the weakest blocks at once and then takes the same number of steps, with the same teacher, on the
# same texts. Both answer the same questions, so they are compared question by question. Where the interval covers zero,
# it made no difference that the blocks went one after the other.

# %% tags=["hide-input"]
more = leads(judged, sparsity)
more["points"] = more["lead"].map(in_points)
table(
    where(more, how=AT_ONCE),
    {"block": "{block}", "more right answers than pruned at once, points": "{points}"},
)

# %% [markdown]
# ## Other algorithms
#
# They were given the same steps, and reach the same sparsity. The proximal method is the regularisation of the paper,
# made exact: after each step of the optimiser, every block shrinks by the same amount, and those that reach zero are
# pruned. How many more right answers does pruning by magnitude keep, question by question?

# %% tags=["hide-input"]
others = more[more["how"] != AT_ONCE].pivot(index="block", columns="how", values="points").fillna("not trained")
table(
    by_shape(others.reset_index()),
    {"block": "{block}"} | {f"more than by {name}, points": f"{{{name}}}" for name in others},
)

# %% [markdown]
# Embeddings are compared with the dense model's, too: the cosine of the two embeddings of a text, and whether pairs of
# texts keep their order of similarity.

# %% tags=["hide-input"]
ways = [TRAINED, AT_ONCE, *others]
table(
    pruned[pruned["sparsity"] == sparsity].sort_values("how", key=lambda how: how.map(ways.index), kind="stable"),
    {
        "block": "{block}",
        "how": "{how}",
        "seeds": "{seeds}",
        "right answers": "{answers}",
        "lost, points": "{loss}",
        "cosine": "{cosine:.3f}",
        "rank correlation": "{rank_correlation:.3f}",
    },
)

# %% [markdown]
# ## Blocks, or single weights stored in blocks
#
# An engine of blocks can run any mask: it stores each block that has a single weight in it. A mask of single weights
# then has to be far sparser to touch as few blocks. Here it is as sparse as a random mask would have to be, trained in
# the same way, and stored in the blocks of its rival. Masks that training found are less scattered than random ones, so
# the time is measured.

# %% tags=["hide-input"]
single = stored(judged, timed, sparsity)
table(
    single.assign(points=single["lead"].map(in_points), slower=single["ratio"].map(times)),
    {
        "stored in": "{block}",
        "single weights removed": "{sparsity:.1%}",
        "more right answers of the block-aware model, points": "{points}",
        "time of the other over its time": "{slower}{remark}",
    },
)

# %% [markdown]
# ## Do trained patterns run like random ones?
#
# Elsewhere in this book, BERT-base has random weights, so its patterns are those of chance. Here, MiniLM with trained
# patterns runs beside MiniLM with random ones. Each of its matrices has as many blocks in both.

# %% tags=["hide-input"]
alike = patterns(judged, timed, sparsity)
table(
    alike.assign(ratio=alike["ratio"].map(times)),
    {"block": "{block}", "time of trained over random patterns": "{ratio}{remark}"},
)

# %% [markdown]
# ## What this shows
#
# The taller the blocks, the fewer right answers are left, while latency hardly tells tall shapes apart. So accuracy
# decides among them, and it asks for the lowest block that is still fast.
#
# Where the table of other algorithms is above zero, pruning by magnitude kept more right answers. The proximal method
# of the paper shrinks the blocks that stay as well as those that go, in every step, and the steps here may be too few
# to grow them back.
#
# All runs are short. An algorithm that ends near the share of the most frequent label has lost its model, as movement
# did here in low blocks: it learns scores as well as weights, and may need more steps for both. Pruning at once leaves
# more steps to recover than pruning step by step; in longer runs that may matter less.
#
# How sure the order of two shapes is, the intervals say: they cover the choice of questions and, where there are
# several, of seeds. A ratio near one in the last table allows what the rest of the book does, to time patterns that no
# training made. A ratio away from one forbids it for that shape.
