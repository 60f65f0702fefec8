"""What a run wrote and handed over, read back: it is told of only while it is what was written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.errors import Refusal, ServiceError
from ledgers.home.keys import Keys
from ledgers.vault.digests import digest_written
from tasks.handover.decided_run import DecidedRun
from tasks.handover.package import digest_package, read_package, read_table

if TYPE_CHECKING:
    import pandas as pd


def refuse_changed_files(run: DecidedRun, only: Path | None = None) -> None:
    """Refuse to tell of a run one of whose packages or pages, or the only one, is not as written.

    One that is gone is none that was changed. Runs from before pages were noted say nothing of
    theirs, and what MLflow was given is not looked at.
    """
    for path, digest in _list_written(run).items():
        if only in {None, path} and path.exists() and digest not in _digests_of(run.keys, path):
            raise Refusal(
                "evidence ledger",
                f"{path} was changed since run {run.record.run_id} wrote it; restore it from a "
                "backup, or move it away, then ask again",
            )


def released_table(run: DecidedRun, outlet: str) -> pd.DataFrame | None:
    """Read a released table as its recipient has it, every value as text; None where none left.

    Refusal where it, or what lies beside it, is not what was handed over.
    """
    place = next((one.release for one in run.summary().outlets if one.name == outlet), None)
    if place is None:
        return None
    path = run.home.releases / place.place
    try:
        refuse_changed_files(run, path)
        files = read_package(path) if path.is_dir() else {path.name: path.read_bytes()}
    except OSError as error:
        raise ServiceError(f"{path} cannot be read ({error.strerror}); was it moved?") from None
    (name,) = (name for name in files if name in {f"{outlet}.csv", f"{outlet}.parquet"})
    return read_table(name, files[name])


def _list_written(run: DecidedRun) -> dict[Path, str]:
    """Give the digest of each package and file that a run wrote, as it was noted last."""
    written: dict[Path, str] = {}
    for entry in run.entries:
        match entry.kind, entry.body:
            case "release", {"package": str(place), "digest": str(digest)}:
                written[run.home.releases / place] = digest
            case "release", {"file": str(place), "sha256": str(digest)}:  # of an earlier version
                written[run.home.releases / place] = digest
            case "files", dict(digests):
                written |= {run.home.reports / name: str(each) for name, each in digests.items()}
    return written


def _digests_of(keys: Keys, path: Path) -> set[str]:
    """Give the digests by which the record may know what lies at a path."""
    if path.is_dir():
        return {digest_package(read_package(path))}
    content = path.read_bytes()
    # An earlier version noted a plain one of its tables.
    return {hashlib.sha256(content).hexdigest(), digest_written(keys, content)}
