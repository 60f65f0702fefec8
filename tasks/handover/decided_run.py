"""A run whose verdict is on record: what is known of it, and what of it waits in the outbox.

Whoever completes a run or reads it back opens it so. How it is handed over is not known here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from expectations.policy.vocabulary import Verdict
from expectations.policy_file import PolicyFile
from ledgers.consent.ledger import ConsentLedger
from ledgers.evidence import INTENT, JSON, Entry, EvidenceLedger, RunRecord
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.outbox import Outbox
from ledgers.vault.digests import digest_bytes, digest_in_run
from tasks.account.summary import Summary, summarize
from tasks.handover.package import NONCE_BYTES
from tasks.handover.readiness import PEOPLE

NONCE: Final = "-nonce-"
"""Where a package's random number waits, before the outlet's name; no outlet's begins so."""
BEGAN: Final = frozenset((INTENT, "registering", "release", "mlflow"))
"""Notes of a run that began to hand over; earlier versions noted no intent."""


@dataclass(frozen=True, slots=True)
class DecidedRun:
    """A run whose verdict is on record, in or out of the process that made it."""

    home: Home
    keys: Keys
    ledger: EvidenceLedger
    record: RunRecord
    file: PolicyFile

    @property
    def entries(self) -> list[Entry]:
        """The run's evidence so far."""
        return self.ledger.entries(self.record.run_id)

    @property
    def decision(self) -> str | None:
        """The verdict that was decided last, or None while the run is under way."""
        decided = [entry.name for entry in self.entries if entry.kind == "decision"]
        return decided[-1] if decided else None

    @property
    def flow_run(self) -> str | None:
        """The id of the Prefect flow run that it was, where it was one."""
        found = [e.body for e in self.entries if e.kind == "prefect"]
        return str(found[-1]["id"]) if found and isinstance(found[-1], dict) else None

    @property
    def mlflow_run(self) -> str | None:
        """The id of the MLflow run that shows it, once all is handed over."""
        found = [e.body for e in self.entries if e.kind == "mlflow"]
        return str(found[-1]["run_id"]) if found and isinstance(found[-1], dict) else None

    @property
    def mlflow_store(self) -> str | None:
        """The address of MLflow's store in which its model is, as it was noted."""
        found = [e.body for e in self.entries if (e.kind, e.name) == ("mlflow", "run")]
        store = found[-1].get("store") if found and isinstance(found[-1], dict) else None
        return str(store) if store else None

    @property
    def outbox(self) -> Outbox:
        """Where the run's goods wait."""
        return Outbox(self.home, self.keys)

    @property
    def consent(self) -> ConsentLedger:
        """The home's consent ledger."""
        return ConsentLedger(self.ledger.engine, self.home, self.keys)

    def note(self, step_name: str, kind: str, name: str, body: JSON) -> None:
        """Write one piece of evidence."""
        self.ledger.append(self.record.run_id, step_name, kind, name, body)

    def digest(self, content: bytes) -> str:
        """Give the keyed digest by which the run's record knows bytes."""
        return digest_in_run(self.record.run_id, digest_bytes(self.keys.derive("digest"), content))

    def approved(self, outlet: str) -> JSON:
        """Give the digest of the model that was approved; None where none was noted."""
        found = [e.body for e in self.entries if (e.kind, e.name) == ("approved", outlet)]
        return found[0] if found else None

    def waiting(self) -> dict[str, str]:
        """Give the run's goods in the outbox: outlet to the name under which it waits."""
        prefix = f"{self.record.run_id}-"
        names = [name for name in self.outbox.pending() if name.startswith(prefix)]
        return {name.removeprefix(prefix): name for name in names}

    @property
    def lost_its_goods(self) -> bool:
        """Whether it passed, but ended before anything could leave, and nothing waits here."""
        return self.decision == Verdict.PASSED and not self.began and PEOPLE not in self.waiting()

    @property
    def began(self) -> bool:
        """Whether it began to hand over."""
        return any(entry.kind in BEGAN for entry in self.entries)

    def others_of_policy(self) -> list[RunRecord]:
        """Give the other runs of its policy, oldest first."""
        mine, name = self.record.run_id, self.record.policy
        return [run for run in self.ledger.runs() if run.policy == name and run.run_id != mine]

    def goods(self) -> dict[str, bytes]:
        """Open what was made ready, by outlet; nothing where the run did not pass."""
        if self.decision != Verdict.PASSED:
            return {}
        return {
            outlet: self.outbox.take(name)
            for outlet, name in self.waiting().items()
            if not outlet.startswith("-")
        }

    def nonce(self, outlet: str) -> bytes:
        """Give the random number of an outlet's package, the same however often it is made."""
        waiting = self.waiting().get(NONCE + outlet)
        if waiting is not None:
            return self.outbox.take(waiting)
        drawn = secrets.token_bytes(NONCE_BYTES)
        self.outbox.put(f"{self.record.run_id}-{NONCE}{outlet}", drawn)
        return drawn

    def summary(self) -> Summary:
        """Give the run as it may be published."""
        return summarize(self.record, self.file.policy, self.entries)
