"""What a run wrote and handed over, held against the digests on its record.

Its digests are made anew here, by no code of those who wrote them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from expectations.policy.outlets import claim_reached
from ledgers.evidence import JSON, Entry
from tasks.verifying.chains import GONE, Derive
from tasks.verifying.findings import Findings

if TYPE_CHECKING:
    from expectations.policy.policy import Policy

Files: TypeAlias = Mapping[str, bytes]
LIST: Final = "tutela.json"
MODEL: Final = "model.skops"
LOADED: Final = "registered_model_meta"
"""What MLflow writes beside a model when somebody loads it by its name."""
CHANGED: Final = "changed"


def digest_page(derive: Derive, content: bytes) -> str:
    """Give the digest by which the record knows a page."""
    return hmac.digest(derive("written-files"), content, "sha256").hex()


def digest_model(derive: Derive, run_id: str, content: bytes) -> str:
    """Give the digest by which a run's record knows its model."""
    lasting = hmac.digest(derive("digest"), b"bytes\0" + content, "sha256").hex()
    return hashlib.sha256(f"{run_id}\0{lasting}".encode()).hexdigest()


def digest_folder(files: Files) -> str:
    """Give what `sha256sum FILES | sha256sum` prints, the names in order."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def leave_out_loaded(files: Files, name: str, version: str) -> Files:
    """Give a model's files without MLflow's own note that it was loaded, if that says no more."""
    note = f"model_name: {name}\nmodel_version: '{version}'\n".encode()
    return {path: held for path, held in files.items() if (path, held) != (LOADED, note)}


def bodies(entries: list[Entry], kind: str) -> dict[str, JSON]:
    """Give the newest body of each name of one kind of evidence."""
    return {entry.name: entry.body for entry in entries if entry.kind == kind}


def check_pages(
    folder: Path, run_id: str, entries: list[Entry], derive: Derive, found: Findings
) -> None:
    """Hold the reports and cards in the home against their digests."""
    digests = bodies(entries, "files").get("reports")
    for name, digest in digests.items() if isinstance(digests, dict) else ():
        path = folder / name
        there = digest_page(derive, path.read_bytes()) if path.is_file() else None
        _note_file("reports", name, str(digest), there, run_id, found)
    for path in folder.glob(f"{run_id}*"):
        if isinstance(digests, dict) and path.name not in digests:
            found.differ("reports", path.name, "nothing", "a file that was put in", run_id)


def check_packages(folder: Path, run_id: str, entries: list[Entry], found: Findings) -> None:
    """Hold released packages against their digests; one may have been moved to its recipient."""
    for outlet, body in bodies(entries, "release").items():
        if not isinstance(body, dict) or "package" not in body:
            continue  # an earlier version released one file
        place = folder / str(body["package"])
        if not place.is_dir():
            found.beside.append(f"the package {body['package']} is not there any more")
            continue
        files = {
            str(path.relative_to(place)): path.read_bytes()
            for path in place.rglob("*")
            if path.is_file() and path.name[:1] != "."
        }
        _note_file("packages", outlet, str(body["digest"]), digest_folder(files), run_id, found)


def check_artifacts(  # noqa: PLR0913, PLR0917 - what lies where, and what is known of it
    files: Files, policy: str, run_id: str, entries: list[Entry], derive: Derive, found: Findings
) -> None:
    """Hold the artifacts of a run in MLflow against their digests."""
    digests = bodies(entries, "artifacts").get("mlflow")
    known = {name: str(one) for name, one in digests.items()} if isinstance(digests, dict) else {}
    known["policy.yaml"] = digest_page(derive, policy.encode())
    for name, digest in known.items():
        there = digest_page(derive, files[name]) if name in files else None
        _note_file("artifacts", name, digest, there, run_id, found)
    if isinstance(digests, dict):
        for name in files.keys() - known.keys():
            found.differ("artifacts", name, "nothing", "a file that was put in", run_id)


def check_model(  # noqa: PLR0913, PLR0917 - as above
    files: Files, outlet: str, run_id: str, entries: list[Entry], derive: Derive, found: Findings
) -> None:
    """Hold a model's folder in MLflow against its list, and the list against the record."""
    approved = bodies(entries, "approved").get(outlet)
    content = files.get(MODEL)
    if approved is not None:
        there = None if content is None else digest_model(derive, run_id, content)
        _note_file("models", f"{outlet}/{MODEL}", str(approved), there, run_id, found)
    shown = bodies(entries, "mlflow").get("run")
    packages = shown.get("packages") if isinstance(shown, dict) else None
    package = packages.get(outlet) if isinstance(packages, dict) else None
    if package is None:
        return
    listed = files.get(LIST)
    there = None if listed is None else hashlib.sha256(listed).hexdigest()
    if not _note_file("models", f"{outlet}/{LIST}", str(package), there, run_id, found):
        return
    known = json.loads(listed or b"{}")["files"]
    for name, digest in known.items():
        there = hashlib.sha256(files[name]).hexdigest() if name in files else None
        _note_file("models", f"{outlet}/{name}", digest, there, run_id, found)
    later = _check_later(files, outlet, run_id, entries, derive, found)
    for name in files.keys() - known.keys() - later - {LIST}:
        found.differ("models", f"{outlet}/{name}", "nothing", "a file that was put in", run_id)


def _check_later(  # noqa: PLR0913, PLR0917 - as above
    files: Files, outlet: str, run_id: str, entries: list[Entry], derive: Derive, found: Findings
) -> set[str]:
    """Check what was put beside a model later, such as its card; give the names."""
    digests, later = bodies(entries, "artifacts").get("mlflow"), set()
    for path, known in digests.items() if isinstance(digests, dict) else ():
        folder, _, name = path.partition("/")
        if folder == outlet and name:
            there = digest_page(derive, files[name]) if name in files else None
            _note_file("models", f"{outlet}/{name}", str(known), there, run_id, found)
            later.add(name)
    return later


def _note_file(  # noqa: PLR0913, PLR0917 - what a comparison is
    where: str, name: str, expected: str, there: str | None, run_id: str, found: Findings
) -> bool:
    """Compare a file by its digests; who reads of it learns neither."""
    found.compared[where] += 1
    same = there is not None and hmac.compare_digest(expected, there)
    if not same:
        found.differ(where, name, "as it was written", GONE if there is None else CHANGED, run_id)
    return same


def list_claims(policy: Policy, entries: Sequence[Entry]) -> dict[str, str]:
    """Give what holds of each outlet, by the checks of it on record."""
    bodies = [cast("dict[str, JSON]", entry.body) for entry in entries if entry.kind == "check"]
    told = [one for one in bodies if one.get("verdict") != "passed"]
    return {
        name: claim_reached(
            outlet, [str(one.get("name")) for one in told if one.get("outlet") == name]
        )
        for name, outlet in policy.outlets.items()
    }  # fmt: skip
