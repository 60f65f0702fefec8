"""Parquet files under a run's key, by Parquet modular encryption (every column and the footer).

Each file has a data key of its own (AES-256-GCM), wrapped under the run's key together with the
file's name, so that one file cannot stand in for another of the same run. Readable without the
key are the name, the wrapped data key, the file's size and the sizes of its pages.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ledgers.home.keys import decrypt, encrypt

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet.encryption as pe

ROW_GROUP = 262_144  # rows; several row groups let a scan of a large file use every core


def write_table(table: pa.Table, file: Path, name: str, key: bytes) -> None:
    """Write `table` into the existing `file`, encrypted as `name`; raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyarrow.parquet.encryption as pe

    configuration = pe.EncryptionConfiguration(
        footer_key=name,
        uniform_encryption=True,
        plaintext_footer=False,
        double_wrapping=False,
        internal_key_material=True,
        data_key_length_bits=256,
    )
    factory = pe.CryptoFactory(_key_service(name, key))
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)
    texts = [field.name for field in table.schema if not pa.types.is_floating(field.type)]
    with pa.OSFile(str(file), "wb") as sink:
        pq.write_table(
            table,
            sink,
            row_group_size=ROW_GROUP,
            compression="lz4",
            use_dictionary=texts,
            encryption_properties=properties,
        )


def read_dataset(file: Path, name: str, key: bytes) -> ds.Dataset:
    """Open what was written as `name`: it can be scanned again and again, by DuckDB too.

    Raises OSError or ValueError, as later scans do, where a byte was changed.
    """
    import pyarrow.dataset as ds
    import pyarrow.parquet.encryption as pe

    decryption = ds.ParquetDecryptionConfig(
        pe.CryptoFactory(_key_service(name, key)),
        pe.KmsConnectionConfig(),
        pe.DecryptionConfiguration(),
    )
    options = ds.ParquetFragmentScanOptions(decryption_config=decryption)
    return ds.dataset(file, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _key_service(name: str, key: bytes) -> Callable[[pe.KmsConnectionConfig], pe.KmsClient]:
    """Give what pyarrow asks to wrap data keys: the run's key, for the file `name` alone."""
    import pyarrow.parquet.encryption as pe

    class KeyService(pe.KmsClient):  # type: ignore[misc]  # pyarrow has no types
        """Wraps and unwraps data keys; pyarrow names the master key that it wants."""

        def __init__(self, _configuration: pe.KmsConnectionConfig) -> None:
            pe.KmsClient.__init__(self)

        def wrap_key(self, key_bytes: bytes, _master: str) -> bytes:
            return base64.b64encode(encrypt(key, key_bytes, name))

        def unwrap_key(self, wrapped_key: bytes, _master: str) -> bytes:
            data_key = decrypt(key, base64.b64decode(wrapped_key), name)
            if data_key is None:
                raise ValueError("not a file of this name and run")
            return data_key

    return KeyService
