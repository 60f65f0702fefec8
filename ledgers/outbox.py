"""The outbox: what a run had to tell MLflow while MLflow was away, sealed until it can be told.

It knows nothing of what it holds. Unlike the vault it outlives the process, under the home's
lasting key: `remove` what was taken, and what must not be told any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from expectations.errors import ServiceError, UsageError
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import disk_failure, write_private


@dataclass(frozen=True, slots=True)
class Outbox:
    """The sealed payloads of pending runs, one file of mode 0600 per run id."""

    home: Home
    keys: Keys

    def put(self, run_id: str, payload: bytes) -> None:
        """Keep `payload` for `run_id`, in place of an earlier one; ServiceError if refused."""
        try:
            write_private(self._file(run_id), self.keys.seal(payload, f"outbox:{run_id}"))
        except OSError as error:
            raise ServiceError(
                f"nothing can be put into {self.home.outbox}: {disk_failure(error)}, then run again"
            ) from None

    def pending(self) -> list[str]:
        """Give the run ids that wait, in order of their names."""
        return sorted(
            file.name for file in self.home.outbox.iterdir() if not file.name.startswith(".")
        )

    def take(self, run_id: str) -> bytes:
        """Read the payload and leave it there until `remove`; UsageError if none waits."""
        file = self._file(run_id)
        if not file.is_file():
            raise UsageError(f"run {run_id} does not wait in {self.home.outbox}")
        return self.keys.unseal(file.read_bytes(), f"outbox:{run_id}")

    def remove(self, run_id: str) -> None:
        """Take the payload of `run_id` away; nothing happens if there is none."""
        self._file(run_id).unlink(missing_ok=True)

    def _file(self, run_id: str) -> Path:
        if not run_id or not run_id.replace("-", "").isalnum():
            raise UsageError("a run id consists of letters, digits and hyphens")
        return self.home.outbox / run_id
