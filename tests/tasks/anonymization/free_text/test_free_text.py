"""Free text is reduced: what can be found goes, what is the row's own goes for certain."""

import socket
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NoReturn

import pytest
import tldextract.tldextract as suffixes

from expectations.errors import SourceError, UsageError
from tasks.anonymization.free_text import entity_model
from tasks.anonymization.free_text import text as room
from tasks.anonymization.free_text.entity_model import load_entity_model, load_pipeline
from tasks.anonymization.free_text.model_findings import LABELS
from tasks.anonymization.free_text.text import ENTITIES, missing_models, reduce_texts

NOTE = (
    "Seen by Dr. Sarah Thompson. MRN 4471882, DOB 03/04/1951, 94yo. Lives at 12 Elm Street; "
    "moved from IL 62704. Call (212) 555-0187 or write to s.miller@ward7.local."
)


def reduce_one(text: str, *known: str) -> str:
    """Reduce one text, given the row's own identifiers."""
    return str(reduce_texts([text], known=[known])[0])


@pytest.mark.parametrize(
    ("planted", "placeholder"),
    [
        pytest.param("Thompson", "<PERSON_1>", id="name"),
        pytest.param("555-0187", "<PHONE_NUMBER>", id="phone"),
        pytest.param("miller", "<EMAIL_ADDRESS>", id="e-mail"),
        pytest.param("4471882", "MRN <MEDICAL_RECORD_NUMBER>", id="record number"),
        pytest.param("1951", "<DATE_OF_BIRTH>", id="date of birth"),
        pytest.param("94", "<AGE>yo", id="age"),
        pytest.param("Elm", "<STREET_ADDRESS>", id="address"),
        pytest.param("62704", "<ZIP_CODE>", id="zip"),
    ],
)
def test_an_identifier_in_a_note_is_replaced_by_its_kind(planted: str, placeholder: str) -> None:
    """Each kind of identifier planted in a note is gone, and its kind stands there."""
    reduced = reduce_one(NOTE)
    assert planted not in reduced
    assert placeholder in reduced


@pytest.mark.parametrize(
    "note",
    [
        "Started on metformin 500 mg; blood pressure stable.",
        "BP 120/80 mmHg, HR 72 bpm, RR 16, T 37.1 C, SpO2 98% on room air.",
        "Pain 7/10, improved to 3/10 after Percocet 5/325.",
        "WBC 12.3, Hgb 10.1, Hct 31.2, Plt 245.",
        "Echocardiogram: LVEF 55%, mild MR, trace TR, no pericardial effusion.",
        "Babinski negative, Romberg positive, Foley catheter in place.",
        "ANESTHESIA: General. Under anesthesia closed with 3-0 Vicryl, 16 French Foley placed.",
        "ANESTHESIA: Local. Ambulating x2. Heparin 5000 units q12h.",
        "Mon 132/84, Tue 128/80: average 130/82 over 3.5 weeks.",
        "The patient was intubated for 4 days and extubated last week.",
        "Refund of $49.99 was issued within 5 business days; would rate it 4/5.",
    ],
)
def test_clinical_content_stays(note: str) -> None:
    """Doses, results, scores, signs and durations are no identifiers."""
    assert reduce_one(note) == note


@pytest.mark.parametrize(
    ("text", "reduced"),
    [
        pytest.param(
            "James Hargreaves fell. Mr. Hargreaves and HARGREAVES agree.",
            "<PERSON_1> fell. <PERSON_1> and <PERSON_1> agree.",
            id="one person",
        ),
        pytest.param(
            "Mr. James Hargreaves met Mrs. Anna Hargreaves. Hargreaves left.",
            "<PERSON_1> met <PERSON_2>. <PERSON_3> left.",
            id="a surname that two share is a name of its own",
        ),
        pytest.param(
            "Dr. Morrison, Rogers and Torres agree.",
            "<PERSON_1>, <PERSON_2> and <PERSON_3> agree.",
            id="a list",
        ),
        pytest.param("Kowalczyk called Varvio.", "<PERSON_1> called <PERSON_2>.", id="unlisted"),
    ],
)
def test_a_person_keeps_one_number_in_a_text(text: str, reduced: str) -> None:
    """Other forms of a name get the same number as long as only one person fits."""
    assert reduce_one(text) == reduced


def test_neither_order_nor_processes_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in another order, or read by two processes, give the same texts."""
    monkeypatch.setattr(room, "GROUP", 1)
    monkeypatch.setattr(entity_model, "BATCH", 32)
    texts = [f"{NOTE} Visit {number} with Anna Kowalczyk." for number in range(100)]
    assert len(room.group_batches(texts)) > 2
    alone = reduce_texts(texts, processes=1)
    assert reduce_texts(texts[::-1], processes=1)[::-1] == alone
    assert reduce_texts(texts, processes=2) == alone


def test_a_further_process_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """What a reading process writes, from Python or below it, goes nowhere."""
    code = "import os; print('told'); os.write(2, b'told')"
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=room.be_silent) as pool:
        pool.submit(exec, code).result()
    assert capfd.readouterr() == ("", "")


def test_missing_stays_missing_and_order_is_kept() -> None:
    """A missing text is no text, and a repeated one is answered each time."""
    texts = ["no complaint", None, "", "no complaint"]
    assert reduce_texts(texts) == texts
    assert reduce_texts([]) == []


def test_only_the_wanted_entities_are_replaced() -> None:
    """A narrower wish leaves the other kinds alone."""
    (reduced,) = reduce_texts([NOTE], entities=["EMAIL_ADDRESS"])
    assert reduced == NOTE.replace("s.miller@ward7.local", "<EMAIL_ADDRESS>")


def test_each_kind_that_can_be_found_is_listed() -> None:
    """`ENTITIES` names what the recognizers and the model give, and nothing else."""
    kinds = {kind for each in room._recognizers(("en",)) for kind in each.kinds}
    assert kinds | set(LABELS.values()) == set(ENTITIES)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"languages": ("en", "xx")}, "text in xx cannot", id="language"),
        pytest.param({"entities": ["PERSONS"]}, "PERSONS", id="entity"),
    ],
)
def test_what_cannot_be_reduced_is_refused(arguments: dict[str, object], error: str) -> None:
    """Another language or an unknown kind is named, not ignored."""
    with pytest.raises(UsageError, match=error):
        reduce_texts(["Anna"], **arguments)  # type: ignore[arg-type]  # parametrized


def test_languages_without_a_model_are_named() -> None:
    """A check can ask before a run which of a policy's languages cannot be read."""
    assert missing_models(("xx", "en", "yy")) == ["xx", "yy"]


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
    load_pipeline.cache_clear()
    load_entity_model.cache_clear()
    assert reduce_one("write to jane.doe@example.com") == "write to <EMAIL_ADDRESS>"
    assert attempts == []
    room._recognizers.cache_clear()  # the next use sets the extractor that monkeypatch takes back


def test_importing_the_room_loads_no_language_model() -> None:
    """Presidio and spaCy are loaded when the first text is reduced, not before."""
    heavy = "{'presidio_analyzer', 'spacy'}"
    code = f"import sys, tasks.anonymization.free_text.text; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
