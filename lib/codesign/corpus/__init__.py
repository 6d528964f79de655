"""Real English text without a network, and the tasks that accuracy is measured on."""

from codesign.corpus.sentences import sentences
from codesign.corpus.task import Example, Task, load_task

__all__ = ["Example", "Task", "load_task", "sentences"]
