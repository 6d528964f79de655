"""Rated sentences: read in place, divided by their text, and how well raters agree."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from codesign.corpus import reviews
from codesign.corpus.reviews import AMAZON, MOVIES, Review, raters, split
from codesign.corpus.task import load_task
from codesign.errors import InputError

ROOT = Path(__file__).parents[2]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(content)
    archive.addfile(about, io.BytesIO(content))


def pack(path: Path, domains: dict[str, list[tuple[str, str]]]) -> Path:
    """Write an archive like the real one: domain -> texts, each with its ratings."""
    inner, outer = io.BytesIO(), path / reviews.ARCHIVE.name
    with tarfile.open(fileobj=inner, mode="w:gz") as archive:
        for domain, rows in domains.items():
            texts = [f"1_{n}\t0.123\t{text}\r\n" for n, (text, _) in enumerate(rows)]
            given = [f"1_{n}\t0.123\t1.0\t{ratings}\r\n" for n, (_, ratings) in enumerate(rows)]
            for what, lines in (("GroundTruth", texts), ("anonDataRatings", given)):
                name = f"hutto_ICWSM_2014/{reviews._FILES[domain]}_{what}.txt"
                add(archive, name, "".join(lines).encode("utf-8-sig"))
    with tarfile.open(outer, "w:gz") as archive:
        folder = reviews.ARCHIVE.name.removesuffix(".tar.gz")
        add(archive, f"{folder}/additional_resources/hutto_ICWSM_2014.tar.gz", inner.getvalue())
    return outer


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    def given(domains: dict[str, list[tuple[str, str]]]) -> None:
        monkeypatch.setattr(reviews, "ARCHIVE", pack(tmp_path, domains))
        reviews.reviews.cache_clear()

    yield given
    reviews.reviews.cache_clear()


def test_sentences_are_read_once_with_every_rating(use) -> None:
    rows = [
        ("A  dull\u2028 film", "[-1, -2]"),
        ("caf\xe9 noir", "[1, -1, 0]"),
        ("a DULL \u2028film", "[4]"),
        ("x", "[3]"),
    ]
    use({MOVIES: rows, AMAZON: [("Sturdy.", "[2, 1]")]})
    found = reviews.reviews(MOVIES)
    assert [(each.text, each.ratings) for each in found] == [
        *(("A dull film", (-1, -2)), ("caf\xe9 noir", (1, -1, 0)), ("x", (3,))),
    ]
    assert [each.rating for each in found] == [-1.5, 0.0, 3.0]
    assert reviews.reviews(AMAZON) == (Review("Sturdy.", (2, 1)),)


def test_an_archive_that_is_not_there_is_named_with_the_command(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(reviews, "ARCHIVE", tmp_path / "none.tar.gz")
    reviews.reviews.cache_clear()
    with pytest.raises(InputError, match=r"task='reviews'.*none.tar.gz, which `make setup` brings"):
        load_task("reviews")


def test_the_side_of_a_sentence_follows_from_its_text() -> None:
    found = [Review(f"sentence {n}", (n % 9 - 4,)) for n in range(2000)]
    sides = split(found)
    assert sum(map(len, sides.values())) == 2000
    assert len(sides["test"]) == pytest.approx(380, abs=60)
    assert len(sides["dev"]) == pytest.approx(100, abs=40)
    fewer = split(found[::-2])
    assert all(set(fewer[side]) <= set(members) for side, members in sides.items())


def test_the_task_has_ratings_in_place_of_labels(use) -> None:
    use({MOVIES: [(f"film {n}", f"[{n % 9 - 4}, {n % 5 - 2}]") for n in range(300)]})
    task = load_task("reviews", train_each=50, test_each=20)
    assert task.rated
    assert (task.sizes(task.train), task.sizes(task.test)) == ([50], [20])
    whole = load_task("reviews")
    assert set(task.train) < set(whole.train)
    assert len({*whole.train, *whole.dev, *whole.test}) == 300
    assert any(example.label == 0.5 for example in whole.train)
    assert load_task("reviews", train_each=50, test_each=20).digest == task.digest != whole.digest


@pytest.mark.parametrize(("noise", "count"), [(1.0, 16), (2.0, 15)])
def test_the_ceiling_is_the_correlation_with_what_endlessly_many_raters_say(noise: float, count: int) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=3000)
    given = truth[:, None] + rng.normal(scale=noise, size=(3000, count))
    found = [Review("", tuple(row)) for row in given]
    half = count // 2
    expected = 1 / (1 + noise**2 / half)
    assert raters(found).pearson == pytest.approx(expected, abs=0.01)
    assert raters(found).ceiling == pytest.approx(np.corrcoef(truth, given.mean(1))[0, 1], abs=0.01)


def test_halves_that_agree_are_right_and_a_half_that_says_nothing_is_half_right() -> None:
    assert raters([Review("", (1, 1, 1)), Review("", (-2, -2, -2))]).sign == 1
    undecided = [Review("", (0, 3)), Review("", (-1, -1)), Review("", (2, 2))]
    assert raters(undecided).sign == pytest.approx(2.5 / 3, abs=0.2)


@pytest.mark.skipif(not reviews.ARCHIVE.exists(), reason="no rated sentences: make setup")
def test_the_pinned_archive_has_what_the_book_says() -> None:
    reviews.reviews.cache_clear()
    movies, amazon = reviews.reviews(MOVIES), reviews.reviews(AMAZON)
    assert 10_000 < len(movies) <= 10_605
    assert 3_500 < len(amazon) <= 3_708
    assert {len(each.ratings) >= 10 for each in (*movies, *amazon)} == {True}
    task = load_task("reviews")
    assert len(task.test) == pytest.approx(2000, abs=100)
    assert not {e.text for e in task.train} & {e.text for e in task.test}


def test_the_archive_is_pinned_with_its_hash() -> None:
    pin = (ROOT / "requirements-data.lock").read_text()
    name, _, version = reviews.ARCHIVE.name.removesuffix(".tar.gz").rpartition("-")
    assert pin.startswith(f"{name}=={version} --hash=sha256:")
