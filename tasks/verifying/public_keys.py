"""Public keys of Ed25519, taken only where a signature under them proves something.

Under a key of small order a signature of any text holds, as most libraries verify: whoever puts
one in the place of a person's key, or of a home's, has signed whatever is asked. Shares no code
with what takes in keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELD: Final = 2**255 - 19
"""The prime of RFC 8032; a number from here on is the second name of a key that has one."""
OF_ORDER_EIGHT: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL: Final = frozenset({0, 1, FIELD - 1, OF_ORDER_EIGHT, FIELD - OF_ORDER_EIGHT})
"""The y of the eight points whose order divides the cofactor, 8."""


def read_ed25519(raw: bytes) -> Ed25519PublicKey:
    """Read a public key of 32 bytes; ValueError for what is none, or proves nothing."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(raw)
    y = int.from_bytes(raw, "little") & ~(1 << 255)
    if y >= FIELD or y in SMALL:
        raise ValueError("a signature of any text holds under this key")
    return key
