"""What MLflow shows of runs, held against the record: the projection is replayed and compared.

A run's record has a digest of every value that was shown of it, so a run of an earlier version is
judged by what that version showed. Of runs from before such digests, the values that a replay gives
are compared where MLflow has them; what it lacks may never have been shown, and is said.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from expectations.policy.outlets import claim
from expectations.policy.policy import Policy
from ledgers.evidence import Entry, RunRecord
from ledgers.home.keys import Keys
from tasks.account.projection import PROJECTION, project
from tasks.handover.shown import Shown, ShownModel, Store, expect_inputs
from tasks.verifying.chains import GONE
from tasks.verifying.findings import Findings
from tasks.verifying.goods import bodies, list_claims

if TYPE_CHECKING:
    from ledgers.evidence import JSON

OURS: Final = ("tutela.", "check.")
"""How the names of tags begin that nobody but a projection sets."""
ON_VERSIONS: Final = "tutela."
TOLD_AS_ASKED: Final = 3
"""The last projection in which a version said what the policy asks, whatever was reached."""
RUN_TAG: Final = "tutela.run"


def check_shown(  # noqa: PLR0913, PLR0917 - what is shown, and what is known of it
    store: Store, record: RunRecord, policy: Policy | None, entries: list[Entry], keys: Keys,
    found: Findings,
) -> tuple[Shown, Judge] | None:  # fmt: skip
    """Hold what MLflow shows of a run against its record; give it, and by what it was judged."""
    noted = bodies(entries, "mlflow").get("run")
    if not isinstance(noted, dict):
        return None
    run_id = record.run_id
    named = f"run {noted['run_id']}"
    shown = next((one for one in store.runs if one.mlflow_run == noted["run_id"]), None)
    found.compared["MLflow runs"] += 1
    if shown is None:
        found.differ("MLflow runs", named, "a run that shows it", GONE, run_id)
        return None
    if shown.deleted:
        found.differ("MLflow runs", named, "a run that shows it", "deleted", run_id)
    found.compare("MLflow tags", RUN_TAG, run_id, shown.run, run_id)
    replayed = replay(record, policy, entries) if policy else {}
    known = noted.get("shown")
    judge = Judge(
        keys.derive("shown"), run_id, known if isinstance(known, dict) else None, replayed,
        _claims(policy, entries, noted.get("projection")) if policy else {},
    )  # fmt: skip
    if judge.known is None:
        check_values(shown, replayed, run_id, found)
    else:
        check_parts(shown, judge, found)
        say_missing(noted.get("projection"), judge, found)
    return shown, judge


def replay(record: RunRecord, policy: Policy, entries: list[Entry]) -> dict[str, dict[str, str]]:
    """Give what the record says that MLflow shows: by the entries that were there when it did."""
    end = max(entry.seq for entry in entries if (entry.kind, entry.name) == ("mlflow", "run"))
    written = [entry for entry in entries if entry.seq < end]
    shown = project(record, policy, written)
    return shown.as_text() | {"inputs": expect_inputs(shown)}


def _claims(policy: Policy, entries: Sequence[Entry], version: JSON) -> dict[str, str]:
    """Give what each outlet's model may say; up to projection 3 that was what the policy asks."""
    if not isinstance(version, int) or version <= TOLD_AS_ASKED:
        return {name: claim(outlet) for name, outlet in policy.outlets.items()}
    return list_claims(policy, entries)


@dataclass(frozen=True, slots=True)
class Judge:
    """What the record knows of the values that MLflow shows of a run."""

    key: bytes
    run_id: str
    known: Mapping[str, JSON] | None
    """A digest of each value, by part and name; None of a run from before digests."""
    replayed: Mapping[str, Mapping[str, str]]
    claims: Mapping[str, str]
    """What a version of each outlet's model says of itself."""

    def names(self, part: str) -> set[str]:
        """Give the names of all values of a part."""
        source = self.replayed if self.known is None else self.known
        found = source.get(part)
        return set(found) if isinstance(found, Mapping) else set()

    def is_true(self, part: str, name: str, value: str | None) -> bool:
        """Whether a value is the one that was shown."""
        if self.known is None:
            return value == self.replayed.get(part, {}).get(name)
        digests = self.known.get(part)
        expected = digests.get(name) if isinstance(digests, dict) else None
        message = f"{self.run_id}\0{part}\0{name}\0{value}".encode()
        digest = hmac.digest(self.key, message, "sha256").hex()[:32]
        return value is not None and hmac.compare_digest(digest, str(expected))

    def tell(self, part: str, name: str) -> str:
        """Say what was expected: the value, where a replay gives the one that was shown."""
        meant = self.replayed.get(part, {}).get(name)
        return meant if meant and self.is_true(part, name, meant) else "what was shown of it"


