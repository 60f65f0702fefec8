"""Incidents: the full text of a failure, sealed to the operator's public key.

A failure's text may quote people, so it is written for one reader only. Sealing needs no
passphrase and no private key, so it works when nothing else does. The seal is HPKE (RFC 9180:
X25519, HKDF-SHA256, AES-128-GCM) with the incident's id as its context. The operator's private
key lies in the same home: without a passphrase the seal only keeps the text from those who
cannot read the home. The text's length stays visible.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from expectations.errors import HomeError, ServiceError, UsageError
from ledgers.home import Home
from ledgers.keys import read_key
from ledgers.private_files import disk_failure, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite


def seal_incident(home: Home, text: str) -> str:
    """Write `text` to the home's `incidents/ID`, readable by the operator only; gives the id.

    Raises ServiceError when the disk refuses, HomeError when the public key is missing.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    incident = secrets.token_hex(6)
    try:
        public = X25519PublicKey.from_public_bytes((home.keys / "operator.pub").read_bytes())
    except (OSError, ValueError):
        raise HomeError(f"{home.keys}/operator.pub is missing or damaged: restore it") from None
    sealed = _suite().encrypt(text.encode(errors="backslashreplace"), public, incident.encode())
    try:
        write_private(home.incidents / incident, sealed)
    except OSError as error:
        raise ServiceError(
            f"no incident can be written to {home.incidents}: {disk_failure(error)}"
        ) from None
    return incident


def open_incident(home: Home, incident: str, passphrase: str | None = None) -> str:
    """Give the text of `incident`: it may quote people, so show it to the operator only.

    Raises UsageError for an unknown id, HomeError for a wrong or missing passphrase,
    ServiceError for a file that was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    file = home.incidents / incident
    if not re.fullmatch("[0-9a-f]{12}", incident) or not file.is_file():
        raise UsageError(f"there is no incident '{incident[:12]}' in {home.incidents}: see its ids")
    private = X25519PrivateKey.from_private_bytes(read_key(home.keys / "operator.key", passphrase))
    try:
        return _suite().decrypt(file.read_bytes(), private, incident.encode()).decode()
    except (InvalidTag, ValueError):
        raise ServiceError(f"{file} does not open: it was changed, or is another home's") from None


def _suite() -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
