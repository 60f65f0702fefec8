"""`tutela explain`: every name that a check or a refusal can have is explained, and found.

The names are collected from the code itself, so that a new check without a text fails here.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from deployments import explain as explaining
from deployments.cli import app
from expectations.coherence.rules import RULES
from expectations.errors import UsageError
from expectations.explanations import (
    RULES_OF_CHECK,
    find_alike,
    find_explanation,
    read_explanations,
    rule_sentences,
    say_how_to_explain,
)
from expectations.gx.suites import word
from expectations.policy.privacy_models import PrivacyModel
from tasks.account.summary import summarize
from tests.expectations.policy.rich_policies import RICH, read
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    RUN,
    make_entries,
    make_policy,
    make_record,
    note_check,
)
from tests.runs import say

ROOT = Path(__file__).parents[2]
FOLDERS = ("expectations", "ledgers", "tasks", "flows", "deployments", "tutela")
KINDS = tuple(form.model_fields["kind"].default for form in get_args(get_args(PrivacyModel)[0]))
VALUE_RULES = read(RICH).expectations
NAMED_ELSEWHERE = {
    ("expectations/gx/suites.py", "words.name"): [word(rule).name for rule in VALUE_RULES],
    ("expectations/checks.py", "failed[0].name"): [],
    ("expectations/gx/table_promises.py", "f'{kind} of {column} in {outlet}'"): [
        f"{kind} of illness in partner" for kind in KINDS
    ],
    ("deployments/approvals/screen.py", "summary.stopped_by or APPROVAL"): [
        "approval",
        "legal basis",
    ],
    ("ledgers/signed_heads.py", "ledger"): ["consent ledger", "budget ledger"],
    ("tasks/attack/risk.py", "f'{name} from {outlet}'"): [
        f"{attack} from partner" for attack in ("singling out", "linking", "inferring illness")
    ],
}
"""Names that are made of variables, each with what they can be; `[]`: a check's own name."""


def calls() -> Iterator[tuple[Path, ast.expr]]:
    """Give every expression that names a check or a refusal, with its file."""
    for file in (file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Check", "Refusal"}:
                named = [each.value for each in node.keywords if each.arg in {"name", "check"}]
                yield file, (named or node.args)[0]
            if isinstance(node, ast.ClassDef) and "Refusal" in map(ast.unparse, node.bases):
                made = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
                kinds = [one for one in made if ast.unparse(one.func) == "super().__init__"]
                assert kinds, f"{file}: {node.name} names no check"
                yield from ((file, one.args[0]) for one in kinds)


def names() -> Iterator[tuple[str, str]]:
    """Give every name that the code can make, with where it is made."""
    for file, made in calls():
        place, text = file.relative_to(ROOT).as_posix(), ast.unparse(made)
        if (place, text) in NAMED_ELSEWHERE:
            yield from ((name, place) for name in NAMED_ELSEWHERE[place, text])
        elif text.endswith(".check"):
            continue  # a refusal that was caught and is raised again
        elif isinstance(made, ast.Constant):
            yield made.value, place
        elif isinstance(made, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "partner" for p in made.values)
            yield "".join(map(str, parts)), place
        else:
            module = importlib.import_module(place.removesuffix(".py").replace("/", "."))
            constant = getattr(module, text, None)
            assert isinstance(constant, str), f"{place}: what can `{text}` be? say it here"
            yield constant, place


NAMES = sorted(set(names()))


@pytest.mark.parametrize(("name", "place"), NAMES)
def test_every_name_in_the_code_is_explained(name: str, place: str) -> None:
    """No refusal leaves whoever met it without words."""
    assert find_explanation(name) is not None, (
        f"expectations/explanations.yaml: write `{name}` there, which {place} can say"
    )


def test_the_names_are_found_in_the_code() -> None:
    """The collection itself works: it holds names of each way of writing one."""
    found = {name for name, _ in NAMES}
    assert len(found) > 50
    assert {"legal basis", "privacy budget", "k-anonymity", "k-anonymity of partner"} <= found


def test_nothing_is_explained_that_cannot_be_met() -> None:
    """A text whose check was renamed or taken out would mislead."""
    rules = {rule.__name__.replace("_", " ") for rule in RULES}
    met = {one.name for name, _ in NAMES if (one := find_explanation(name))}
    for one in read_explanations().values():
        assert one.name in (rules if one.group == RULES_OF_CHECK else met)


def test_a_rules_words_are_words_of_its_messages() -> None:
    """What stands under a rule as its message can be pasted from what `check` printed."""
    source = "\n".join(f.read_text("utf-8") for f in (ROOT / "expectations").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", source)
    for one in read_explanations().values():
        for form in one.printed if one.group == RULES_OF_CHECK else ():
            assert form in said, f"{one.name}: {form}"


def test_every_part_is_told_in_whole_sentences() -> None:
    """Each part ends as a sentence does; a source is a reference and may not."""
    for one in read_explanations().values():
        for part in (one.means, one.matters, one.measured, one.blind, one.helps):
            assert part.endswith("."), (one.name, part)
            assert len(part) < 420
        assert one.source


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tokens of card", "tokens of a column"),
        ("tokens of card in partner by counting", "tokens by counting"),
        ("tokens of card in partner against a dictionary", "tokens against a dictionary"),
        ("missing values of age", "missing values of a column"),
        ("crossings of partner", "crossings"),
        ("K-Anonymity of partner", "k-anonymity"),
        ("audit of epsilon", "audit of ε"),
        ("`mask` lets an identifier pass; use drop", "identifiers never pass"),
    ],
)
def test_a_name_is_found_as_it_is_printed(typed: str, meant: str) -> None:
    """Of several forms that fit, the most exact one is meant."""
    found = find_explanation(typed)
    assert found is not None
    assert found.name == meant


