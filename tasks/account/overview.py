"""All runs of a home at a glance: one row a run, made of what each run published.

Nothing is computed of people here; what changed since the last run of a policy is the difference of
two figures that both stand published. It knows no page and no screen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledgers.evidence import OPEN, Entry, EvidenceLedger, RunRecord
from tasks.account.findings import Found, read_text
from tasks.account.part import Part
from tasks.account.published import Figure, State
from tasks.account.summary import PEOPLE_STEPS, make_address, read_verdict

WANTED: Final = (
    ("decision", "%"), ("pending", "%"), ("verdict", "%"), ("mlflow", "run"),
    ("prefect", "flow_run"), ("measure", "privacy.epsilon"), ("measure", "privacy.%.k"),
    ("measure", "privacy.runs_left"), ("measure", "utility.auc"), ("measure", "utility.r2"),
    *(("count", name) for name in PEOPLE_STEPS),
)  # fmt: skip
"""The entries that a row is made of."""
STEP: Final = 0.005
"""What changes an AUC or an R² as it is shown."""


@dataclass(frozen=True, slots=True)
class RunRow(Part):
    """One run as it is listed; what it did not find out is None."""

    run: str
    policy: str
    at: str
    """When it began, UTC in ISO 8601."""
    verdict: State
    check: str | None
    """The check that refused it."""
    reason: str
    people: Figure | None
    """Those who were used last: the selected, else the permitted, else those on the roster."""
    epsilon: float | None
    k: float | None
    """The smallest of its tables."""
    auc: float | None
    r2: float | None
    """Of a model whose target is a number, which has no AUC."""
    prefect: str | None
    """The address of its page, where it has one; so too below."""
    mlflow: str | None
    flow_run: str | None
    """The id of the Prefect flow run that it was."""
    permitted: Figure | None
    """Those with a legal basis."""
    runs_left: float | None
    """How many more runs like it fit the budget of the people who were used most."""
    elsewhere: bool
    """Whether another machine began it and has yet to end it."""
    people_change: int | None = None
    """How many people more than in the policy's last run that passed, of published counts."""
    auc_change: float | None = None
    r2_change: float | None = None

    @property
    def quality(self) -> str:
        """How good its model is, as a cell of a table; a number alone is an AUC."""
        if self.r2 is not None:
            return f"R² {self.r2:.2f}"
        return "" if self.auc is None else f"{self.auc:.2f}"


def list_rows(ledger: EvidenceLedger) -> list[RunRow]:
    """Give a row for each run on record, oldest first; Refusal as `EvidenceLedger.runs`."""
    runs, picked = ledger.runs(), ledger.pick(WANTED)
    elsewhere = ledger.elsewhere([run for run in runs if run.verdict in OPEN])
    rows = [_make_row(run, picked.get(run.run_id, []), elsewhere) for run in runs]
    return list(compare_rows(rows))


def _make_row(run: RunRecord, entries: Sequence[Entry], elsewhere: Collection[str]) -> RunRow:
    found = Found(entries)
    verdict, reason, check = read_verdict(run, entries)
    measures, people = found.measures(), found.figures(PEOPLE_STEPS)
    ks = [k for name, k in measures.items() if name.endswith(".k") and k is not None]
    return RunRow(
        run=run.run_id,
        policy=run.policy,
        at=run.started_at,
        verdict=verdict,
        check=check,
        reason=reason,
        people=people[-1] if people else None,
        epsilon=measures.get("privacy.epsilon"),
        k=min(ks, default=None),
        auc=measures.get("utility.auc"),
        r2=measures.get("utility.r2"),
        prefect=make_address(found.body("prefect", "flow_run").get("url")),
        mlflow=make_address(found.body("mlflow", "run").get("url")),
        flow_run=read_text(found.body("prefect", "flow_run").get("id")),
        permitted=found.figure("people.permitted", PEOPLE_STEPS["people.permitted"]),
        runs_left=measures.get("privacy.runs_left"),
        elsewhere=run.run_id in elsewhere,
    )


def compare_rows(rows: Sequence[RunRow]) -> Iterator[RunRow]:
    """Give the rows with what changed since the policy's last run that passed."""
    last: dict[str, RunRow] = {}
    for row in rows:
        before = last.get(row.policy)
        yield row if before is None else _compare_two(before, row)
        if row.verdict == "passed":
            last[row.policy] = row


def _compare_two(before: RunRow, row: RunRow) -> RunRow:
    people = None
    if before.people and row.people and before.people.label == row.people.label:
        was, now = before.people.about, row.people.about
        people = None if was is None or now is None else now - was
    auc, r2 = _change(before.auc, row.auc), _change(before.r2, row.r2)
    return replace(row, people_change=people, auc_change=auc, r2_change=r2)


def _change(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else round(now - before, 4)


def say_changes(row: RunRow) -> str:
    """Say what changed since the policy's last run that passed; nothing where nothing did."""
    said = []
    for name, change in (("AUC", row.auc_change), ("R²", row.r2_change)):
        if change and abs(change) >= STEP:
            said.append(f"{name} {change:+.2f}")
    if row.people_change:
        said.append(f"people {row.people_change:+,}")
    return ", ".join(said).replace("-", "−")
