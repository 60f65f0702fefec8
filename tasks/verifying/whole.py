"""A verification from beginning to end: the ledgers, then each run and all that shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from expectations.errors import PolicyError, Refusal, ServiceError
from expectations.policy.policy import Policy
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.budget.ledger import BudgetLedger
from ledgers.consent.ledger import ConsentLedger
from ledgers.evidence import Entry, RunRecord, Verdict
from ledgers.home.database import open_unchanged, snapshot
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.handover.recorded_policy import read_recorded
from tasks.handover.shown import Shown, Store, read_files, read_store
from tasks.verifying import goods, people, signatures, views
from tasks.verifying.chains import Records, verify_chains
from tasks.verifying.findings import Findings

CHECKPOINTS: Final = "checkpoints.jsonl"
ENDED: Final = frozenset({"passed", "refused", "failed"})
STATES: Final[Mapping[str, frozenset[str]]] = {
    "passed": frozenset({"Completed"}),
    "refused": frozenset({"Refused", "Failed"}),
    "failed": frozenset({"Failed", "Crashed"}),
    "pending": frozenset({"Awaiting MLflow", "Awaiting approval", "Failed"}),
}
"""The states of Prefect that a verdict may be shown as, in this version or an earlier one."""
States = Callable[[Collection[str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Passed:
    """A run that passed, when, and its policy's whole text; moments are as on record."""

    run_id: str
    started_at: str
    at: str
    policy: Policy


