"""Fine-tuning with a teacher while weights are pruned: seeded, resumable, and the same on every run of a machine."""

from codesign.train.baseline import bag_of_words
from codesign.train.evaluate import Fidelity, fidelity, hits
from codesign.train.recipe import Recipe
from codesign.train.run import Pruning, Setting, Trained, identity, train_dense, train_pruned

__all__ = [
    "Fidelity",
    "Pruning",
    "Recipe",
    "Setting",
    "Trained",
    "bag_of_words",
    "fidelity",
    "hits",
    "identity",
    "train_dense",
    "train_pruned",
]
