"""What words alone say: a bag of words that a real model has to beat."""

from __future__ import annotations

from codesign.corpus import Task


def bag_of_words(task: Task) -> str:
    """Answer a task by logistic regression on TF-IDF weights of words and pairs of words.

    It learns from ``task.train``, and it sees the same texts as the encoder.

    Returns
    -------
    str
        Right answers to ``task.test``, as `codesign.train.evaluate.hits` marks them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # seconds, that a reader of records is spared
    from sklearn.linear_model import LogisticRegression

    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    learner = LogisticRegression(C=10.0, max_iter=1000)
    learner.fit(words.fit_transform([example.text for example in task.train]), [e.label for e in task.train])
    answers = learner.predict(words.transform([example.text for example in task.test]))
    return "".join("1" if answer == e.label else "0" for answer, e in zip(answers, task.test, strict=True))
