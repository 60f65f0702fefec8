"""Free text is reduced: what can be found goes, what is the row's own goes for certain."""

import socket
import subprocess
import sys
from typing import NoReturn

import pytest
import tldextract.tldextract as suffixes
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError, UsageError
from tasks.anonymization import text as room
from tasks.anonymization.text import ENTITIES, reduce_texts, residual_identifiers

NOTE = (
    "Seen by Dr. Sarah Thompson. MRN 4471882, DOB 03/04/1951, 94yo. Lives at 12 Elm Street, "
    "IL 62704. Call (212) 555-0187 or write to s.miller@ward7.local."
)


def reduce_one(text: str, *known: str) -> str:
    """Reduce one text, given the row's own identifiers."""
    return str(reduce_texts([text], known=[known])[0])


@pytest.mark.parametrize(
    ("planted", "placeholder"),
    [
        pytest.param("Thompson", "<PERSON>", id="name"),
        pytest.param("555-0187", "<PHONE_NUMBER>", id="phone"),
        pytest.param("miller", "<EMAIL_ADDRESS>", id="e-mail"),
        pytest.param("4471882", "MRN <MEDICAL_RECORD_NUMBER>", id="record number"),
        pytest.param("1951", "<DATE_OF_BIRTH>", id="date of birth"),
        pytest.param("94", "<AGE>", id="age over 89"),
        pytest.param("Elm", "<STREET_ADDRESS>", id="address"),
        pytest.param("62704", "<ZIP_CODE>", id="zip"),
    ],
)
def test_an_identifier_in_a_note_is_replaced_by_its_kind(planted: str, placeholder: str) -> None:
    """Each kind of identifier planted in a note is gone, and its kind stands there."""
    reduced = reduce_one(NOTE)
    assert planted not in reduced
    assert placeholder in reduced


def test_clinical_content_stays() -> None:
    """A note without identifiers is left as it is: doses and results are no identifiers."""
    note = "Started on metformin 500 mg; blood pressure stable."
    assert reduce_one(note) == note


def test_missing_stays_missing_and_order_is_kept() -> None:
    """A missing text is no text, and a repeated one is answered each time."""
    texts = ["no complaint", None, "", "no complaint"]
    assert reduce_texts(texts) == texts
    assert reduce_texts([]) == []


@pytest.mark.parametrize(
    ("text", "own"),
    [
        pytest.param("told HOLLOWAY to rest", "Grace Holloway", id="capitals"),
        pytest.param("grace was told to rest", "Holloway, Grace", id="lower case"),
        pytest.param("ALVAREZ rests", "José Álvarez", id="accents"),
        pytest.param("Jose\u0301 rests", "José", id="combining accent"),
        pytest.param("O\u2019Neil rests", "O'Neil", id="apostrophe"),
        pytest.param("left 212.555.0187 as contact", "+1 (212) 555-0187", id="phone"),
        pytest.param("user g.holloway logged in", "g.holloway@ward7.local", id="mailbox"),
        pytest.param("file RX88231 closed", "rx-88231", id="code"),
    ],
)
def test_the_rows_own_identifier_is_found_however_written(text: str, own: str) -> None:
    """What no generic tool can know is found, because it is the row's own."""
    reduced = str(reduce_texts([text], entities=[], known=[[own]])[0])
    assert reduced.count("<IDENTIFIER>") == 1
    assert "\u0301" not in reduced
    assert residual_identifiers([reduced], [[own]]) == 0


def test_another_rows_identifier_is_not_searched_for() -> None:
    """Each text is searched for its own row's identifiers, as whole words only."""
    texts = ["ann and bob", "bob and annual"]
    reduced = reduce_texts(texts, entities=[], known=[["Bob"], ["Ann"]])
    assert reduced == ["ann and <IDENTIFIER>", "bob and annual"]


@given(
    name=st.text(st.characters(categories=["L"]), min_size=1, max_size=12),
    around=st.lists(st.text("ab .,-\u00ad\u0301ß<>_", max_size=6), min_size=2, max_size=2),
)
def test_an_own_identifier_never_survives(name: str, around: list[str]) -> None:
    """Whatever the name's letters and surroundings, the separate check finds nothing left."""
    text = f"{around[0]} {name.upper()} {around[1]}"
    reduced = reduce_texts([text], entities=[], known=[[name]])
    assert residual_identifiers(reduced, [[name]]) == 0


@pytest.mark.parametrize(
    ("text", "own", "count"),
    [
        pytest.param("seen: HOLLOWAY.", "Grace Holloway", 1, id="a name's part"),
        pytest.param("phone 2125550187", "+1 (212) 555-0187", 1, id="a number's end"),
        pytest.param("at g.holloway@ward7.local", "g.holloway@ward7.local", 1, id="e-mail"),
        pytest.param("an annual visit", "Ann", 0, id="inside a word"),
        pytest.param("<PERSON> came", "Eva Person", 0, id="a placeholder"),
    ],
)
def test_the_check_counts_texts_that_still_tell(text: str, own: str, count: int) -> None:
    """The check sees what a reduction left, and is not misled by placeholders."""
    assert residual_identifiers([text, None], [[own], [own]]) == count


def test_only_the_wanted_entities_are_replaced() -> None:
    """A narrower wish leaves the other kinds alone."""
    (reduced,) = reduce_texts([NOTE], entities=["EMAIL_ADDRESS"])
    assert reduced == NOTE.replace("s.miller@ward7.local", "<EMAIL_ADDRESS>")


def test_each_kind_that_can_be_found_is_listed() -> None:
    """`ENTITIES` names what the recognizers and the model give, and nothing else."""
    kinds = {kind for each in room._recognizers() for kind in each.supported_entities}
    assert kinds | set(room._LABELS.values()) == set(ENTITIES)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"language": "de"}, "only 'en'", id="language"),
        pytest.param({"entities": ["PERSONS"]}, "PERSONS", id="entity"),
    ],
)
def test_what_cannot_be_reduced_is_refused(arguments: dict[str, object], error: str) -> None:
    """Another language or an unknown kind is named, not ignored."""
    with pytest.raises(UsageError, match=error):
        reduce_texts(["Anna"], **arguments)  # type: ignore[arg-type]  # parametrized


def test_a_text_too_long_for_the_model_is_counted_not_quoted() -> None:
    """The refusal says how many texts are too long, and hides a small number."""
    with pytest.raises(SourceError, match=r"^fewer than 10 texts exceed 1,000,000"):
        reduce_texts(["x" * 1_000_001])


def test_no_network_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading and reducing, e-mail addresses included, open no socket and look up no name."""
    attempts: list[str] = []

    def refuse(*_: object, **__: object) -> NoReturn:
        attempts.append("socket")
        raise OSError

    monkeypatch.setattr(suffixes, "TLD_EXTRACTOR", suffixes.TLDExtract(cache_dir=None))
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    room._recognizers.cache_clear()
    room._model.cache_clear()
    assert reduce_one("write to jane.doe@example.com") == "write to <EMAIL_ADDRESS>"
    assert attempts == []
    room._recognizers.cache_clear()  # the next use sets the extractor that monkeypatch takes back


def test_importing_the_room_loads_no_language_model() -> None:
    """Presidio and spaCy are loaded when the first text is reduced, not before."""
    heavy = "{'presidio_analyzer', 'spacy'}"
    code = f"import sys, tasks.anonymization.text; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
