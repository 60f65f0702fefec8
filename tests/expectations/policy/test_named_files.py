"""Every file that a policy names is part of its digest, wherever the policy names it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from expectations.policy.named_files import list_named
from expectations.policy_file import PolicyFile, read_policy
from tests.conftest import BASIS
from tests.expectations.coherence.test_many_rows_coherence import policy_with

VIEW = {
    "resource": "Patient",
    "select": [{"column": [{"name": "pid", "path": "getResourceKey()"}]}],
}
FILES = {
    "sexes.csv": "f;all;*\nm;all;*\n",
    "wards.txt": "A\n",
    "set.json": json.dumps([{"concept": {"CONCEPT_ID": 7}, "includeDescendants": True}]),
    "units.csv": "unit,factor\nd,1\n",
    "mapping.yaml": "codes: {'urn:x|1': all}\n",
    "people.json": json.dumps(VIEW),
    "merged.json": json.dumps(VIEW | {"name": "merged"}),
    "events.json": json.dumps(VIEW | {"name": "events"}),
    "delivery.json": json.dumps(VIEW | {"name": "delivery"}),
    "ancestors.json": json.dumps(VIEW | {"name": "ancestors"}),
}
LOCATION = "{kind: fhir, path: export, view: VIEW}"
EVENTS = f"""kind: consent
  notices:
    - id: n
      purposes: [dpv:ScientificResearch]
      categories: [dpv-pd:Age, dpv-pd:Gender, dpv-pd:Health]
  events:
    - location: {{kind: json-lines, path: consents.ndjson}}
      fhir: {{file: mapping.yaml}}
    - location: {LOCATION.replace("VIEW", "events.json")}
      not_older_than: 2 days
      delivery: {{location: {LOCATION.replace("VIEW", "delivery.json")}, column: at}}"""
CHANGES = (
    ("treatment: {kind: categories, values: [f, m]}",
     "treatment: {kind: hierarchy, file: sexes.csv, level: 1}"),
    ("  tables:\n", f"""\
  codes: {{wards: {{file: wards.txt}}, ill: {{concept_set: set.json}}}}
  same_person: {{location: {LOCATION.replace('VIEW', 'merged.json')}, other: a, kept: b}}
  vocabulary: {{ancestors: {LOCATION.replace('VIEW', 'ancestors.json')}}}
  tables:
"""),
    ("where: \"ward = 'A'\"", 'where: "ward in @wards or ward in @ill"'),
    ("days: {type: number}", "days: {type: number, unit: {from: unit, file: units.csv}}"),
    ("{kind: csv, path: people.csv}", LOCATION.replace("VIEW", "people.json")),
)  # fmt: skip


def read(folder: Path, basis: str = EVENTS, **files: str) -> PolicyFile:
    """Read a policy that names a file of each kind."""
    for name, text in {**FILES, **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
    policy = folder / "small.yaml"
    policy.write_text(policy_with(*CHANGES).replace(BASIS.strip(), basis), encoding="utf-8")
    return read_policy(str(policy))


@pytest.mark.parametrize("name", FILES)
def test_who_changes_a_file_changes_the_policy(tmp_path: Path, name: str) -> None:
    """Of people, of rows, of merged identifiers, of consents and of their deliveries alike."""
    changed = {
        "csv": lambda text: text.replace("all", "any").replace("d,1", "d,2"),
        "txt": lambda text: f"{text}B\n",
        "yaml": lambda text: text.replace("all", "none"),
        "json": lambda text: text.replace("getResourceKey()", "id").replace("7", "8"),
    }[name.partition(".")[2]](FILES[name])
    assert changed != FILES[name]
    before, again = read(tmp_path), read(tmp_path)
    assert before.sha256 == again.sha256 != read(tmp_path, **{name: changed}).sha256


@pytest.mark.parametrize(
    ("basis", "others", "digest"),
    [
        (BASIS.strip(), ("ancestors",),
         "bac8113a3e0a4e071026e16366497b1cd672c2a5a4a9ea7dea2c989d9bd5a68a"),
        (EVENTS, ("ancestors", "events", "delivery"),
         "21b17f76bb459ecdf8f8a09b67b55a2b337150b58fffd321dc33e8a8fd483322"),
    ],
    ids=["of people", "of consents too"],
)  # fmt: skip
def test_a_policy_keeps_the_digest_that_runs_recorded(
    tmp_path: Path, basis: str, others: tuple[str, ...], digest: str
) -> None:
    """Computed when views of other places were not in it yet; the order of files counts."""
    named = list_named(read(tmp_path, basis).policy.model_dump(mode="json"))
    kept = {name: said for name, said in named.items()
            if name not in {f"view.{other}.json" for other in others}}  # fmt: skip
    assert hashlib.sha256(json.dumps(kept).encode()).hexdigest() == digest


def test_every_place_of_a_location_is_looked_at(tmp_path: Path) -> None:
    """Whatever the grammar will have: a list of objections too."""
    optout = f"kind: opt-out\n  objections: {LOCATION.replace('VIEW', 'events.json')}\n  person: p"
    text = policy_with().replace(BASIS.strip(), optout)
    text = text.replace("eu-gdpr:A6-1-a", "eu-gdpr:A6-1-f\n  assessment: LIA 1\n  safeguards: S 1")
    text = text.replace("eu-gdpr:A9-2-a", "eu-gdpr:A9-2-j")
    (tmp_path / "small.yaml").write_text(text, encoding="utf-8")
    digests = set()
    for number in (1, 2):
        (tmp_path / "events.json").write_text(json.dumps(VIEW | {"name": f"v{number}"}))
        digests.add(read_policy(str(tmp_path / "small.yaml")).sha256)
    assert len(digests) == 2
