"""What was sealed, tried for whether it opens; shares no code with what seals."""

from __future__ import annotations


def opens(key: bytes, sealed: bytes, label: str) -> bool:
    """Whether what was sealed under a label is as it was (AES-256-GCM, the nonce first)."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        AESGCM(key).decrypt(sealed[:12], sealed[12:], label.encode())
    except (InvalidTag, ValueError):
        return False
    return True