@dataclass(slots=True)
class Verifier:
    """One verification under way, and what it has read so far."""

    home: Home
    keys: Keys
    engine: sa.Engine
    found: Findings = field(default_factory=Findings)
    policies: dict[str, PolicyFile | None] = field(default_factory=dict)
    before: dict[str, list[Passed]] = field(default_factory=dict)
    """The earlier runs that passed, by their policy's name."""
    pinned: Collection[str] = ()
    """The fingerprints of the first keys of people, as whoever verifies has them."""

    @classmethod
    def of(cls, home: Home, keys: Keys, pinned: Collection[str] = ()) -> Verifier:
        """Begin a verification of a home."""
        return cls(home, keys, open_unchanged(home), pinned=pinned)

    def ledgers(self, anchors: Collection[Path] = (), *, whole: bool = True) -> Records:
        """Check chains, heads, checkpoints and anchors; people's events and charges if `whole`."""
        root, derive, found = self.home.root, self.keys.derive, self.found
        heads, path = signatures.read_heads(root), root / CHECKPOINTS
        checkpoints = path.read_bytes() if path.is_file() else b""
        copies = {str(place): _read_anchor(place, found) for place in anchors}
        with snapshot(self.engine) as connection:
            records = verify_chains(connection, derive, found)
        last = signatures.check_heads(heads, records, derive, found)
        public = signatures.public_of(derive, "checkpoints")
        checked = signatures.check_checkpoints(checkpoints, records, public, found)
        signatures.check_last_heads(last, checked, found)
        signatures.check_named(records, checked, found)
        signatures.check_clock(checked, datetime.now(UTC), found)
        for named, content in copies.items():
            if content is not None:
                signatures.check_anchor(content, checked, public, named, found)
        ends = {name: max(records.links[name], default=0) for name in signatures.HEADS}
        found.beside += signatures.say_uncovered(ends, checked)
        for note in records.notes:
            if note["what"] == "restored":
                at = str(note["at"])[:10]
                found.beside.append(f"the home was restored from a backup on {at}")
        if whole:
            self._ask_ledgers()
        return records

    def _ask_ledgers(self) -> None:
        """Let the ledgers of people check each event and set of people, which they alone can."""
        consent = ConsentLedger(self.engine, self.home, self.keys)
        budget = BudgetLedger(self.engine, self.keys)
        for name, verify in {"consent": consent.verify, "budget": budget.verify}.items():
            try:
                verify()
                self.found.compared[f"{name} events of people, by the ledger's own check"] += 1
            except (Refusal, ServiceError) as error:
                self.found.differ(name, "events of people", "as they were written", error)

    def store(self) -> Store | None:
        """Read what MLflow shows; None where it is away."""
        try:
            return read_store(self.home)
        except ServiceError as error:
            self.found.left_out.append(f"MLflow was not compared: {error}")
            return None

    def runs(
        self, records: Records, store: Store | None, chosen: Collection[str], states: States | None
    ) -> None:
        """Check what shows the runs that were chosen."""
        shown: dict[str, str] = {}
        good: set[str] = set()
        noted: dict[str, str | None] = {}
        policies = {str(row["policy"]) for row in records.runs.values()}
        removed = {str(note["run_id"]): str(note["at"]) for note in records.notes
                   if note["what"] == "goods"}  # fmt: skip
        signers = self._register(records)
        earlier: dict[str, list[Entry]] = {}
        for run_id in records.runs:
            entries = list_entries(records, run_id)
            policy = str(records.runs[run_id]["policy"])
            if run_id in chosen and run_id not in records.broken:
                self._check_approvals(records, run_id, entries, earlier.get(policy, []), signers)
            earlier.setdefault(policy, []).extend(e for e in entries if e.kind in people.TELLING)
            self._remember(make_record(records, run_id, entries), entries)
            noted |= dict(views.list_noted_aliases(entries))
            body = goods.bodies(entries, "mlflow").get("run")
            if isinstance(body, dict):
                shown[str(body["run_id"])] = run_id
            if run_id in chosen and run_id in removed:
                self.found.removed.append(
                    f"goods of run {run_id}: removed under retention on {removed[run_id][:10]}"
                )
            elif run_id in chosen:
                good |= self.run(records, run_id, entries, store)
        for run_id, at in records.ended.items():
            self.found.removed.append(
                f"evidence of run {run_id}: removed under retention on {at[:10]}"
            )
        if store is not None and len(chosen) == len(records.runs):
            views.check_strangers(store, shown, policies, self.found)
            views.check_aliases(store, noted, good, self.found)
        if states is not None:
            self._check_states(records, chosen, states)

    def run(
        self, records: Records, run_id: str, entries: list[Entry], store: Store | None
    ) -> set[str]:
        """Check a run's pages, packages, and what MLflow shows; give its models that are good."""
        record = make_record(records, run_id, entries)
        if run_id in records.broken:
            self.found.beside.append(f"run {run_id} is not replayed: its record was changed")
        if record is None or record.verdict not in ENDED or run_id in records.broken:
            return set()
        self.found.compared["runs"] += 1
        derive = self.keys.derive
        goods.check_pages(self.home.reports, run_id, entries, derive, self.found)
        goods.check_packages(self.home.releases, run_id, entries, self.found)
        if store is None:
            return set()
        file = self._policy(record)
        policy = file.policy if file else None
        judged = views.check_shown(store, record, policy, entries, self.keys, self.found)
        if judged is None:
            return set()
        shown, judge = judged
        files = self._files(shown.place)
        if files is not None:
            text = str(record.facts["policy_text"])
            goods.check_artifacts(files, text, run_id, entries, derive, self.found)
        if record.verdict != "passed" or policy is None:
            return set()
        return set(self._models(store, policy, shown, judge, entries))

    def _register(self, records: Records) -> people.People:
        home = signatures.public_of(self.keys.derive, "checkpoints").hex()
        return people.check_register(records.signers, self.pinned, home, self.found)

    def _remember(self, record: RunRecord | None, entries: list[Entry]) -> None:
        whole = self._whole_policy(record) if record and record.verdict == "passed" else None
        if record is not None and whole is not None:
            at = next(entry.at for entry in reversed(entries) if entry.kind == "verdict")
            one = Passed(record.run_id, record.started_at, at, whole)
            self.before.setdefault(record.policy, []).append(one)

    def _check_approvals(
        self,
        records: Records,
        run_id: str,
        entries: list[Entry],
        earlier: list[Entry],
        signers: people.People,
    ) -> None:
        record = make_record(records, run_id, entries)
        if record is None or "policy_text" not in record.facts:
            return  # of a version that kept no text, and so had no approvals
        file = self._policy(record)
        policy = file.policy if file else None
        people.check_approvals(
            policy, run_id, record.facts, entries, earlier, signers, self.found
        )  # fmt: skip
        now = self._whole_policy(record)
        if now is None or record.verdict != "passed":
            return
        passed = self.before.get(record.policy, [])
        by_then = [one for one in passed if one.at <= record.started_at]
        before = by_then[-1] if by_then else None
        gone = _find_removed(records, record, before.started_at if before else "")
        if gone:
            self.found.beside.append(
                f"whether people approved the text of run {run_id} is not looked at: run {gone} "
                "before it went under retention"
            )
            return
        last = (before.run_id, before.policy) if before else None
        people.check_policy(last, now, run_id, record.facts, record.started_at, signers, self.found)

    def _whole_policy(self, record: RunRecord) -> Policy | None:
        facts = record.facts
        folder = Path(str(facts.get("policy_folder", "")))
        try:
            return parse_policy(str(facts.get("policy_text")), f"{record.policy}.yaml", folder)
        except PolicyError:
            return None

    def _models(
        self, store: Store, policy: Policy, shown: Shown, judge: views.Judge, entries: list[Entry]
    ) -> list[str]:
        good, run_id = [], judge.run_id
        for outlet in goods.bodies(entries, "approved"):
            version = views.check_version(store, policy, outlet, shown, judge, self.found)
            files = self._files(version.place) if version else None
            if version is None or files is None:
                continue
            files = goods.leave_out_loaded(files, version.name, version.version)
            before = len(self.found.differences)
            derive = self.keys.derive
            goods.check_model(files, outlet, run_id, entries, derive, self.found)
            if len(self.found.differences) == before:
                good.append(f"{version.name}/{version.version}")
        return good

    def _files(self, place: str) -> goods.Files | None:
        try:
            files = read_files(self.home, place)
        except ServiceError as error:
            self.found.left_out.append(str(error))
            return None
        if files is None:
            self.found.differ("artifacts", place, "a place of the store's own", "another place")
        return files

    def _policy(self, record: RunRecord) -> PolicyFile | None:
        """Read a run's policy from its record, each text once; None where it cannot be."""
        facts = record.facts
        key = json.dumps([record.policy, *(facts.get(name) for name in
            ("policy_text", "policy_folder", "source", "part"))])  # fmt: skip
        if key not in self.policies:
            try:
                self.policies[key] = read_recorded(record)
            except PolicyError:
                self.policies[key] = None
                self.found.beside.append(
                    f"run {record.run_id} is not replayed: this version cannot read its policy"
                )
        return self.policies[key]

    def _check_states(self, records: Records, chosen: Collection[str], states: States) -> None:
        wanted = {}
        for run_id in chosen:
            entries = list_entries(records, run_id)
            record = make_record(records, run_id, entries)
            body = goods.bodies(entries, "prefect").get("flow_run")
            if record is not None and record.verdict is not None and isinstance(body, dict):
                wanted[str(body["id"])] = record
        try:
            there = states([*wanted])
        except ServiceError as error:
            self.found.beside.append(f"Prefect was not compared: {error}")
            return
        for flow_run, record in wanted.items():
            if flow_run not in there:
                self.found.beside.append(f"Prefect has no flow run {flow_run} any more")
                continue
            self.found.compared["Prefect states"] += 1
            names = STATES[str(record.verdict)]
            if there[flow_run] not in names:
                told = " or ".join(sorted(names))
                self.found.differ("Prefect", flow_run, told, there[flow_run], record.run_id)


