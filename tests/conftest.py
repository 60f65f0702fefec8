"""A home that is ready, a small policy with made-up people, and a run of it without Prefect."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, event
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from expectations.errors import TutelaError
from ledgers.home import database
from ledgers.home.home import Home
from tests.shared_folder import settle, written_to

if TYPE_CHECKING:
    from expectations.policy.policy import Part
    from tasks.airlock.run import Run

# How fast an example is says something of the machine, not of the code. Each day draws its own
# examples, and the night (`make nightly`) tries the same promises on many more.
for _when, _examples in (("day", 25), ("night", 200)):
    settings.register_profile(
        _when,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        max_examples=_examples,
    )
settings.load_profile("day")

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
ATTACKS = """\
attacks:
  membership: {auc_at_most: 0.75, when_inconclusive: report}
  memorization: {when_inconclusive: report}
  audit: {when_inconclusive: report}
  search: {when_inconclusive: report}
"""
"""What the small policy asks of attacks, which can tell little of so few people."""
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
ATTACKSretention_days: 30
""".replace("BASIS", BASIS).replace("ATTACKS", ATTACKS)
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
        event.listen(Engine, "connect", hurry)  # MLflow's engines too
        yield
    event.remove(Engine, "connect", hurry)


def hurry(connection: object, _record: object) -> None:
    """Let a new connection to SQLite wait for no disk."""
    if isinstance(connection, sqlite3.Connection):
        with contextlib.suppress(sqlite3.DatabaseError):  # no database: who opened it will say so
            connection.execute("PRAGMA synchronous=OFF")


def make_folder(path: Path) -> Folder:
    """480 made-up people of whom all but p58 and p59 consented, nothing written yet.

    The old are oftener sick: 29 % of those under 35 and 77 % from 65. With a test share of 0.4
    there are 60 test people or more of either class, under any key (one in 100,000 aside).
    """
    drawn, made = random.Random(7), Folder(path)
    for number in range(480):
        age, person = drawn.randint(18, 80), f"p{number:02d}"
        sugar = 4.18 + age / 40 + 2.2 * drawn.random()
        row = {"pid": person, "age": str(age), "sex": "fm"[number % 2], "sugar": f"{sugar:.1f}"}
        made.people.append({**row, "name": f"Zyxwort {number}", "unnamed": f"Qblorp {number}"})
        if person not in {"p58", "p59"}:
            made.say(person, "given", "2024-01-01T12:00:00Z")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """The people of `make_folder`, in a folder of the test's own."""
    return make_folder(tmp_path)


LONGEST = (
    "test_leaks", "test_flow", "test_refusals", "test_example_policies", "test_epsilon_audit",
    "test_gallery", "test_python_api", "test_python_run", "test_consent_commands",
    "test_own_code_run", "test_walkthroughs", "test_free_text", "test_budget_flow",
    "test_rehearsal", "test_k_anonymity", "test_recoding_plan", "test_consent_histories",
    "test_train", "test_bad_input", "test_privacy_loss", "test_docstring_examples",
)  # fmt: skip
"""Files that take longest, in their order: begun first, so that all workers end together."""


TOGETHER = {"test_flow": "test_leaks", "test_outside": "test_leaks"}
"""Files that go where another goes, whose costly set-up they share."""


class ByFile(LoadFileScheduling):
    """A file's tests on one worker, beside those that share something costly with them."""

    def _split_scope(self, nodeid: str) -> str:
        stem = Path(super()._split_scope(nodeid)).stem
        return TOGETHER.get(stem, stem)


def pytest_configure(config: pytest.Config) -> None:
    """Let a worker load first what looks for hundreds of names in all that is loaded."""
    if hasattr(config, "workerinput"):
        import skops.io  # noqa: F401


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Give the tests out by files, in the order in which they were collected."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.fixture(scope="session", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made once for all tests is found, and no test has written there in the end."""
    settle(tmp_path_factory)
    yield
    assert written_to() == [], "a test has written to what all tests share; let it take a copy"


@pytest.fixture(scope="session")
def template_home() -> Path:
    """A home in which nothing was run, to be copied.

    Its root key is always the same, so that no keyed draw (who is tested, which way a count is
    rounded) is another one today.
    """
    from tests.runs import fresh_home

    return fresh_home()


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Variables are as the test found them: MLflow sets its own, and another home would obey."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def home(template_home: Path, tmp_path: Path) -> Home:
    """A home of the test's own, named by `TUTELA_HOME`; Prefect and MLflow are quiet and in it."""
    from deployments.servers.prefect_server import set_environment

    root = tmp_path / "home"
    shutil.copytree(template_home, root)
    os.environ["TUTELA_HOME"] = str(root)
    found = Home.open()
    set_environment(found)
    return found


@contextlib.contextmanager
def opened(policy: Path, part: Part = "all") -> Iterator[Run]:
    """Open a run of a policy, or of a part of it, so that its steps can be called one by one."""
    from flows.opening import Request, open_run, request

    with open_run(request(Request(str(policy))), part=part) as run:
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

        with opened(policy) as begun:
            try:
                ended = serve(begun)
            except TutelaError as error:
                return begun.id, error
        return begun.id, None if ended is None else ended.data

    return run
