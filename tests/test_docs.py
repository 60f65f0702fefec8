"""What the documents say is so: commands exist, snippets work, links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from runs import passed
from typer.main import get_command

from deployments.cli import app
from expectations.errors import PolicyError
from expectations.plain_yaml import Plain, read_yaml
from expectations.policy import Policy
from expectations.policy_file import PACKAGED, parse_policy

ROOT = Path(__file__).parent.parent
DOCS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("flows/*.md"))
    if path.stat().st_size
)
GUIDE = ROOT / "docs" / "policy.md"
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


def test_parts_fit_into_the_policy_above_them() -> None:
    """Put into the guide's policy one after the other, each part leaves a policy that can run."""
    (whole,) = snippets(GUIDE, "yaml")
    policy, parts = read_part(whole), snippets(GUIDE, "yaml part")
    assert parts
    for part in parts:
        policy = put_in(policy, read_part(part))
        assert parse_policy(json.dumps(policy), part).name == "members"


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


def test_the_reference_is_made_from_the_grammar() -> None:
    """After a change of the grammar the reference is made anew: python docs/make_reference.py."""
    written = GUIDE.read_text("utf-8")
    assert load_reference().make_page(written) == written


def test_every_example_is_named_in_the_guide() -> None:
    """A policy that comes with the project is found by who writes one."""
    guide = GUIDE.read_text("utf-8")
    assert [file.stem for file in PACKAGED.glob("*.yaml") if f"`{file.stem}`" not in guide] == []


def test_every_flow_is_named_in_its_folder() -> None:
    """Each flow has its row in `flows/README.md`."""
    flows = re.findall(r"^@flow\(.*?^def (\w+)", (ROOT / "flows/training.py").read_text("utf-8"),
                       re.MULTILINE | re.DOTALL)  # fmt: skip
    readme = (ROOT / "flows" / "README.md").read_text("utf-8")
    assert flows
    assert [name for name in flows if f"`{name}`" not in readme] == []


def test_every_tag_of_a_run_is_explained() -> None:
    """Who meets a tag in MLflow finds what it says."""
    files = (ROOT / "tasks" / name for name in ("recording.py", "projection.py"))
    recorder = "".join(file.read_text("utf-8") for file in files)
    tags = set(re.findall(r'"(tutela\.[a-z_0-9]+)"', recorder))
    assert tags
    assert tags == set(re.findall(r"`(tutela\.[a-z_0-9]+)`", REPORT.read_text("utf-8")))


@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_every_metric_of_a_run_is_explained() -> None:
    """Each metric that a run leaves in MLflow has its row, and each measure's name is there."""
    rows = re.findall(r"^\| (`[a-z]+\..*?) \|", REPORT.read_text("utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    forms = [re.escape(re.sub(r"<\w+>", "~", name)).replace("\\~", ".+") for name in named]
    run = passed("registry")
    recorded = run.named("mlflow")["run"]
    assert isinstance(recorded, dict)
    metrics = run.place.mlflow.get_run(str(recorded["run_id"])).data.metrics
    assert len(metrics) > 25
    assert [m for m in metrics if not any(re.fullmatch(form, m) for form in forms)] == []
