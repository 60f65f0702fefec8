"""Tokens as an expectation: a dictionary and counting are tried, and no token is in a result."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from expectations.gx.quiet_validation import quiet
from tests.expectations.gx import expectation_batches as batches

NAMES = [f"person {number}" for number in range(40)]
PLAIN = [hashlib.sha256(name.encode()).hexdigest() for name in NAMES]
KEYED = [hmac.digest(b"secret", name.encode(), "sha256").hex() for name in NAMES]


def not_reversed_by(**arguments: Any) -> Any:
    """Make the expectation."""
    with quiet():
        from expectations.custom_expectations import ExpectColumnNotToBeReversedBy

        return ExpectColumnNotToBeReversedBy(column="token", **arguments)


def dictionary(folder: Path, *names: str) -> str:
    """Write a dictionary."""
    path = folder / "names.txt"
    path.write_text("\n".join(names), encoding="utf-8")
    return str(path)


def table(tokens: list[str]) -> pd.DataFrame:
    """Two rows of each token, and one without any."""
    return pd.DataFrame({"token": [*tokens, *tokens, None]})


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_plain_hashes_are_refused_and_keyed_ones_pass(engine: str, tmp_path: Path) -> None:
    """Half of the people are in the dictionary: half of the rows with a token are turned back."""
    asked = not_reversed_by(dictionary=dictionary(tmp_path, *NAMES[:20]))
    (plain,) = batches.run(table(PLAIN), [asked], tmp_path, engine)
    (keyed,) = batches.run(table(KEYED), [asked], tmp_path, engine)

    assert (plain["success"], keyed["success"]) == (False, True)
    assert plain["result"]["observed_value"] == 0.5
    assert plain["result"]["reversed_by_dictionary"] == 40
    assert plain["result"]["element_count"] == 80


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_few_repeated_values_are_guessed_by_counting(engine: str, tmp_path: Path) -> None:
    """A key does not help where 700, 200 and 100 of 1,000 rows have the same value."""
    tokens = pd.DataFrame({"token": [KEYED[0]] * 700 + [KEYED[1]] * 200 + [KEYED[2]] * 100})
    nobody = dictionary(tmp_path, "nobody")
    asked = not_reversed_by(dictionary=nobody, frequencies=[0.7, 0.2, 0.1], max_share=0.5)
    (found,) = batches.run(tokens, [asked], tmp_path, engine)

    assert found["success"] is False
    assert found["result"]["observed_value"] == 1
    assert found["result"]["guessed_by_frequency"] == 1000
    assert found["result"]["reversed_by_dictionary"] == 0


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_no_token_and_no_candidate_is_in_any_result(engine: str, tmp_path: Path) -> None:
    """Counts only, whatever is asked for."""
    names = dictionary(tmp_path, *NAMES)
    asked = [not_reversed_by(dictionary=names), not_reversed_by(dictionary=names + ".gone")]
    made = batches.render(table(PLAIN), asked, tmp_path, engine)
    for result_format in batches.FORMATS:
        made += str(batches.run(table(PLAIN), asked, tmp_path, engine, result_format))

    assert not [word for word in (*PLAIN, *NAMES) if word in made]
    assert "names.txt.gone cannot be read" in made


def test_a_share_that_is_allowed_is_allowed(tmp_path: Path) -> None:
    """One of forty people is in the dictionary."""
    names = dictionary(tmp_path, NAMES[0])
    asked = [not_reversed_by(dictionary=names, max_share=share) for share in (0.0, 0.024, 0.025)]

    found = batches.run(table(PLAIN), asked, tmp_path)
    assert [each["success"] for each in found] == [False, False, True]


def test_a_column_without_tokens_shows_nothing(tmp_path: Path) -> None:
    """Where there is nothing to attack, nothing was shown."""
    asked = not_reversed_by(frequencies=[0.5])
    (found,) = batches.run(pd.DataFrame({"token": [None, None]}), [asked], tmp_path)

    assert found["success"] is False


@pytest.mark.parametrize(
    "arguments", [{}, {"frequencies": []}, {"frequencies": [0.8, 0.8]}, {"frequencies": [0.0]}]
)
def test_an_expectation_that_tries_nothing_is_not_accepted(arguments: dict[str, Any]) -> None:
    """A dictionary, or shares that can be shares, must be given."""
    with pytest.raises(ValueError, match=r"name a dictionary|frequencies are shares"):
        not_reversed_by(**arguments)
