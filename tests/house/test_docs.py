"""What the documents say is so: commands exist, snippets work, links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from deployments.cli import app
from expectations.errors import PolicyError
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.locations import CsvFile, JsonLines
from expectations.policy.many_rows import ReadDates
from expectations.policy.plain_yaml import Plain, read_yaml
from expectations.policy.policy import Policy
from expectations.policy.treatments import TREATMENTS as KINDS
from expectations.policy.vocabulary import ConsentStatus, Use
from expectations.policy_file import parse_policy
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys
from tasks.consent.events import Setting
from tests.runs import passed
from tests.tasks.consent.read_events import read_batch

ROOT = Path(__file__).parents[2]
DOCS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("flows/*.md"))
    if path.stat().st_size
)
GUIDE = ROOT / "docs" / "policy.md"
TREATMENTS = ROOT / "docs" / "treatments.md"
CONSENT = ROOT / "docs" / "consent.md"
EXPORTS = ROOT / "docs" / "consent-exports.md"
REPORT = ROOT / "docs" / "report.md"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = ("columns", "derived", "outlets")
"""Where a part of a policy adds to what is there by name; elsewhere it takes its place."""

every_document = pytest.mark.parametrize(
    "page", DOCS, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def load_reference() -> ModuleType:
    """Import the script beside the documents."""
    file = ROOT / "docs" / "make_reference.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def snippets(page: Path, language: str) -> list[str]:
    """Give the fenced snippets of a page whose first line says so."""
    return [body for said, body in FENCE.findall(page.read_text("utf-8")) if said == language]


def read_part(text: str) -> dict[str, Plain]:
    """Read a part of a policy as plain values."""
    plain = read_yaml(text, "part")[1]
    assert isinstance(plain, dict)
    return plain


def put_in(whole: dict[str, Plain], part: dict[str, Plain]) -> dict[str, Plain]:
    """Put a part into a policy, as its reader would."""
    made = dict(whole)
    for key, value in part.items():
        held = whole.get(key)
        if key in NAMED and isinstance(held, dict) and isinstance(value, dict):
            made[key] = {**held, **value}
        else:
            made[key] = value
    return made


def commands_of(page: Path) -> Iterator[tuple[str, ...]]:
    """Give the `tutela …` commands that a page names, as words that are subcommands."""
    text = page.read_text("utf-8")
    lines = [line for body in FENCE.findall(text) for line in body[1].splitlines()]
    quoted = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    for line in (*lines, *quoted):
        for words in re.findall(r"(?:^|[ $(])tutela((?: [a-z][a-z-]*)+)", line):
            yield tuple(words.split())


@every_document
def test_every_command_that_is_named_exists(page: Path) -> None:
    """`tutela x` in a page is a command of the command line."""
    for words in commands_of(page):
        here = get_command(app)
        for word in words:
            inner = getattr(here, "commands", None)
            if inner is None:  # what follows is an argument
                break
            assert word in inner, f"{page.name}: tutela {' '.join(words)}"
            here = inner[word]


@every_document
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    """`make x` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = page.read_text("utf-8")
    named = set(re.findall(r"(?:`|^|[$(] ?)make ([a-z]+)", text, re.MULTILINE))
    assert named <= targets


@every_document
def test_links_between_files_lead_somewhere(page: Path) -> None:
    """A link to a file leads to one that is there, and one to a heading to a heading."""
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {target}"


