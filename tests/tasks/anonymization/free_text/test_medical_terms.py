"""Terms of medicine are told from names of people, and people go first."""

import pytest

from tasks.anonymization.free_text.medical_terms import is_medical, is_term, leave_out_medical
from tasks.anonymization.free_text.mentions import Span, take_whole_token
from tasks.anonymization.free_text.places import GIVEN_NAMES, WORDS_TOO
from tasks.anonymization.free_text.text import reduce_texts


def is_left(text: str, name: str) -> bool:
    """Tell whether a name in a text is a term."""
    start = text.index(name)
    return is_medical(text, start, start + len(name))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("takes Metformin", "Metformin"),
        ("Lucitinib was stopped", "Lucitinib"),  # no list has it: its stem speaks
        ("prescribed Zorvexa for pain", "Zorvexa"),  # nor this: the words around speak
        ("takes Aspirin, Zorvexa and Ibuprofen", "Zorvexa"),
        ("on Zorvexa 20 mg", "Zorvexa"),
        ("allergic to Aspirin and Zorvexa.", "Zorvexa"),
        ("Medications: Zorvexa, Aspirin", "Zorvexa"),
        ("has Parkinson's disease", "Parkinson"),
        ("has Crohn's, stable", "Crohn"),
        ("a Wells score of 2", "Wells"),
        ("the Zollinger-Ellison syndrome", "Zollinger-Ellison"),
        ("grew Candida albicans", "Candida"),
    ],
)
def test_medicines_and_discoverers_are_terms(text: str, name: str) -> None:
    """A list, a stem, a dose, the words around, or the word behind make it one."""
    assert is_left(text, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("takes Amanda, Bob and Carla to school", "Amanda"),
        ("allergic to Amanda.", "Amanda"),
        ("prescribed Kowalczyk amoxicillin", "Kowalczyk"),
        ("prescription for Kowalczyk, collected", "Kowalczyk"),
        ("takes Kowalczyk, Novak and Brandt home", "Novak"),
        ("Kowalczyk's test was negative", "Kowalczyk"),
        ("Novak's tumor was resected", "Novak"),
        ("said Parkinson yesterday", "Parkinson"),
        ("Metformin was discussed with Kowalczyk.", "Kowalczyk"),
        ("discussed statins, Kowalczyk agreed", "Kowalczyk"),
    ],
)
def test_people_in_the_same_places_are_none(text: str, name: str) -> None:
    """A given name, another's own, or a sentence that goes on keeps a person a person."""
    assert not is_left(text, name)


def test_no_given_name_is_a_term() -> None:
    """Neither lists nor stems let somebody pass who is called like a medicine."""
    assert [name for name in GIVEN_NAMES | WORDS_TOO if is_term(name)] == []


def test_of_listed_items_only_the_people_are_left_in_a_finding() -> None:
    """A finding over a whole list gives up the medicines and keeps the rest."""
    text = "Metformin, Kowalczyk and Lisinopril"
    assert [text[slice(*left)] for left in leave_out_medical(text, 0, len(text))] == ["Kowalczyk"]


def test_a_medication_list_stays_and_people_beside_it_do_not() -> None:
    """No medicine becomes a partner of a firm; a title outweighs an illness."""
    note = "Mr Parkinson takes Metformin, Xarelto and Lipitor for Parkinson's disease."
    assert reduce_texts([note, note.replace("Mr Parkinson", "He")]) == [
        "<PERSON_1> takes Metformin, Xarelto and Lipitor for <PERSON_1>'s disease.",
        note.replace("Mr Parkinson", "He"),
    ]


@pytest.mark.parametrize(
    ("text", "part", "whole"),
    [
        ("is Y820-9283-4432.", "Y820", "Y820-9283-4432"),
        ("is IN60SBK0001A,", "K0001", "IN60SBK0001A"),
        ("is 4471882 today", "4471882", "4471882"),
    ],
)
def test_no_number_is_cut_in_half(text: str, part: str, whole: str) -> None:
    """A finding of a number covers the token that it lies in, not the full stop behind it."""
    start = text.index(part)
    span = take_whole_token(text, Span(start, start + len(part), "RECORD_NUMBER", 0.5))
    assert text[span.start : span.end] == whole
