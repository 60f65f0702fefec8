"""What the page on own code shows is so: its files, its policy and its refusal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from expectations.errors import PolicyError
from expectations.policy_file import PolicyFile, read_policy
from tasks.rehearsal.trial import load_checked_code
from tasks.training.models import build_estimator, declare_encoding, declare_model
from tests.conftest import small_policy

PAGE = Path(__file__).parents[3] / "docs" / "own-code.md"


def blocks(language: str) -> list[str]:
    """Give the page's code blocks of one language."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def written(folder: Path) -> PolicyFile:
    """Write the page's files into a folder, with the small policy as the page changes it."""
    for text in blocks("python"):
        (folder / text.partition("\n")[0].removeprefix("# ")).write_text(text, encoding="utf-8")
    derived, training = blocks("yaml excerpt")
    text = small_policy(
        ("training: {model: logistic-regression}\n", training),
        (
            "use: [feature, eligibility, release]",
            "use: [feature, eligibility, derivation, release]",
        ),
    )
    before, _, rest = text.partition("derived:\n")
    path = folder / "study.yaml"
    path.write_text(before + derived + "outlets:" + rest.partition("outlets:")[2], encoding="utf-8")
    return read_policy(str(path))


def test_the_policy_of_the_page_runs_with_its_files(tmp_path: Path) -> None:
    """Its function passes the trial, and its class is built with its parameters."""
    file = written(tmp_path)
    own = load_checked_code(file)
    assert set(own) == {"features.py:sick", "my_models.py:Calm"}
    model = build_estimator(declare_model(file.policy, own), declare_encoding(file.policy))
    assert model[-1].strength == 0.1


def test_a_function_that_looks_at_others_is_refused_in_the_words_of_the_page(
    tmp_path: Path,
) -> None:
    """With the number of the line and of the rows, which depend on policy and function."""
    file = written(tmp_path)
    features = tmp_path / "features.py"
    text = features.read_text(encoding="utf-8").replace(
        "limit = 6.0", "limit = rows['sugar'].mean()"
    )
    features.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load_checked_code(file)
    shown = " ".join(blocks("text")[1].split())
    said = str(refused.value).replace(f"{tmp_path}/", "")
    assert re.sub(r"\d+", "N", said) == re.sub(r"\d+", "N", shown)
