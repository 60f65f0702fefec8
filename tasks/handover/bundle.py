"""A bundle: all that tells of one run, in one file that anybody can check without this home.

It holds the policy, the evidence as published, report, cards and lineage, receipts, what people
were asked and signed; and a manifest, which names each by its SHA-256 and the newest checkpoint by
its own, and is signed with the key of the home's checkpoints (DSSE v1). The same run gives the same
bytes, as long as its pages and the newest checkpoint are the same. No goods are in it, and no
person; nor the checkpoint itself, since that counts the home's consent events exactly.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Final, cast

from expectations.errors import UsageError
from ledgers.checkpoints import Said, name_checkpoint, write_canonical
from ledgers.evidence import JSON, OPEN
from tasks.account.summary import to_evidence_json
from tasks.handover.approval import APPROVAL, CARRIED, find_request
from tasks.handover.decided_run import DecidedRun
from tasks.handover.receipt import seal
from tasks.handover.written import refuse_changed_files

PAYLOAD: Final = "application/vnd.tutela.bundle+json"
TYPE: Final = "tutela.bundle"
VERSION: Final = 2
"""The first had the checkpoint itself, and not what people were asked."""
MANIFEST: Final = "manifest.json"
PRIVATE: Final = 0o600 << 16
"""How each member is unpacked: for its owner alone."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the earliest that a zip can say."""


def write_bundle(run: DecidedRun) -> bytes:
    """Give the bundle of a run that ended; UsageError for one that goes on, or waits."""
    if run.record.verdict in OPEN:
        raise UsageError(f"run {run.record.run_id} has not ended: bundle it when it has")
    refuse_changed_files(run)
    files = gather(run)
    said: dict[str, Said] = {
        "type": TYPE,
        "version": VERSION,
        "run": run.record.run_id,
        "policy": run.record.policy,
        "policy_sha256": str(run.record.facts["policy_sha256"]),
        "policy_files": str(run.record.facts.get("policy_hierarchies") or ""),
        "code": str(run.record.facts["code"]),
        "started": run.record.started_at,
        "verdict": str(run.record.verdict),
        "checkpoint": cast("Said", name_checkpoint(run.keys)),
        "files": {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)},
    }
    manifest = seal(run.keys, PAYLOAD, write_canonical(said)).encode()
    return pack_members({**files, MANIFEST: manifest})


def gather(run: DecidedRun) -> dict[str, bytes]:
    """Gather what is in a bundle beside the manifest, by name."""
    name = run.record.run_id
    evidence = json.dumps(to_evidence_json(run.summary()), indent=2, sort_keys=True)
    files = {
        "policy.yaml": str(run.record.facts["policy_text"]).encode(),
        "evidence.json": evidence.encode(),
    }
    for path in run.home.reports.glob(f"{name}*"):
        files[f"report{path.name.removeprefix(name)}"] = path.read_bytes()
    return files | {name: write_canonical(body) + b"\n" for name, body in list_signed(run)}


def list_signed(run: DecidedRun) -> Iterator[tuple[str, JSON]]:
    """Give what people were asked about the run, and all that they signed, by name."""
    request = find_request(run.entries)
    if request is not None:
        yield "request.json", cast("JSON", dict(request.said))
    if start := run.record.facts.get("start"):
        yield "start.json", start
    signed = [entry.body for entry in run.entries if entry.kind in {APPROVAL, CARRIED}]
    of_text = cast("list[JSON]", run.record.facts.get("policy_approvals") or [])
    for name, bodies in (("approval", signed), ("policy-approval", of_text)):
        for number, body in enumerate(bodies, start=1):
            yield f"{name}-{number}.json", body


def pack_members(files: Mapping[str, bytes]) -> bytes:
    """Put files into a zip that has one form: by name, stored as they are, without times."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as bundle:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, EPOCH)
            member.create_system = 0
            member.external_attr = PRIVATE
            bundle.writestr(member, files[name])
    return written.getvalue()