@every_document
def test_files_that_are_named_are_there(page: Path) -> None:
    """A file of the project that stands in a sentence exists."""
    text = FENCE.sub("", page.read_text("utf-8"))
    named = re.findall(r"`([a-z_]+/[\w/.]+\.(?:py|md|yaml|json|toml|j2))`", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@every_document
def test_every_whole_policy_in_the_documents_parses(page: Path) -> None:
    """What stands in a page as a policy is one; parts are marked as parts."""
    for text in snippets(page, "yaml"):
        assert isinstance(parse_policy(text, page.name), Policy)


def composed(page: Path) -> Iterator[Policy]:
    """Put a page's parts into the guide's policy one after the other; give what each leaves."""
    (whole,) = snippets(GUIDE, "yaml")
    policy = read_part(whole)
    for part in snippets(page, "yaml part"):
        policy = put_in(policy, read_part(part))
        yield parse_policy(json.dumps(policy), part)


def files_shown(page: Path) -> dict[str, str]:
    """Give the files whose content a page shows: their name stands behind the language."""
    found = FENCE.findall(page.read_text("utf-8"))
    named = ((said.split(), body) for said, body in found)
    return {said[1]: body for said, body in named if len(said) == 2 and said[0] in {"csv", "json"}}


@every_document
def test_parts_fit_into_the_policy_of_the_guide(page: Path) -> None:
    """Put in one after the other, each part leaves a policy that can run."""
    names = [policy.name for policy in composed(page)]
    assert names == ["members"] * len(snippets(page, "yaml part"))
    assert names or page != GUIDE


@pytest.mark.parametrize("page", ["attacks", "budget", "legal-bases", "outlets"])
def test_excerpts_are_what_a_policy_may_say(page: str) -> None:
    """Put into the guide's policy with its model, each excerpt leaves one that has a good form."""
    (whole,), first = snippets(GUIDE, "yaml"), snippets(GUIDE, "yaml part")[0]
    policy = put_in(read_part(whole), read_part(first))
    excerpts = snippets(ROOT / "docs" / f"{page}.md", "yaml excerpt")
    assert excerpts
    for excerpt in excerpts:
        assert parse_policy(json.dumps(put_in(policy, read_part(excerpt))), excerpt)


def test_the_events_that_the_guide_shows_can_be_taken_in(tmp_path: Path) -> None:
    """Each file that it shows is read by the mapping above it, all rows in order."""
    keys, now = Keys(Home(tmp_path, Settings()), bytes(32)), datetime(2026, 7, 1, tzinfo=UTC)
    shown, read = files_shown(GUIDE), dict[str, list[ConsentStatus]]()
    for name, text in shown.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for basis in (policy.basis for policy in composed(GUIDE)):
        for source in basis.events if isinstance(basis, ConsentLedger) else ():
            assert isinstance(source.location, CsvFile | JsonLines)
            setting = Setting(tmp_path, basis.notices, keys, now)
            batch = read_batch(source, "basis.events", setting).batch
            said = [batch.terms[place].status for place in batch.table["terms"].to_pylist()]
            read[source.location.path] = said
    rows = {name: text.count("\n") - name.endswith(".csv") for name, text in shown.items()}
    assert {name: len(said) for name, said in read.items()} == rows
    assert read["export.csv"] == ["given", "refused", "withdrawn"]


def test_the_exports_of_consents_that_are_shown_can_be_taken_in(tmp_path: Path) -> None:
    """Each file is read by the mapping above it, with what the page says of it."""
    keys, now = Keys(Home(tmp_path, Settings()), bytes(32)), datetime(2026, 7, 1, tzinfo=UTC)
    read: dict[str, list[str]] = {}
    for name, text in files_shown(EXPORTS).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for basis in (policy.basis for policy in composed(EXPORTS)):
        assert isinstance(basis, ConsentLedger)
        for source in basis.events:
            assert isinstance(source.location, CsvFile | JsonLines)
            setting = Setting(tmp_path, basis.notices, keys, now)
            batch = read_batch(source, "e", setting).batch
            places = batch.table["terms"].to_pylist()
            read.setdefault(source.location.path, []).extend(
                str(batch.terms[place].status) for place in places
            )
    assert read == {
        "consents.json": ["given", "renewed", "withdrawn"],
        "transactions.csv": ["given", "given", "withdrawn"],
        "records.csv": ["given", "given", "withdrawn"],
    }


def test_the_days_that_a_policy_reads_are_written_as_the_page_of_tables_shows() -> None:
    """With the place at which they stand."""
    excerpts = snippets(ROOT / "docs" / "tables.md", "yaml excerpt")
    source = read_part(next(one for one in excerpts if "dates:" in one))["source"]
    assert isinstance(source, dict)
    assert ReadDates.model_validate(source["dates"]).undated == "not-covered"


def test_the_words_of_a_consent_event_are_listed() -> None:
    """Each status stands in the table of an event's fields."""
    (row,) = re.findall(r"^\| `status` \|.*$", CONSENT.read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"`([a-z-]+)`", row)[1:] == [str(word) for word in ConsentStatus]


def test_the_rules_of_consent_are_numbered() -> None:
    """Their numbers are named elsewhere, so none is left out and none comes twice."""
    rules = CONSENT.read_text("utf-8").partition("## The rules")[2].partition("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", rules, re.MULTILINE) == [str(n) for n in range(1, 14)]


def test_the_guide_shows_what_a_slip_is_answered_with() -> None:
    """The answer in the guide is the answer that is given."""
    (whole,), (shown,) = snippets(GUIDE, "yaml"), snippets(GUIDE, "text")
    with pytest.raises(PolicyError) as answer:
        parse_policy(whole.replace("category: dpv-pd:Age", "catgory: dpv-pd:Age"), "members.yaml")
    assert str(answer.value) == shown.strip()


def test_the_guide_names_columns_that_its_table_has() -> None:
    """Whoever copies the policy and the header can check the one against the other."""
    header = snippets(GUIDE, "csv")[0].strip().split(",")
    policy = parse_policy(snippets(GUIDE, "yaml")[0])
    assert {policy.source.person, *policy.columns} <= set(header)


MADE = {page.relative_to(ROOT).as_posix(): make for page, make in load_reference().PARTS}


@pytest.mark.parametrize("page", MADE)
def test_what_a_page_takes_from_the_code_is_made_anew(page: str) -> None:
    """The grammar, the steps, the policies and the explanations are written once."""
    written = (ROOT / page).read_text("utf-8")
    assert MADE[page](written) == written, f"{page}: run docs/make_reference.py"


def test_the_page_of_treatments_names_each() -> None:
    """Each treatment stands there with what it does and what it leaves possible."""
    written = TREATMENTS.read_text("utf-8")
    named = set(re.findall(r"^### ([a-z-]+)$", written, re.MULTILINE))
    assert named == {*KINDS, "generalize", "rare"}


def test_every_flow_is_named_in_its_folder() -> None:
    """Each flow has its row in `flows/README.md`."""
    flows = [
        name
        for module in (ROOT / "flows").glob("*.py")
        for name in re.findall(
            r"^@flow\(.*?^def (\w+)", module.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
    ]
    readme = (ROOT / "flows" / "README.md").read_text("utf-8")
    assert flows
    assert [name for name in flows if f"`{name}`" not in readme] == []


def test_every_use_of_a_column_is_explained() -> None:
    """The guide's table of uses has a row for each, and no other."""
    table = GUIDE.read_text("utf-8").partition("### Uses")[2].partition("###")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [str(use) for use in Use]


def test_every_tag_of_a_run_is_explained() -> None:
    """Who meets a tag in MLflow finds what it says."""
    files = (ROOT / "tasks" / name for name in ("handover/recording.py", "account/projection.py"))
    recorder = "".join(file.read_text("utf-8") for file in files)
    tags = set(re.findall(r'"(tutela\.[a-z_0-9]+)"', recorder))
    assert tags
    assert tags == set(re.findall(r"`(tutela\.[a-z_0-9]+)`", REPORT.read_text("utf-8")))


def test_every_metric_of_a_run_is_explained() -> None:
    """Each metric that a run leaves in MLflow has its row, and each measure beside them too."""
    rows = re.findall(r"^\| (`[a-z]+[./].*?) \|", REPORT.read_text("utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    forms = [re.escape(re.sub(r"<\w+>", "~", name)).replace("\\~", ".+") for name in named]
    run = passed("registry")
    recorded = run.named("mlflow")["run"]
    assert isinstance(recorded, dict)
    metrics = [*run.place.mlflow.get_run(str(recorded["run_id"])).data.metrics]
    measured = [*run.named("measure"), *run.named("count")]
    assert 12 < len(metrics) < 30
    assert len(measured) > 25
    assert [
        m for m in (*metrics, *measured) if not any(re.fullmatch(form, m) for form in forms)
    ] == []