def check_parts(shown: Shown, judge: Judge, found: Findings) -> None:
    """Compare each value that MLflow shows with the digest on record."""
    for part, there in shown.parts.items():
        names = judge.names(part)
        for name in sorted(names):
            found.compared[f"MLflow {part}"] += 1
            if not judge.is_true(part, name, there.get(name)):
                value = _short(part, there.get(name))
                found.differ(f"MLflow {part}", name, judge.tell(part, name), value, judge.run_id)
        for name in sorted(there.keys() - names - {RUN_TAG}):
            # A tag of one's own is no claim of tutela's.
            if part != "tags" or name.startswith(OURS):
                found.differ(f"MLflow {part}", name, None, _short(part, there[name]), judge.run_id)


def check_values(
    shown: Shown, replayed: Mapping[str, Mapping[str, str]], run_id: str, found: Findings
) -> None:
    """Compare a run from before digests with a replay, name by name, where both have it."""
    lacks = 0
    for part, values in replayed.items():
        there = shown.parts[part]
        for name, expected in values.items():
            if name not in there:
                lacks += 1
            elif part != "inputs":
                found.compare(f"MLflow {part}", name, expected, there[name], run_id)
    if lacks:
        found.beside.append(
            f"run {run_id} is of an earlier version, whose record has no digest of what MLflow "
            f"shows: {lacks} values of today's are not there, or were never shown"
        )


def say_missing(version: object, judge: Judge, found: Findings) -> None:
    """Name what today's projection shows and that of an earlier version did not."""
    if version == PROJECTION:
        return
    lacks = sorted(
        f"{part} {name}"
        for part, values in judge.replayed.items()
        for name in values.keys() - judge.names(part)
    )
    if lacks:
        named = ", ".join(lacks[:5]) + (" and others" if len(lacks) > 5 else "")
        found.beside.append(f"run {judge.run_id} was shown by version {version}, without {named}")


def _short(part: str, value: str | None) -> str:
    if value is None:
        return GONE
    return "another input" if part == "inputs" else value


def check_version(  # noqa: PLR0913, PLR0917 - as above
    store: Store, policy: Policy, outlet: str, shown: Shown, judge: Judge, found: Findings
) -> ShownModel | None:  # fmt: skip
    """Hold the registered version of a run's model against the record; give it."""
    name, run_id = f"{policy.name}.{outlet}", judge.run_id
    versions = [m for m in store.models if (m.name, m.mlflow_run) == (name, shown.mlflow_run)]
    found.compared["MLflow registry"] += 1
    if not versions:
        found.differ("MLflow registry", name, "a version of this run", GONE, run_id)
        return None
    for more in versions[1:]:
        found.differ("MLflow registry", f"{name}/{more.version}", None, "put in", run_id)
    version = versions[0]
    told, place = judge.claims[outlet], f"{name}/{version.version}"
    found.compare("MLflow registry", f"description of {place}", told, version.description, run_id)
    # Of a run from before digests, what today's versions have may never have been there.
    known = set() if judge.known is None else judge.names("tags")
    # Tags of each check are the run's; of the others a version has all.
    tags = {tag for tag in known if tag.startswith(ON_VERSIONS)}
    tags |= {tag for tag in version.tags if tag.startswith(OURS) or tag in known}
    for tag in sorted(tags - {RUN_TAG}):
        found.compared["MLflow registry"] += 1
        value = version.tags.get(tag)
        if not judge.is_true("tags", tag, value):
            expected = judge.tell("tags", tag)
            found.differ("MLflow registry", f"{tag} of {place}", expected, value, run_id)
    return version


def check_strangers(
    store: Store, runs: Mapping[str, str], policies: set[str], found: Findings
) -> None:
    """Note runs and versions of models that no run on record stands behind.

    `runs` gives the run on record of each that MLflow shows.
    """
    for one in store.runs:
        if one.mlflow_run not in runs and not one.deleted:
            named = f"run {one.mlflow_run}"
            found.differ("MLflow runs", named, None, f"it says that it shows {one.run}")
    for model in store.models:
        if model.name.partition(".")[0] in policies and model.mlflow_run not in runs:
            named = f"{model.name}/{model.version}"
            found.differ("MLflow registry", named, None, "a version of no run on record")


def check_aliases(
    store: Store, noted: Mapping[str, str | None], good: set[str], found: Findings
) -> None:
    """Hold aliases against those on record; others may only name models of runs that passed."""
    for alias, version in noted.items():
        found.compare("MLflow aliases", alias, version, store.aliases.get(alias))
    for alias, version in store.aliases.items():
        if alias in noted:
            continue
        found.compared["MLflow aliases"] += 1
        if f"{alias.partition('@')[0]}/{version}" in good:
            found.beside.append(f"{alias} names version {version}; who set that is on no record")
        else:
            found.differ("MLflow aliases", alias, "a version on record that passed", version)


def list_noted_aliases(entries: list[Entry]) -> Iterator[tuple[str, str | None]]:
    """Give the aliases that a run's record sets or takes away, in order."""
    for entry in entries:
        if entry.kind == "alias":
            yield entry.name, None if entry.body is None else str(entry.body)
