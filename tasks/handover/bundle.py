"""A bundle: all that tells of one run, in one file that anybody can check without this home.

It holds the policy, the evidence as published, report, cards and lineage, receipts, what people
signed, and a checkpoint over the home's ledgers; and a manifest, which names each by its SHA-256
and is signed with the key of the home's checkpoints (DSSE v1). The same run gives the same bytes,
as long as its pages and the newest checkpoint are the same. No goods are in it, and no person.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Final

from expectations.errors import UsageError
from ledgers.checkpoints import NAME as CHECKPOINTS
from ledgers.checkpoints import Said, write_canonical
from ledgers.evidence import OPEN
from ledgers.home.line_file import LineFile
from tasks.account.summary import to_evidence_json
from tasks.handover.approval import APPROVAL
from tasks.handover.decided_run import DecidedRun
from tasks.handover.receipt import seal
from tasks.handover.written import refuse_changed_files

PAYLOAD: Final = "application/vnd.tutela.bundle+json"
TYPE: Final = "tutela.bundle"
VERSION: Final = 1
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
    signed = [entry.body for entry in run.entries if entry.kind == APPROVAL]
    for number, body in enumerate(signed, start=1):
        files[f"approval-{number}.json"] = write_canonical(body) + b"\n"
    checkpoint = LineFile(run.home.root / CHECKPOINTS).last()
    if checkpoint is not None:
        files["checkpoint.json"] = checkpoint + b"\n"
    return files


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
