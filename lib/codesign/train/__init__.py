"""Fine-tuning with a teacher while weights are pruned: seeded, resumable, and the same on every run of a machine."""

from codesign.train.evaluate import Fidelity, bag_of_words, fidelity, hits
from codesign.train.recipe import Recipe
from codesign.train.run import Pruning, Setting, Trained, identity, train

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
    "train",
]
