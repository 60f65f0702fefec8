"""Freeze a home of one commit, with its runs and saved models, for later versions to open.

    .venv/bin/python tests/frozen_home/freeze.py [COMMIT]

Writes `home-DAY.tar.xz`, and beside it `home-DAY.json` with what that commit's own commands said of
it. All is done by the command line of a clean checkout of the commit, at one path (`PLACE`) that
names no machine, since MLflow writes absolute paths; there the tests unpack it again. The home's
keys go along: they are a throw-away and seal made-up people.

What it does not know: any module of tutela. So it can freeze the code of another day.
"""

from __future__ import annotations

import csv
import fcntl
import getpass
import json
import lzma
import os
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from filelock import FileLock

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
PLACE: Final = Path("/tmp/tutela-frozen")  # noqa: S108  # fixed, as it stands in what is frozen
LOCK: Final = PLACE.with_suffix(".lock")
PURPOSE: Final = "dpv:ScientificResearch"
WITHDRAWN, PROVED, ERASED = "p003", "p290", "p291"
DATABASES: Final = ("ledger.sqlite", "mlflow/mlflow.db")

POLICY: Final = """\
tutela: 1
name: NAME
title: A small study, frozen
controller: {name: Example, contact: privacy@example.org}
purpose: dpv:ScientificResearch
legal_basis:
  article_6: eu-gdpr:A6-1-a
  article_9: eu-gdpr:A9-2-a
source:
  location: {kind: csv, path: people.csv}
  person: pid
basis:
  kind: consent
  notices:
    - id: study
      purposes: [dpv:ScientificResearch]
      categories: [dpv-pd:Age, dpv-pd:Contact, dpv-pd:Gender, dpv-pd:Health, dpv-pd:Identifying]
  events:
    - location: {kind: csv, path: consent.csv}
      stated: {notice: study, indication: explicit}
population:
  eligible: age >= 18
  smallest: 50
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
  weight:
    type: number
    identifiability: none
    category: dpv-pd:Health
    use: [feature]
    treatment: {kind: clip, low: 40, high: 120}
  mail:
    type: text
    identifiability: identifier
    category: dpv-pd:Contact
    use: [release]
    treatment: {kind: token, reversible: true}
  seen:
    type: date
    identifiability: none
    category: dpv-pd:Health
    use: [release]
    treatment: {kind: shift, days: 30}
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
    k: 5
    max_suppressed: 0.1
    columns: {age: generalize, sex: generalize, sick: generalize, mail: keep, seen: keep}
    not_linkable: {mail: a pseudonym, seen: moved by days that nobody knows}
expectations:
  - {rule: share-between, column: sick, value: "yes", low: 0.1, high: 0.9}
training:
  model: MODEL
  crosses: [[age, sex]]
attacks:
  membership: {auc_at_most: 0.9, references: 8, when_inconclusive: report}
  memorization: {gap_at_most: 0.9}
  attribute_inference: {advantage_at_most: 0.9}
retention_days: 36500
"""
PROMISE: Final = (
    "    recipient: Clinic\n",
    "    recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}\n",
)
BUDGET: Final = ("attacks:\n", "budget: {lifetime_epsilon: 10, delta: 1e-5}\nattacks:\n")
PRIVATE: Final = (PROMISE, BUDGET)
REFUSED: Final = (
    ("max_suppressed: 0.1", "max_suppressed: 0.0"),
    ("{age: generalize, sex: generalize, sick: generalize,", "{age: keep, sex: keep, sick: keep,"),
)
OWN: Final = '''\
"""A model of one's own, which goes along with its code."""

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression


class Calm(ClassifierMixin, BaseEstimator):
    """A logistic regression that is held back."""

    def __init__(self, strength=1.0):
        self.strength = strength

    def fit(self, X, y):
        self.inner_ = LogisticRegression(C=self.strength).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)

    def predict(self, X):
        return self.inner_.predict(X)
'''
RUNS: Final = {
    "passed": ("logistic-regression", ()),
    "refused": ("logistic-regression", REFUSED),
    "private": ("private-logistic-regression", PRIVATE),
}
"""The home's runs by the names of their policies: the model, and how the policy differs."""
OTHERS: Final = {
    "gradient-boosting": ("gradient-boosting", ()),
    "private-boosting": ("private-boosting", PRIVATE),
    "own-class": ("my_models.py:Calm", ()),
}
"""Further kinds of models, each of a run in another home, of which nothing else is kept."""
KINDS: Final = {"logistic-regression": "passed", "private-logistic-regression": "private"} | {
    name: name for name in OTHERS
}
"""Each kind whose saved model is frozen, and the policy that it is of."""
ROWS: Final = [
    {"age": "18-34", "sex": "f", "weight": 55.5},
    {"age": "35-49", "sex": "m", "weight": 80.0},
    {"age": "50-64", "sex": "f", "weight": 119.25},
    {"age": "65+", "sex": None, "weight": 71.0},
    {"age": None, "sex": "m", "weight": None},
]
"""Made-up people, treated, of whom every model says what it predicts."""
PREDICT: Final = """\
import json, sys
from pathlib import Path
import pandas as pd
import skops.io
rows = pd.DataFrame(json.load(sys.stdin))
said = {}
for folder in sorted(Path("models").iterdir()):
    sys.path[:0] = [str(folder / "code")]
    content = (folder / "model.skops").read_bytes()
    model = skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    said[folder.name] = model.predict_proba(rows)[:, 1].tolist()
print(json.dumps(said))
"""


