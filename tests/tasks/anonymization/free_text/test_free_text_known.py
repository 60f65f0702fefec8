"""The row's own identifiers are searched for by value, and the check of it is its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.anonymization.free_text.text import reduce_texts, residual_identifiers


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
        pytest.param("G. Holloway rests", "Grace Holloway", id="initial before"),
        pytest.param("Holloway, G. rests", "Grace Holloway", id="initial after"),
        pytest.param("Mueller rests", "Jörg Müller", id="umlaut spelled out"),
        pytest.param("Dr Li rests", "Wei Li", id="two letters with a capital"),
        pytest.param("born 3rd of April 1951", "1951-04-03", id="date in words"),
        pytest.param("born Apr 3, 1951", "1951-04-03 00:00:00", id="month first"),
        pytest.param("born 03/04/51", "1951-04-03", id="date in digits"),
        pytest.param("born 19510403 here", "1951-04-03", id="compact date"),
        pytest.param("born 1951-04-03", "03.04.1951", id="known in another order"),
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
        pytest.param("<PERSON_1> came", "Eva Person", 0, id="a placeholder"),
        pytest.param("on 3 April 1951", "1951-04-03", 1, id="date in words"),
        pytest.param("on 4/3/1951", "1951-04-03", 1, id="date in digits"),
        pytest.param("on 4 May 1951", "1951-04-03", 0, id="another date"),
    ],
)
def test_the_check_counts_texts_that_still_tell(text: str, own: str, count: int) -> None:
    """The check sees what a reduction left, and is not misled by placeholders."""
    assert residual_identifiers([text, None], [[own], [own]]) == count
