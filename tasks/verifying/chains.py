"""The chains of the ledgers, recomputed from their published form.

Shares no code with the ledgers that write them: it reads their tables by name and makes each code
anew. It knows what each ledger must say of the others: that every line of the journal names an
entry that is there, and every run and entry that has a line has it once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import sqlalchemy as sa

from tasks.verifying.findings import Findings
from tasks.verifying.sealed import opens

Derive: TypeAlias = Callable[[str], bytes]
"""Gives a home's key for a name."""
Row: TypeAlias = Mapping[str, object]

NAMED: Final = frozenset({"decision", "intent", "release", "verdict"})
"""Kinds of evidence that have a line in the journal."""
NONCE: Final = 12
ROWS_OF: Final = {
    "plan": ("release_plans", "release plan"),
    "released": ("releases", "release"),
    "people": ("release_people", "people of release"),
}
"""Where the rows lie that a kind of line names, and as what their content is sealed."""
GONE: Final = "nothing"
OTHER: Final = "another one"
AS_WRITTEN: Final = "as it was written"


@dataclass(slots=True)
class Records:
    """The ledgers' rows as they were read at one moment, and where each chain stood."""

    journal: list[Row]
    runs: dict[str, Row]
    entries: dict[str, list[Row]]
    links: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """Of each ledger, the link at each number, as it was recomputed."""
    notes: list[Row] = field(default_factory=list)
    """What was removed under retention, held or restored."""
    signers: list[Row] = field(default_factory=list)
    """What became of people's keys."""
    broken: set[str] = field(default_factory=set)
    """Runs whose entries are not as they were written."""

    @property
    def ended(self) -> dict[str, str]:
        """Runs whose evidence was removed under retention, and when."""
        found = [
            one for one in self.journal if (one["what"], one["name"]) == ("retention", "evidence")
        ]
        return {str(one["run_id"]): str(one["at"]) for one in found}


