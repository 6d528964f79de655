import pytest

from codesign.corpus import sentences
from codesign.errors import InputError


def test_a_longer_draw_starts_with_the_shorter_one() -> None:
    assert sentences(50)[:5] == sentences(5)


def test_sentences_are_distinct_prose() -> None:
    drawn = sentences(500)
    assert len(set(drawn)) == 500
    assert all(sentence[0].isupper() and sentence[-1] in ".?!" and len(sentence.split()) > 8 for sentence in drawn)
    assert not any("`" in sentence or ">>>" in sentence or "  " in sentence for sentence in drawn)


@pytest.mark.parametrize("count", [0, -1, 10**6])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=r"expected 1 to \d+; did you mean \d+"):
        sentences(count)