def freeze(commit: str) -> Path:
    """Make the archive of a commit, and what it must answer beside it; give its path."""
    with FileLock(LOCK):
        PLACE.mkdir(mode=0o700)
        try:
            made = check_out(commit)
            write_tree()
            answers = {"commit": made, **make_runs()}
            tidy()
            refuse_traces()
            return pack(answers)
        finally:
            shutil.rmtree(PLACE)


def check_out(commit: str) -> str:
    """Put the commit's code at the neutral place, and give its whole name.

    A checkout of its own, without a remote, names nobody where a library looks for one.
    """
    code = PLACE / "code"
    git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(code))
    git("-C", str(code), "checkout", "--quiet", "--detach", commit)
    git("-C", str(code), "remote", "remove", "origin")
    return git("-C", str(code), "rev-parse", "HEAD").strip()


def git(*words: str) -> str:
    """Run git and give what it prints."""
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def write_tree() -> None:
    """Write the policies, the own code that one names, and whom all of them are about."""
    for name, rows in zip(("people", "consent"), make_people(), strict=True):
        with (PLACE / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    (PLACE / "my_models.py").write_text(OWN, encoding="utf-8")
    for name, (model, changes) in {**RUNS, **OTHERS}.items():
        text = POLICY.replace("NAME", name).replace("MODEL", model)
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the policy"
            text = text.replace(old, new)
        (PLACE / f"{name}.yaml").write_text(text, encoding="utf-8")


def make_people() -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Make up 300 people, and what most of them answered: one in twenty no, and twenty nothing."""
    drawn = random.Random(20)
    people: list[dict[str, object]] = []
    events: list[dict[str, object]] = []
    for number in range(300):
        age, person = drawn.randint(18, 80), f"p{number:03d}"
        people.append(
            {
                "pid": person,
                "age": age,
                "sex": "fm"[number % 2],
                "weight": round(drawn.uniform(45, 115), 1),
                "mail": f"m{number:03d}@example.org",
                "seen": date(2024, 1, 1) + timedelta(days=drawn.randint(0, 300)),
                "sugar": round(4.5 + age / 40 + drawn.random(), 1),
            }
        )
        event = {"person": person, "purpose": PURPOSE, "at": "2024-01-01T12:00:00Z"}
        events.append({**event, "status": "refused" if number % 20 == 0 else "given"})
    return people, events[:280]


def make_runs() -> dict[str, Any]:
    """Make the home and the other models; give what the commit's own commands say of them."""
    tutela("init")
    runs = {"passed": run("passed"), "refused": run("refused", status=1)}
    speak_between_runs()
    runs["private"] = run("private")
    answers = {
        "runs": runs,
        "deployments": stored_deployments(),
        "consent": ask("consent", "verify"),
        "budget": ask("budget", "show", "private.yaml"),
        "charges": ask("budget", "history")["charges"],
        "keys": ask("keys", "list")["keys"],
    }
    tutela("init", home="other")
    for name in OTHERS:
        run(name, home="other")
    for kind, policy in KINDS.items():
        (described,) = PLACE.glob(f"*/mlflow/artifacts/{policy}/**/MLmodel")
        shutil.copytree(described.parent, PLACE / "models" / kind)
    told = python("-c", PREDICT, given=json.dumps(ROWS))
    return {**answers, "rows": ROWS, "predictions": json.loads(told.stdout)}


def speak_between_runs() -> None:
    """Let people consent with a proof, withdraw and be erased, and rotate the key of tokens."""
    given = ("--status", "given", "--notice", "study", "--indication", "explicit")
    policy = ("--policy", "passed.yaml")
    for person in (PROVED, ERASED):
        tutela("consent", "record", person, *policy, *given, "--evidence", f"form of {person}")
    tutela("consent", "withdraw", WITHDRAWN, *policy)
    tutela("consent", "erase", ERASED, "--yes")
    tutela("keys", "rotate", PURPOSE)


def stored_deployments() -> list[dict[str, Any]]:
    """Give what a Prefect server keeps of each deployment: where its flow is, and what it is given.

    A worker of a later version is handed the same.
    """
    (file,) = (PLACE / "code").glob("*/prefect.yaml")
    stored = yaml.safe_load(file.read_text("utf-8"))["deployments"]
    return [{name: one[name] for name in ("entrypoint", "parameters")} for one in stored]


def run(name: str, status: int = 0, home: str = ".tutela") -> dict[str, Any]:
    """Run a policy, which must end as expected, and give how it ended."""
    told = json.loads(tutela("run", f"{name}.yaml", "--json", status=status, home=home).stdout)
    checks = {check["name"]: check["verdict"] for check in told["checks"]}
    return {name: told[name] for name in ("run_id", "verdict", "stopped_by")} | {"checks": checks}


def ask(*words: str) -> Any:
    """Give what a command answers as JSON."""
    return json.loads(tutela(*words, "--json").stdout)


def tutela(*words: str, status: int = 0, home: str = ".tutela") -> subprocess.CompletedProcess[str]:
    """Run a command of the commit's own command line, which must end with a status."""
    return python("-m", "deployments.cli", *words, status=status, TUTELA_HOME=str(PLACE / home))


def python(
    *words: str, status: int = 0, given: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python on the commit's code, as nobody in particular."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PLACE / "code"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(PLACE / "code"),
        "LOGNAME": "nobody",
        "TZ": "UTC",
        "GIT_CEILING_DIRECTORIES": str(PLACE),
        **more,
    }
    found = subprocess.run(
        [sys.executable, *words],
        cwd=PLACE, env=environment, input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode != status:
        sys.exit(f"{' '.join(words)} ended with {found.returncode}:\n{found.stdout}{found.stderr}")
    return found


def tidy() -> None:
    """Take away all but home, models and what they were made of; leave databases in one file."""
    for note in PLACE.glob("*/prefect/server.json"):
        with note.open() as file:  # its lock is held by Prefect's server until that has ended
            fcntl.flock(file, fcntl.LOCK_SH)
    for folder in (PLACE / "code", PLACE / "other", *(PLACE / ".tutela" / "prefect").iterdir()):
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    for file in DATABASES:
        with closing(sqlite3.connect(PLACE / ".tutela" / file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM")


def refuse_traces() -> None:
    """End where a host's or user's name, or a folder of this machine, stands in what was made."""
    words = [re.escape(word) for word in (socket.gethostname(), getpass.getuser())]
    # The style of a page has a `:root`.
    named = re.compile(rf"(?<![\w:.-])(?:{'|'.join(words)})(?![\w-])")
    folders = [str(folder) for folder in (ROOT, Path.home(), sys.prefix, sys.base_prefix)]
    for name, text in texts():
        if found := [*named.findall(text), *(folder for folder in folders if folder in text)]:
            sys.exit(f"{name} names this machine: {', '.join(sorted(set(found)))}")


def texts() -> Iterator[tuple[str, str]]:
    """Give all that was made as text, what is packed in databases and models too."""
    for file in (path for path in PLACE.rglob("*") if path.is_file()):
        name = str(file.relative_to(PLACE))
        if name in {f".tutela/{database}" for database in DATABASES}:
            with closing(sqlite3.connect(file)) as connection:
                yield name, "\n".join(connection.iterdump())
        elif zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed:
                for member in packed.namelist():
                    yield f"{name}/{member}", packed.read(member).decode("latin-1")
        else:
            yield name, file.read_bytes().decode("latin-1")


def pack(answers: Mapping[str, Any]) -> Path:
    """Write the archive and what it must answer."""
    archive = HERE / f"home-{datetime.now(UTC):%Y-%m-%d}.tar.xz"
    with tarfile.open(archive, "w:xz", preset=9 | lzma.PRESET_EXTREME) as packed:
        packed.add(PLACE, PLACE.name, filter=as_nobodys)
    text = json.dumps(answers, indent=1, ensure_ascii=False)
    archive.with_name(archive.name.replace("tar.xz", "json")).write_text(f"{text}\n", "utf-8")
    return archive


def as_nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take the owner off a member."""
    return member.replace(uid=0, gid=0, uname="", gname="", deep=False)


if __name__ == "__main__":
    made = freeze(sys.argv[1] if len(sys.argv) > 1 else "HEAD")
    sys.stdout.write(f"{made.name}: {made.stat().st_size:,} bytes\n")
