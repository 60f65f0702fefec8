"""Which machine this is, for runs of machines that share one ledger database.

A keyed digest: it is known again, and names nobody's computer.
"""

from __future__ import annotations

import hmac
import json
import platform
from pathlib import Path

from ledgers.home.keys import Keys

MACHINE_ID = Path("/etc/machine-id")
"""Of systemd; where there is none, the host's name alone has to tell machines apart."""


def name_machine(keys: Keys) -> str:
    """Give the digest of this machine's id and name, in 32 hex digits."""
    number = MACHINE_ID.read_text(encoding="utf-8").strip() if MACHINE_ID.is_file() else ""
    named = json.dumps([number, platform.node()]).encode()
    return hmac.digest(keys.derive("machine"), named, "sha256").hex()[:32]
