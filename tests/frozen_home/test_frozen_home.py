"""A home that an earlier version left is opened, told of and gone on with, and its models load.

What is frozen in `tests/frozen_home/`, and how it was made, is said there.
"""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlflow
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from filelock import FileLock

from deployments.run.notebook import read_ran
from ledgers.home.database import SCHEMA
from ledgers.home.home import Home
from tasks.handover.delivery import read_run
from tasks.pages.report import render_report
from tests.runs import Place
from tutela.result import Result

PLACE: Final = Path("/tmp/tutela-frozen")  # noqa: S108  # where the paths in it lead
"""Where a home was frozen, and is unpacked: MLflow's paths in it are absolute."""
ARCHIVES: Final = sorted(Path(__file__).parent.glob("home-*.tar.xz"))

pytestmark = pytest.mark.filterwarnings("ignore:.*[Tt]ype hint is inferred:UserWarning")


def said_then(archive: Path) -> dict[str, Any]:
    """Give what the version that made an archive said of it."""
    told: dict[str, Any] = json.loads(archive.with_name(f"{day(archive)}.json").read_text("utf-8"))
    return told


def day(archive: Path) -> str:
    """Give an archive's name without its ending."""
    return archive.name.removesuffix(".tar.xz")


@dataclass(frozen=True)
class Frozen:
    """An unpacked home, and what the version that made it said of it."""

    place: Place
    then: dict[str, Any]

    def ask(self, *words: str) -> Any:
        """Give what a command that goes well answers."""
        said = self.place.tell(*words, "--json")
        assert said.status == 0, said.err
        return json.loads(said.out)

    def result(self, policy: str) -> Result:
        """Give the run of a policy as it is given to Python."""
        run_id = self.then["runs"][policy]["run_id"]
        return Result(read_ran(self.place.home, self.place.keys, run_id))


