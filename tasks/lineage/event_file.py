"""The file of a run's events beside its report, and sending it to a catalogue by HTTP.

It is sent only to the address in the home's settings: of OpenLineage's own variables the key alone
is read (`OPENLINEAGE_API_KEY`), and no file of its configuration.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from expectations.errors import ServiceError
from expectations.policy.policy import Policy
from ledgers.evidence import Entry, RunRecord
from ledgers.home.home import Home
from ledgers.home.private_files import write_private


def find_lineage(home: Home, run_id: str) -> Path:
    """Say where a run's events are, or would be."""
    return home.reports / f"{run_id}.lineage.jsonl"


def write_lineage(home: Home, record: RunRecord, policy: Policy, entries: Sequence[Entry]) -> None:
    """Write a run's events so far, in place of those that were written before."""
    from tasks.lineage.events import write_events

    file = find_lineage(home, record.run_id)
    write_private(file, write_events(record, policy, entries).encode())


def send_events(address: str, file: Path) -> None:
    """Post the events of a file, one by one; `ServiceError` where one was not taken."""
    from openlineage.client.transport.http import (
        ApiKeyTokenProvider,
        HttpConfig,
        HttpTransport,
        TokenProvider,
    )

    key = os.environ.get("OPENLINEAGE_API_KEY")
    login = ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({})
    once = {"total": 0}
    transport = HttpTransport(HttpConfig(f"{address.rstrip('/')}/", auth=login, retry=once))
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            transport.emit(json.loads(line))
    except OSError as error:  # which those of its HTTP library are, whose texts hold the address
        raise ServiceError(f"it took no events ({type(error).__name__})") from None
    finally:
        transport.close()
