"""Entities are those that spaCy finds, in whatever company a text is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UsageError
from tasks.anonymization.free_text.entity_model import (
    BATCH,
    LONGEST,
    cut_into_batches,
    load_entity_model,
    load_pipeline,
)

TEXTS = [
    "Dr. Sarah Thompson of Springfield General Hospital called Anna in New York on 3 May 2019.",
    "",
    " \n ",
    "No entity here",
    "Berlin",
    "They can't pay $40 million to Deutsche Bank by Tuesday, said José Álvarez.\n\nLondon",
]


def find(texts: list[str]) -> list[list[tuple[int, int, str]]]:
    """Find the entities of one batch of texts."""
    found = load_entity_model("en").find([texts])[0]
    return [[(one.start, one.end, one.label) for one in each] for each in found]


def find_by_spacy(texts: list[str]) -> list[list[tuple[int, int, str]]]:
    """Find them as spaCy does."""
    documents = load_pipeline("en").pipe(texts, disable=["lemmatizer"])
    return [[(e.start_char, e.end_char, e.label_) for e in each.ents] for each in documents]


def test_the_entities_are_those_of_spacy() -> None:
    """The batched computation gives what spaCy's own gives, and something at all."""
    found = find(TEXTS)
    assert found == find_by_spacy(TEXTS)
    assert {label for each in found for _, _, label in each} >= {"PERSON", "GPE", "DATE", "ORG"}


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                [
                    "Anna",
                    "Smith",
                    "of",
                    "Paris",
                    "and",
                    "the",
                    "U.S.",
                    "Army",
                    ",",
                    "paid",
                    "$",
                    "12",
                    "on",
                    "May",
                    "3",
                ]
            ),
            max_size=12,
        ).map(" ".join),
        min_size=1,
        max_size=4,
    )
)
def test_any_batch_gives_spacys_entities(texts: list[str]) -> None:
    """Whatever the words and the company, the findings are spaCy's."""
    assert find(texts) == find_by_spacy(texts)


def test_batches_depend_on_the_texts_alone() -> None:
    """Order and repetition change no batch; none is too large."""
    texts = [f"text {number} " + "long " * (number % 7) for number in range(3 * BATCH)]
    batches = cut_into_batches(texts)
    assert batches == cut_into_batches([*reversed(texts), *texts])
    assert sorted(text for batch in batches for text in batch) == sorted(texts)
    assert max(map(len, batches)) == BATCH


def test_long_texts_are_read_a_few_at_a_time() -> None:
    """A batch holds no more characters than memory allows, or a single text."""
    texts = [letter * LONGEST for letter in "abc"]
    assert list(map(len, cut_into_batches(texts))) == [1, 1, 1]


def test_a_language_without_model_is_refused() -> None:
    """What would have to be downloaded is asked for instead."""
    with pytest.raises(UsageError, match=r"'de' needs its model.*de_core_news_sm"):
        load_entity_model("de")
