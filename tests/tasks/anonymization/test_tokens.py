"""Tokens: keyed, one spelling, read back where asked, refused where counting undoes them."""

from __future__ import annotations

import hmac
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Published
from expectations.policy.vocabulary import CheckVerdict
from ledgers.home.keys import derive_key
from tasks.anonymization.token_counts import judge_tokens, undone_by_counting
from tasks.anonymization.tokens import decrypt_identifiers, encrypt_identifiers, tokenize

KEY, OTHER = b"k" * 32, b"z" * 32
texts = st.lists(st.none() | st.text(), max_size=6)


def column(values: list[str | None]) -> pa.ChunkedArray:
    """Give values as a column that comes in two pieces."""
    middle = len(values) // 2
    pieces = [pa.array(part, pa.large_string()) for part in (values[:middle], values[middle:])]
    return pa.chunked_array(pieces, pa.large_string())


@given(texts)
def test_a_token_is_the_hmac_of_the_composed_text(values: list[str | None]) -> None:
    """RFC 2104 by Python's own library: 16 bytes of it, as hex digits."""
    expected = [
        text
        if text is None
        else hmac.digest(KEY, unicodedata.normalize("NFC", text).encode(), "sha256")[:16].hex()
        for text in values
    ]
    assert tokenize(column(values), KEY).to_pylist() == expected


@given(texts)
def test_a_reversible_token_reads_back(values: list[str | None]) -> None:
    """As the composed text; by its own key only."""
    made = encrypt_identifiers(column(values), KEY).to_pylist()
    tokens = [token for token in made if token is not None]
    known = [unicodedata.normalize("NFC", text) for text in values if text is not None]
    assert [token is None for token in made] == [text is None for text in values]
    assert decrypt_identifiers(tokens, KEY) == known
    assert decrypt_identifiers(tokens, OTHER) == [None] * len(known)


def test_a_reversible_token_is_aes_siv_of_the_padded_text() -> None:
    """RFC 5297 over PKCS #7, written out: equal texts are equal, and lengths show in steps."""
    padder = PKCS7(128).padder()
    padded = padder.update(b"Ada") + padder.finalize()
    expected = AESSIV(derive_key(KEY, "reversible-token", 64)).encrypt(padded, None).hex()
    made = encrypt_identifiers(column(["Ada", "Ada", "a" * 15, "a" * 16]), KEY).to_pylist()
    assert made[:2] == [expected, expected]
    assert [len(token) for token in made] == [64, 64, 64, 96]


@pytest.mark.parametrize("token", ["", "00", "zz", "0" * 64, "é"], ids=ascii)
def test_what_is_no_token_is_none(token: str) -> None:
    """Nothing is guessed, and nothing breaks."""
    assert decrypt_identifiers([token], KEY) == [None]


def test_only_the_unicode_form_is_mended() -> None:
    """Another case or a trailing space is another identifier."""
    made = tokenize(column(["é", "e\u0301", "É", "é "]), KEY).to_pylist()
    assert made[0] == made[1]
    assert len(set(made)) == 3


UNIQUE: list[str | None] = [f"t{n}" for n in range(100)]


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        pytest.param([], 0, id="nobody"),
        pytest.param(UNIQUE, 0, id="unique"),
        pytest.param([None] * 30, 0, id="all-missing"),
        pytest.param([*UNIQUE, *["a"] * 11], 0, id="too-few-to-stand-out"),
        pytest.param([*UNIQUE, *["a"] * 12], 12, id="one-stands-out"),
        pytest.param([*UNIQUE, None, *["a"] * 12, None], 12, id="missing-between"),
        pytest.param(["f"] * 30 + ["m"] * 30, 60, id="two-as-frequent"),
        pytest.param(["f"] * 12, 12, id="one-value"),
        pytest.param([f"h{n // 4}" for n in range(400)], 0, id="households"),
        pytest.param([f"town{n // 20}" for n in range(400)], 400, id="all-shared"),
        pytest.param(
            [f"t{n}" for n in range(400)] + [f"name{n // 12}" for n in range(240)],
            0,
            id="twenty-names-alike",
        ),
        pytest.param(
            [f"t{n}" for n in range(400)] + [f"name{n // 12}" for n in range(96)],
            96,
            id="eight-names-alike",
        ),
    ],
)
def test_counting_undoes_what_few_values_share(tokens: list[str | None], told: int) -> None:
    """Twelve people stand out among unique ones; ten tokens as frequent hide each other."""
    marked = undone_by_counting(pa.chunked_array([pa.array(tokens, pa.large_string())]))
    assert int(marked.sum()) == told
    assert not any(token is None for token, hit in zip(tokens, marked, strict=True) if hit)


def test_the_order_of_rows_decides_nothing() -> None:
    """The same people are marked however they come."""
    tokens = np.array([*UNIQUE, *["a"] * 40, *["b"] * 15])
    order = np.random.default_rng(3).permutation(len(tokens))
    marked = undone_by_counting(pa.array(tokens))
    assert (undone_by_counting(pa.array(tokens[order])) == marked[order]).all()


@pytest.mark.parametrize(
    ("known", "found", "verdict"),
    [
        (100, True, CheckVerdict.REFUSED),
        (100, False, CheckVerdict.PASSED),
        (11, False, CheckVerdict.WARNED),
    ],
)
def test_a_check_that_could_not_fail_does_not_pass(
    known: int, found: bool, verdict: CheckVerdict
) -> None:
    """Among eleven values none could have stood out."""
    check = judge_tokens("mail", known, found, Published(None, 10))
    assert check.verdict is verdict
    assert check.name == "tokens of mail"