@pytest.fixture(scope="module", params=ARCHIVES, ids=day)
def frozen(request: pytest.FixtureRequest) -> Iterator[Frozen]:
    """A frozen home, unpacked where it was made while nobody else has it there."""
    with pytest.MonkeyPatch.context() as patch, FileLock(PLACE.with_suffix(".lock")):
        # MLflow keeps an engine per address, and the next archive is unpacked at the same.
        patch.setenv("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
        shutil.rmtree(PLACE, ignore_errors=True)  # what a killed test left
        try:
            with tarfile.open(request.param) as archive:
                archive.extractall(PLACE.parent, filter=with_modes)  # noqa: S202  # it is ours
            yield Frozen(Place(Home.open(PLACE / ".tutela")), said_then(request.param))
        finally:
            shutil.rmtree(PLACE)


def with_modes(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
    """Let nothing out of the folder, and leave folders to their owner alone."""
    return tarfile.data_filter(member, path).replace(mode=member.mode, deep=False)


@pytest.fixture
def rows(frozen: Frozen) -> pd.DataFrame:
    """The made-up people of whom each model said then what it predicts."""
    return pd.DataFrame(frozen.then["rows"])


def test_there_is_a_frozen_home() -> None:
    """Or nothing below would be tried."""
    assert ARCHIVES


def test_its_database_is_brought_up_to_date(frozen: Frozen) -> None:
    """By the command that opens it first."""
    with frozen.place.ledger.engine.begin() as connection:
        found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    assert found == SCHEMA


def test_each_run_is_listed_with_its_verdict(frozen: Frozen) -> None:
    """As it ended then."""
    listed = {run["run"]: run["verdict"] for run in frozen.ask("report")["runs"]}
    assert listed == {run["run_id"]: run["verdict"] for run in frozen.then["runs"].values()}


@pytest.mark.parametrize("policy", ["passed", "refused", "private"])
def test_each_run_is_told_again(frozen: Frozen, policy: str) -> None:
    """On one screen and as a page, of evidence whose chain holds, with all that was checked."""
    then = frozen.then["runs"][policy]
    frozen.place.ledger.verify(then["run_id"])
    now = frozen.ask("report", then["run_id"])
    checks = {check["name"]: check["verdict"] for check in now["checks"]}
    assert {**{name: now[name] for name in then}, "checks": checks} == then
    assert now["report"] == str(frozen.place.home.reports / f"{then['run_id']}.html")
    page = render_report(read_run(frozen.place.home, frozen.place.keys, then["run_id"]).summary())
    assert f">{then['verdict'].capitalize()}<" in page


def test_the_consent_ledger_is_whole(frozen: Frozen) -> None:
    """Its chain and its signed heads, an erasure among them; a proof opens again."""
    assert frozen.ask("consent", "verify") == frozen.then["consent"]
    (proved,) = frozen.ask("consent", "show", "p290")["events"]
    assert proved["evidence"] == "form of p290"
    assert frozen.ask("consent", "show", "p291")["events"] == []
    withdrawn = frozen.ask("consent", "show", "p003", "--policy", str(PLACE / "private.yaml"))
    assert withdrawn["standing"]["standing"] == "withdrawn"


def test_each_runs_decision_on_consent_is_reproduced(frozen: Frozen) -> None:
    """From the ledger as it was known then: the digest is the same."""
    for policy, then in frozen.then["runs"].items():
        words = ("consent", "snapshot", str(PLACE / f"{policy}.yaml"), "--run", then["run_id"])
        assert frozen.ask(*words)["same_digest"] is True


def test_the_budget_stands_where_it_stood(frozen: Frozen) -> None:
    """What was charged, for which run, what came of it, and how many more fit."""
    names = ("lifetime_epsilon", "ceiling", "delta", "composition", "after_one_more", "runs_left")
    now = frozen.ask("budget", "show", str(PLACE / "private.yaml"))
    assert {name: now[name] for name in names} == {
        name: frozen.then["budget"][name] for name in names
    }
    told = ("run", "at", "policy", "purpose", "outcome", "state", "composition", "epsilon", "delta")
    charges = frozen.ask("budget", "history")["charges"]
    assert [[one[name] for name in told] for one in charges] == [
        [one[name] for name in told] for one in frozen.then["charges"]
    ]


def test_tokens_are_read_back_by_the_key_that_made_them(frozen: Frozen) -> None:
    """Though it was rotated since."""
    known = [(key["version"], key["made"], key["state"]) for key in frozen.then["keys"]]
    found = frozen.ask("keys", "list")["keys"]
    assert [(key["version"], key["made"], key["state"]) for key in found] == known
    mails = set()
    for policy in ("passed", "private"):
        (table,) = frozen.place.home.releases.glob(f"{frozen.then['runs'][policy]['run_id']}/*.csv")
        said = frozen.place.tell(
            "keys", "reveal", found[0]["purpose"], str(table), "--column", "mail", "--json"
        )
        assert said.status == 0
        mails |= set(json.loads(said.out)["originals"])
    assert mails <= {f"m{number:03d}@example.org" for number in range(300)}
    assert len(mails) > 200


@pytest.mark.parametrize(
    ("policy", "kind"),
    [("passed", "logistic-regression"), ("private", "private-logistic-regression")],
)
def test_a_registered_model_and_a_released_table_are_given_to_python(
    frozen: Frozen, policy: str, kind: str, rows: pd.DataFrame
) -> None:
    """From MLflow's store in the home; the model predicts as it did."""
    result = frozen.result(policy)
    assert result.model is not None
    assert_alike(result.model.predict_proba(rows), frozen.then["predictions"][kind])
    assert result.table is not None
    assert list(result.table) == ["age", "sex", "sick", "mail", "seen"]
    (released,) = (one.release for one in result.evidence.outlets if one.release)
    # A bare file then; the digest on its record is of its rows, and would confirm a guess of them.
    assert (released.place[-12:], released.digest) == ("/partner.csv", None)


MODELS: Final = [
    pytest.param(archive, kind, id=f"{day(archive)}-{kind}")
    for archive in ARCHIVES
    for kind in said_then(archive)["predictions"]
]
each_model = pytest.mark.parametrize(("archive", "kind"), MODELS)


@each_model
def test_a_model_of_each_kind_loads_and_predicts_as_it_did(
    archive: Path, kind: str, tmp_path: Path
) -> None:
    """From its folder alone, as a recipient has it, trusting the classes that the folder names."""
    then = said_then(archive)
    model = mlflow.sklearn.load_model(str(unpack_model(archive, kind, tmp_path)))
    predicted = model.predict_proba(pd.DataFrame(then["rows"]))
    assert_alike(predicted, then["predictions"][kind])


@each_model
def test_each_class_that_a_saved_model_names_is_where_it_was(
    archive: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path is public: a recipient's file holds it."""
    folder = unpack_model(archive, kind, tmp_path)
    monkeypatch.syspath_prepend(folder / "code")  # where one's own class goes along
    with zipfile.ZipFile(folder / "model.skops") as saved:
        named = set(named_types(json.loads(saved.read("schema.json"))))
    assert {"DeclaredColumns", "DeclaredEncoder"} <= {name for _, name in named}
    gone = [one for one in named if not hasattr(importlib.import_module(one[0]), one[1])]
    assert gone == []


def unpack_model(archive: Path, kind: str, place: Path) -> Path:
    """Unpack the folder of one model somewhere else, and give its path."""
    within = f"{PLACE.name}/models/{kind}"
    with tarfile.open(archive) as packed:
        members = [one for one in packed.getmembers() if one.name.startswith(f"{within}/")]
        packed.extractall(place, members, filter="data")
    return place / within


def test_what_a_prefect_server_stores_of_a_deployment_still_runs(frozen: Frozen) -> None:
    """The entry point leads to a flow, which takes the parameters."""
    for stored in frozen.then["deployments"]:
        module, name = stored["entrypoint"].rsplit(".", 1)
        flow = getattr(importlib.import_module(module), name)
        assert type(flow).__module__ == "prefect.flows"
        inspect.signature(flow.fn).bind(**stored["parameters"])


def test_a_new_run_goes_on_where_the_home_stood(frozen: Frozen) -> None:
    """It passes, is charged on top, and gives the same people the same tokens.

    Of so few people a model can be measured and attacked only if the policy says more of it.
    """
    policy = str(PLACE / "private.yaml")
    text = Path(policy).read_text(encoding="utf-8").replace("test_share: 0.4", "test_share: 0.75")
    tolerant = "".join(
        f"  {name}: {{when_inconclusive: report}}\n" for name in ("memorization", "audit", "search")
    )
    text = text.replace("  memorization: {gap_at_most: 0.9}\n", tolerant)
    Path(policy).write_text(text, encoding="utf-8")
    said = frozen.place.tell("run", policy)
    assert said.status == 0, said.err
    last = frozen.place.last.record
    frozen.place.ledger.verify(last.run_id)
    assert last.verdict == "passed"
    then, now = frozen.then["budget"], frozen.ask("budget", "show", policy)
    assert now["lifetime_epsilon"] == then["after_one_more"] > then["lifetime_epsilon"]
    charges = frozen.ask("budget", "history")["charges"]
    assert [one["run"] for one in charges] == [
        *(one["run"] for one in frozen.then["charges"]),
        last.run_id,
    ]
    before, after = (
        pd.read_csv(frozen.place.home.releases / table, dtype=str)
        for table in (
            f"{frozen.then['runs']['private']['run_id']}/partner.csv",
            f"{last.run_id}/partner/partner.csv",
        )
    )
    # Some are left out beside the table of the other policy, which the same recipient has.
    assert set(after["mail"]) < set(before["mail"])
    assert len(after) > 0.9 * len(before)
    assert frozen.ask("consent", "verify")["events"] == frozen.then["consent"]["events"]


def assert_alike(probabilities: np.ndarray[Any, Any], then: list[float]) -> None:
    """Hold predictions against those of then, but for the order of sums."""
    np.testing.assert_allclose(probabilities[:, 1], then, rtol=1e-9)


def named_types(node: object) -> Iterator[tuple[str, str]]:
    """Give each class and function that a saved model's schema names, by module and name."""
    if isinstance(node, dict):
        if isinstance(node.get("__module__"), str):
            yield node["__module__"], node["__class__"]
        for value in node.values():
            yield from named_types(value)
    elif isinstance(node, list):
        for value in node:
            yield from named_types(value)