def test_a_slip_is_answered_with_what_may_be_meant() -> None:
    """A beginning that is unique is enough; a misspelling is asked about."""
    assert "k-anonymity (tables)" in say("explain", "k-anon").out
    said = say("explain", "memorisation")
    assert (said.status, said.out) == (2, "")
    assert "did you mean: memorization?" in said.err
    assert find_alike("membership inference w") == ["membership inference within groups"]
    assert "`tutela explain` lists all names" in say("explain", "xyzzy").err


def test_rules_without_a_text_of_their_own_are_told_by_their_sentence() -> None:
    """Every rule of `check` can be asked for, by its name with blanks or underlines."""
    for name, sentence in rule_sentences().items():
        assert sentence
        for typed in (name, name.replace(" ", "_")):
            told = explaining.explain_name(typed)
            assert told.found["name"] == name


def test_the_screen_fits_and_the_json_holds_the_same() -> None:
    """All parts are told, within 80 columns, of all and of one."""
    everything = say("explain")
    assert everything.status == 0
    assert max(map(len, everything.out.splitlines())) <= 80
    for name in read_explanations():
        one = say("explain", name)
        assert max(map(len, one.out.splitlines())) <= 80, name
        assert [p for p in explaining.PARTS.values() if f"  {p} " not in one.out] == [], name
    found = json.loads(say("explain", "t-closeness", "--json").out)
    assert found["source"].startswith("Li, Li and Venkatasubramanian")


def test_the_command_that_is_offered_explains_the_very_check() -> None:
    """What the screen says to type is understood."""
    for name, _ in NAMES:
        typed = re.fullmatch(r'tutela explain "(.*)"', say_how_to_explain(name))
        assert typed
        assert find_explanation(typed[1]) == find_explanation(name)


def test_a_run_is_explained_by_what_stopped_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a refused run every check that stopped it is explained, and no other."""
    reason = "refused: membership inference: it shows; inconclusive: memorization: unclear"
    notes = (
        note_check("membership inference", "refused"),
        note_check("memorization", "inconclusive"),
        note_check("values of age", "passed"),
        ("decision", "refused", {"reason": reason, "check": "membership inference"}),
    )
    record = make_record("refused")
    summary = summarize(record, make_policy(), make_entries(*GATHERED, *notes))
    monkeypatch.setattr(explaining, "summary_of", lambda _: summary)
    told = explaining.explain_run(RUN)
    assert [one["name"] for one in told.found["explanations"]] == [  # type: ignore[index, union-attr, call-overload]  # JSON
        "membership inference",
        "memorization",
    ]


def test_words_of_a_message_of_check_are_explained() -> None:
    """Also of rules that have no text of their own, and with a policy's values around them."""
    for typed in (
        "asks for safeguards",
        "eu-gdpr:A9-2-j asks for safeguards (Art. 9(3), 89(1) GDPR)",
    ):
        told = explaining.explain_name(typed)
        assert told.found["name"] == "safeguards are laid down"


def test_an_inconclusive_check_of_a_run_says_what_it_lacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it could have found, where nothing stopped the run."""
    entries = make_entries(*GATHERED, note_check("memorization", "inconclusive"), PASSED)
    summary = summarize(make_record("passed"), make_policy(), entries)
    monkeypatch.setattr(explaining, "summary_of", lambda _: summary)
    assert "memorization power" in " ".join(" ".join(explaining.explain_run(RUN).lines).split())


def test_a_run_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """Digits ask for a run; without a home that is what is said."""
    said = say("explain", "20261124", TUTELA_HOME=str(tmp_path / "none"))
    assert said.status == 2
    assert "tutela init" in said.err
    with pytest.raises(UsageError, match="lists all names"):
        explaining.explain_name("")


def test_the_page_of_refusals_is_made_from_the_texts() -> None:
    """After a change of the texts it is made anew: python docs/make_reference.py."""
    file = ROOT / "docs" / "make_reference.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "refusals.md").read_text("utf-8")
    assert module.renew(written, module.refusal_lines) == written


def test_every_command_that_a_text_names_is_one() -> None:
    """What is advised can be typed."""
    known = set(every_command(get_command(app)))
    for one in read_explanations().values():
        for named in re.findall(r"`tutela ([a-z ]+)", one.helps):
            assert tuple(named.split()) in known, (one.name, named)


def every_command(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give every command and every group as its words."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from every_command(child, (*path, name))