def _read_anchor(place: Path, found: Findings) -> bytes | None:
    """Read an anchor; of a folder, all its files of checkpoints."""
    paths = sorted(place.glob("checkpoints-*.jsonl")) if place.is_dir() else [place]
    try:
        return b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        found.left_out.append(f"the anchor {place} cannot be read: {error.strerror}")
        return None


def list_entries(records: Records, run_id: str) -> list[Entry]:
    """Give a run's entries as far as their bodies can be read."""
    names = ("run_id", "seq", "at", "step", "kind", "name", "sealed")
    found = []
    for row in records.entries.get(run_id, []):
        try:
            body = json.loads(str(row["body"]))
        except ValueError:
            continue  # its chain is broken, which is noted
        found.append(Entry(**{name: row[name] for name in names}, body=body))  # type: ignore[arg-type]
    return found


def _find_removed(records: Records, record: RunRecord, since: str) -> str:
    """Give the last run of a policy that passed before one, after a moment, and was removed."""
    gone = ""
    for note in records.notes:
        kept = json.loads(str(note["kept"])) if note["what"] == "evidence" else {}
        if (
            kept.get("policy") == record.policy
            and since < kept["started_at"] < record.started_at
            and any(said[:2] == ["decision", "passed"] for said in kept["evidence"])
        ):
            gone = str(note["run_id"])
    return gone


def make_record(records: Records, run_id: str, entries: list[Entry]) -> RunRecord | None:
    """Give a run with its latest verdict; None where its facts cannot be read."""
    row = records.runs[run_id]
    ends = [entry.name for entry in entries if entry.kind == "verdict"]
    verdict: Verdict | None = ends[-1] if ends else None  # type: ignore[assignment]  # as written
    try:
        facts = json.loads(str(row["facts"]))
    except ValueError:
        return None
    return RunRecord(run_id, str(row["policy"]), str(row["started_at"]), facts, verdict)
