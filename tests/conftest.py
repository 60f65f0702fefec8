"""A home that is ready, a small policy with made-up people, and a run of it without Prefect."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from expectations.errors import TutelaError
from ledgers import database
from ledgers.home import Home

if TYPE_CHECKING:
    from tasks.run import Run

# How fast an example is says something of the machine, not of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

BASIS = """\
kind: consent
  notices:
    - id: study
      purposes: [dpv:ScientificResearch]
      categories: [dpv-pd:Age, dpv-pd:Contact, dpv-pd:Gender, dpv-pd:Health, dpv-pd:Identifying]
  events:
    - location: {kind: csv, path: consent.csv}
      stated: {notice: study, indication: explicit}"""
"""How the small policy says whom it may read; a test that means another basis replaces it."""
POLICY = """\
tutela: 1
name: small
title: A small policy
controller: {name: Example, contact: privacy@example.org}
purpose: dpv:ScientificResearch
legal_basis:
  article_6: eu-gdpr:A6-1-a
  article_9: eu-gdpr:A9-2-a
source:
  location: {kind: csv, path: people.csv}
  person: pid
basis:
  BASIS
population:
  eligible: age >= 18
  smallest: 10
  test_share: 0.4
columns:
  age:
    type: integer
    identifiability: quasi
    category: dpv-pd:Age
    use: [feature, eligibility, release]
    treatment: {kind: bin, edges: [35, 50, 65], labels: [18-34, 35-49, 50-64, 65+]}
  sex:
    type: text
    identifiability: quasi
    category: dpv-pd:Gender
    use: [feature, release, audit]
    treatment: {kind: categories, values: [f, m]}
  sugar:
    type: number
    identifiability: none
    category: dpv-pd:Health
    use: [derivation]
    treatment: {kind: drop}
derived:
  sick:
    expression: sugar >= 6.5
    identifiability: none
    category: dpv-pd:Health
    use: [target, release]
    treatment: {kind: keep}
outlets:
  clinic:
    kind: model
    recipient: Clinic
  partner:
    kind: table
    recipient: Partner
    k: 3
    max_suppressed: 0.1
    columns: {age: generalize, sex: generalize, sick: generalize}
expectations:
  - {rule: share-between, column: sick, value: "yes", low: 0.1, high: 0.9}
training: {model: logistic-regression}
attacks:
  membership: {auc_at_most: 0.75, when_inconclusive: report}
retention_days: 30
""".replace("BASIS", BASIS)
"""A policy over some 480 people, in which every part occurs but a budget.

Its attack finds nothing by chance: over random splits the upper end of its interval is 0.61 on
average, with a standard deviation of 0.02.
"""
BUDGET = "budget: {lifetime_epsilon: 10, delta: 1e-5}\n"
"""What the small policy has in addition where differential privacy is promised."""


ROOT_KEY = hashlib.sha256(b"the root key of every test's home").digest()
"""What all keyed draws of tests follow from."""


def small_policy(*changes: tuple[str, str]) -> str:
    """Give the small policy with some of its text changed, each where it stands once.

    A budget comes with a promise of differential privacy, without which it would be refused.
    """
    private = any("differential-privacy" in new for _, new in changes)
    text = POLICY.replace("attacks:\n", f"{BUDGET}attacks:\n") if private else POLICY
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the policy"
        text = text.replace(old, new)
    return text


@dataclass
class Folder:
    """A folder with a policy, its people and their consents, as files that a test can change."""

    path: Path
    people: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, str]] = field(default_factory=list)

    def write(self, *changes: tuple[str, str]) -> Path:
        """Write people, consents and the small policy with its changes; give the policy's path."""
        for name, rows in (("people", self.people), ("consent", self.events)):
            columns = dict.fromkeys(column for row in rows for column in row)
            with (self.path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(columns))
                writer.writeheader()
                writer.writerows(rows)
        policy = self.path / "small.yaml"
        policy.write_text(small_policy(*changes), encoding="utf-8")
        return policy

    def say(self, person: str, status: str, at: str, **fields: str) -> None:
        """Add a consent event to the purpose of the policy, with more fields if any are given."""
        event = {"person": person, "purpose": "dpv:ScientificResearch", "status": status, "at": at}
        self.events.append({**event, **fields})


PRAGMAS = database.PRAGMAS
"""How a ledger's file is set up where a test's home would have to outlive a power cut."""


@pytest.fixture(scope="session", autouse=True)
def wait_for_no_disk() -> Iterator[None]:
    """Let no commit and no file wait for the disk, which takes milliseconds, thousands of times.

    What was written is there for every process at once, also after its writer was killed; it is a
    power cut alone that it would not survive. Processes that tests start do wait.
    """
    hurried = tuple(one.replace("synchronous=FULL", "synchronous=OFF") for one in PRAGMAS)
    assert hurried != PRAGMAS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "PRAGMAS", hurried)
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """480 made-up people of whom all but p58 and p59 consented, nothing written yet.

    The old are oftener sick: 29 % of those under 35 and 77 % from 65. With a test share of 0.4
    there are 60 test people or more of either class, under any key (one in 100,000 aside).
    """
    drawn, made = random.Random(7), Folder(tmp_path)
    for number in range(480):
        age, person = drawn.randint(18, 80), f"p{number:02d}"
        sugar = 4.18 + age / 40 + 2.2 * drawn.random()
        row = {"pid": person, "age": str(age), "sex": "fm"[number % 2], "sugar": f"{sugar:.1f}"}
        made.people.append({**row, "name": f"Zyxwort {number}", "unnamed": f"Qblorp {number}"})
        if person not in {"p58", "p59"}:
            made.say(person, "given", "2024-01-01T12:00:00Z")
    return made


@pytest.fixture(scope="session")
def template_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which nothing was run; copied, since making one takes seconds.

    Its root key is always the same, so that no keyed draw (who is tested, which way a count is
    rounded) is another one today.
    """
    home = Home.create(tmp_path_factory.mktemp("homes") / "template")
    (home.keys / "root.key").write_bytes(ROOT_KEY)
    return home.root


@pytest.fixture
def home(template_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home of the test's own, named by `TUTELA_HOME`; Prefect and MLflow are quiet and in it."""
    from deployments.prefect_server import set_environment

    before = dict(os.environ)
    root = tmp_path / "home"
    shutil.copytree(template_home, root)
    monkeypatch.setenv("TUTELA_HOME", str(root))
    found = Home.open()
    set_environment(found)
    yield found
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


@contextlib.contextmanager
def opened(policy: Path) -> Iterator[Run]:
    """Open a run of a policy, so that its steps can be called one by one."""
    from tasks.run import Request, open_run, request

    with open_run(request(Request(str(policy)))) as run:
        yield run


def counts(run: Run) -> dict[str, int]:
    """Open the exact counts that a run noted, by name."""
    entries = run.ledger.entries(run.id)
    found = {entry.name: run.ledger.unseal(entry) for entry in entries if entry.kind == "count"}
    return {name: count for name, count in found.items() if isinstance(count, int)}


Runner = Callable[[Path], tuple[str, TutelaError | None]]


@pytest.fixture
def run_direct(home: Home) -> Runner:
    """Run a policy without Prefect: gives the run's id, and the error that ended it if any."""
    assert home.root.is_dir()

    def run(policy: Path) -> tuple[str, TutelaError | None]:
        from flows.training import serve

        with opened(policy) as begun, warnings.catch_warnings():
            # MLflow's own; outside of pytest the airlock silences it.
            warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
            try:
                serve(begun)
            except TutelaError as error:
                return begun.id, error
        return begun.id, None

    return run