def read_rows(connection: sa.Connection, table: str, order: str) -> list[Row]:
    """Read a whole table in an order."""
    query = sa.text(f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - our own names
    return [dict(row) for row in connection.execute(query).mappings()]


def verify_chains(connection: sa.Connection, derive: Derive, found: Findings) -> Records:
    """Recompute every chain of the ledgers; what is off is noted by its place."""
    records = Records(
        read_rows(connection, "journal", "seq"),
        {str(row["run_id"]): row for row in read_rows(connection, "runs", "started_at, run_id")},
        defaultdict(list),
    )
    for row in read_rows(connection, "evidence", "run_id, seq"):
        records.entries[str(row["run_id"])].append(row)
    check_journal(records, derive("journal"), found)
    check_runs(records, derive("begun-runs"), found)
    for run_id in {*records.runs, *records.entries}:
        check_entries(records, run_id, derive("evidence-chain"), found)
    check_budget(connection, records, derive("budget-chain"), found)
    check_keys(connection, records, derive("key-history"), found)
    check_notes(connection, records, derive("retention-notes"), found)
    check_signers(connection, records, derive("signers"), found)
    check_releases(connection, records, derive, found)
    check_blocks(connection, records, derive("consent-chain"), found)
    return records


def check_journal(records: Records, key: bytes, found: Findings) -> None:
    """Recompute the journal; the lines that a migration wrote have no link of their own."""
    before, chained, expected = "", False, 0
    columns = ("seq", "at", "what", "name", "run_id", "place", "code")
    for row in records.journal:
        expected += 1
        expected = _follow("journal", "line", expected, row, found)
        link = _code(key, [before, *(row[name] for name in columns)])
        chained |= bool(row["link"])
        if chained:
            _hold("journal", f"line {row['seq']}", link, row["link"], found)
        before = str(row["link"]) if chained else link
        records.links["evidence"][expected] = before
    records.links["evidence"][0] = ""


def _follow(ledger: str, what: str, expected: int, row: Row, found: Findings) -> int:
    """Note the numbers that are missing before a row; give the row's own."""
    seq = int(str(row["seq"]))
    if seq != expected:
        missing = f"{expected}" if seq == expected + 1 else f"{expected} to {seq - 1}"
        found.differ(ledger, f"{what} {missing}", "in its place", "gone, or moved")
    return seq


def _hold(  # noqa: PLR0913, PLR0917 - what is held, and where
    ledger: str, name: str, link: str, there: object, found: Findings, run: str = ""
) -> bool:
    found.compared[f"{ledger} entries"] += 1
    if hmac.compare_digest(link, str(there)):
        return True
    found.differ(ledger, name, AS_WRITTEN, "changed, moved or put in, or one before it was", run)
    return False


def check_runs(records: Records, key: bytes, found: Findings) -> None:
    """Hold every run against the line that says that it began, and the other way round."""
    begun = {str(one["run_id"]): one for one in records.journal if one["what"] == "begun"}
    for run_id, row in records.runs.items():
        line = begun.pop(run_id, None)
        if line is None:
            found.differ(
                "evidence", f"run {run_id}", "no such run", "a run that was put in", run_id
            )
            continue
        short = json.dumps([row["run_id"], row["policy"], row["started_at"]])
        code = hmac.digest(key, f"{short}\n{row['facts']}".encode(), "sha256").hex()
        if line["code"]:
            _hold("evidence", f"beginning of run {run_id}", code, line["code"], found, run_id)
    for run_id in begun.keys() - records.ended.keys():
        found.differ("evidence", f"run {run_id}", "a run that began here", GONE, run_id)


def check_entries(records: Records, run_id: str, key: bytes, found: Findings) -> None:
    """Recompute a run's entries, and hold them against the lines that name them."""
    run = records.runs.get(run_id)
    if run is None:
        found.differ("evidence", f"entries of {run_id}", "no such run", "entries", run_id)
        records.broken.add(run_id)
        return
    chain = _code(key, ["", *(run[name] for name in ("run_id", "policy", "started_at", "facts"))])
    columns = ("run_id", "seq", "at", "step", "kind", "name", "body", "sealed")
    lines = {
        int(str(one["place"])): one
        for one in records.journal
        if one["run_id"] == run_id and one["what"] in NAMED
    }
    for place, row in enumerate(records.entries.get(run_id, []), start=1):
        sealed = row["sealed"]
        values = {**row, "sealed": bytes(sealed).hex() if isinstance(sealed, bytes) else sealed}
        link = _code(key, [chain, *(values[name] for name in columns)])
        named = f"entry {row['seq']} of run {run_id} ({row['kind']}: {row['name']})"
        line = lines.pop(place, None)
        whole = row["seq"] == place and _hold("evidence", named, link, row["chain"], found, run_id)
        if row["seq"] != place:
            found.differ("evidence", named, f"entry {place}", "entries gone or moved", run_id)
        if whole and line is not None and line["code"] and line["code"] != row["chain"]:
            found.differ("evidence", named, "the one in the journal", OTHER, run_id)
            whole = False
        if whole and line is None and row["kind"] in NAMED:
            found.differ("journal", named, "a line that names it", GONE, run_id)
        if not whole:
            records.broken.add(run_id)
            return  # what follows is chained to it
        chain = link
    for place, line in lines.items():
        named = f"entry {place} of run {run_id} ({line['what']}: {line['name']})"
        found.differ("evidence", named, "the one in the journal", GONE, run_id)
        records.broken.add(run_id)


def check_budget(connection: sa.Connection, records: Records, key: bytes, found: Findings) -> None:
    """Recompute the chain of charges."""
    columns = (
        "seq", "at", "what", "run_id", "policy", "purpose", "composition", "mechanisms", "ceiling",
        "people",
    )  # fmt: skip
    rows = read_rows(connection, "budget_events", "seq")
    records.links["budget"] = _check_chain("budget", rows, columns, key, found)
    _check_named(records, "charge", records.links["budget"], "budget", found)


def check_keys(connection: sa.Connection, records: Records, key: bytes, found: Findings) -> None:
    """Recompute the history of the keys of tokens."""
    columns = ("seq", "at", "purpose", "version", "what")
    links = _check_chain("keys", read_rows(connection, "key_history", "seq"), columns, key, found)
    _check_named(records, "key", links, "keys", found)


def _check_chain(
    ledger: str, rows: Sequence[Row], columns: Sequence[str], key: bytes, found: Findings
) -> dict[int, str]:
    links, before, expected = {0: ""}, "", 0
    for row in rows:
        expected = _follow(ledger, "entry", expected + 1, row, found)
        link = _code(key, [before, *(row[name] for name in columns)])
        _hold(ledger, f"entry {row['seq']}", link, row["chain"], found)
        before = links[expected] = str(row["chain"])
    return links


def _check_named(
    records: Records, what: str, links: Mapping[int, str], ledger: str, found: Findings
) -> None:
    """Hold a ledger's links against the lines of the journal that name them."""
    lines = [one for one in records.journal if one["what"] == what]
    for line in lines:
        link = links.get(int(str(line["place"])))
        if line["code"] and link != line["code"]:
            there = GONE if link is None else OTHER
            found.differ(ledger, f"entry {line['place']}", "the one in the journal", there)
    named = {int(str(line["place"])) for line in lines}
    for place in sorted(links.keys() - named - {0}):
        found.differ("journal", f"{ledger} entry {place}", "a line that names it", GONE)


def check_notes(connection: sa.Connection, records: Records, key: bytes, found: Findings) -> None:
    """Hold what was removed and held against the journal."""
    columns = ("seq", "at", "what", "run_id", "who", "because", "until", "kept")
    records.notes = read_rows(connection, "retention", "seq")
    codes = {
        int(str(row["seq"])): _code(key, [row[name] for name in columns]) for row in records.notes
    }
    found.compared["retention entries"] += len(codes)
    _check_named(records, "retention", codes, "retention", found)


def check_signers(connection: sa.Connection, records: Records, key: bytes, found: Findings) -> None:
    """Hold what became of people's keys against the journal."""
    columns = ("seq", "at", "what", "key", "signed")
    records.signers = read_rows(connection, "signers", "seq")
    codes = {
        int(str(row["seq"])): _code(key, [row[name] for name in columns]) for row in records.signers
    }
    _check_named(records, "signer", codes, "signers", found)


def check_releases(
    connection: sa.Connection, records: Records, derive: Derive, found: Findings
) -> None:
    """Hold frozen plans, releases, and who was in them against the journal."""
    key = derive("release-codes")
    for what, (table, sealed_as) in ROWS_OF.items():
        codes = {}
        for row in read_rows(connection, table, "run_id"):
            plain = {name: row[name] for name in row if name != "sealed"}
            sealed = _as_bytes(row["sealed"])
            message = json.dumps([plain, sealed[:NONCE].hex()], sort_keys=True).encode()
            label = f"{sealed_as}:{json.dumps(plain, sort_keys=True)}"
            whole = opens(derive(f"seal:{label}"), sealed, label)
            code = hmac.digest(key, message, "sha256").hex()
            codes[_name_row(what, row)] = code if whole else "changed"
        found.compared["releases entries"] += len(codes)
        _check_rows(records, what, codes, found)


def _check_rows(
    records: Records, what: str, codes: Mapping[tuple[object, object], str], found: Findings
) -> None:
    named: dict[tuple[object, object], object] = {}
    for line in records.journal:
        place = (line["name"], line["place"])
        if line["what"] == what:
            named[place] = line["code"]
        elif what == "people" and line["what"] == "forgotten":
            named.pop(place, None)
    for place in named.keys() | codes.keys():
        if place not in named or (named[place] or codes.get(place)) != codes.get(place):
            there = OTHER if place in codes else GONE
            found.differ("releases", f"{what} {place[0]} {place[1]}", AS_WRITTEN, there)


def _name_row(what: str, row: Row) -> tuple[object, object]:
    if what == "plan":
        return f"{row['policy_sha256']}/{row['outlet']}/{row['period']}", row["version"]
    return f"{row['policy']}/{row['outlet']}", row["seq"]


def check_blocks(connection: sa.Connection, records: Records, key: bytes, found: Findings) -> None:
    """Recompute the links of the blocks of consent; the events in them answer for themselves."""
    before, expected = _link_block(key, b"", [0, 0, 0, ""], b""), 1
    links = {0: before.hex()}
    for row in read_rows(connection, "consent_blocks", "first_seq"):
        first, last = int(str(row["first_seq"])), int(str(row["last_seq"]))
        if first != expected:
            found.differ("consent", f"events {expected} to {first - 1}", "in their place", GONE)
        commitments = _as_bytes(row["commitments"])
        values = [first, last, row["recorded_at"], row["source"]]
        link = _link_block(key, before, values, commitments)
        there = _as_bytes(row["link"])
        _hold("consent", f"block of events {first} to {last}", link.hex(), there.hex(), found)
        before, expected = there, last + 1
        links[last] = there.hex()
    records.links["consent"] = links


def _link_block(key: bytes, before: bytes, values: Sequence[object], block: bytes) -> bytes:
    text = json.dumps([before.hex(), *values]).encode() + b"\0"
    return hashlib.blake2b(text + block, key=key, digest_size=32).digest()


def _code(key: bytes, values: Sequence[object]) -> str:
    return hmac.digest(key, json.dumps(values).encode(), "sha256").hex()


def _as_bytes(value: object) -> bytes:
    """Read a column of bytes, in which somebody can have put something else."""
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
