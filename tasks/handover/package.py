"""What the recipient of a table gets: the table, its codebook, and what proves them whole.

A folder of three files: the table, `datapackage.json` for programs, `codebook.html` for people. Its
digest covers them all, and with them a random number that is nowhere else. So who has the package
can see whether it is the one on record, and who has the record alone can confirm no guess of what
is in it. The digest is what `sha256sum FILES | sha256sum` prints, the names in order.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.policy.formulas import mark_formulas
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import MISSING
from ledgers.home.private_files import sync_folder, write_private
from tasks.handover.codebook import describe_package, tell_table
from tasks.pages.codebook import Codebook, render_codebook

if TYPE_CHECKING:
    import pandas as pd

    from ledgers.evidence import JSON
    from tasks.account.published import Summary

NONCE_BYTES: Final = 32
Files = Mapping[str, bytes]
"""The files of a package, by name."""
TYPES: Final = {"number": pa.float64(), "integer": pa.int64()}


def pack(summary: Summary, policy: Policy, outlet: str, content: bytes, nonce: bytes) -> Files:
    """Put an outlet's package together around its table, which is given as plain CSV."""
    table, marked = mark_table(read_csv(content))
    words = {
        name: sorted(column.combine_chunks().dictionary.to_pylist())
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    told = tell_table(summary, policy, outlet, words, marked=marked, nonce=nonce)
    facts: dict[str, JSON]
    if told.file.endswith(".parquet"):
        written, facts = write_parquet(table, told), {"format": "parquet"}
    else:
        written = write_csv(table) if marked else content
        facts = {
            "profile": "tabular-data-resource", "format": "csv", "mediatype": "text/csv",
            "encoding": "utf-8", "dialect": {"delimiter": ",", "quoteChar": '"', "header": True},
        }  # fmt: skip
    facts |= {"bytes": len(written), "hash": f"sha256:{hashlib.sha256(written).hexdigest()}"}
    described = json.dumps(describe_package(told, facts), indent=2, ensure_ascii=False)
    return {
        told.file: written,
        "datapackage.json": f"{described}\n".encode(),
        "codebook.html": render_codebook(told).encode(),
    }


def digest_package(files: Files) -> str:
    """Give the SHA-256 of the list of files with their own: `sha256sum FILES | sha256sum`."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def place_package(folder: Path, files: Files) -> None:
    """Put a package where it is handed over, whole or not at all, for its owner alone."""
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o700)
    for name, content in files.items():
        write_private(making / name, content)
    if folder.exists():  # of a process that was killed before it could say so
        shutil.rmtree(folder)
    making.rename(folder)
    sync_folder(folder.parent)


def read_package(folder: Path) -> dict[str, bytes]:
    """Read a package's files; hidden ones are other programs', and not of it."""
    there = [path for path in folder.iterdir() if path.is_file() and path.name[:1] != "."]
    return {path.name: path.read_bytes() for path in there}


def read_table(name: str, content: bytes) -> pd.DataFrame:
    """Read a released table's file, every value as text, as its recipient finds it."""
    import pandas as pd

    if not name.endswith(".parquet"):
        return pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False)
    import pyarrow.parquet as pq

    from tasks.sources.naming import spell

    table = pq.read_table(BytesIO(content))
    texts = [pc.fill_null(spell(column), MISSING) for column in table.columns]
    frame: pd.DataFrame = pa.table(texts, names=table.column_names).to_pandas().astype(str)
    return frame


def read_csv(content: bytes) -> pa.Table:
    """Read a table as it was made ready: every value a text, each column's texts numbered."""
    from pyarrow import csv

    header = content.partition(b"\n")[0].decode().replace('"', "").split(",")
    text = pa.dictionary(pa.int32(), pa.string())
    return csv.read_csv(
        BytesIO(content),
        csv.ReadOptions(block_size=len(content) + 1),  # or a long text would lie in two blocks
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=dict.fromkeys(header, text), strings_can_be_null=False, null_values=[]
        ),
    ).unify_dictionaries()


def mark_table(table: pa.Table) -> tuple[pa.Table, bool]:
    """Mark the texts that a spreadsheet would run; also say whether there was one."""
    columns, marked = [], False
    for column in table.columns:
        whole = column.combine_chunks()
        words = whole.dictionary.to_pylist()
        safe = [mark_formulas(word) for word in words]
        marked |= safe != words
        columns.append(pa.DictionaryArray.from_arrays(whole.indices, pa.array(safe, pa.string())))
    return pa.table(columns, names=table.column_names), marked


def write_csv(table: pa.Table) -> bytes:
    """Write a table of texts as CSV (RFC 4180), every value in quotes."""
    from pyarrow import csv

    content = BytesIO()
    plain = [column.cast(pa.string()) for column in table.columns]
    csv.write_csv(pa.table(plain, names=table.column_names), content)
    return content.getvalue()


def write_parquet(table: pa.Table, told: Codebook) -> bytes:
    """Write a table as Parquet: numbers as numbers, without a value where none is known."""
    import pyarrow.parquet as pq

    columns = {}
    for column in told.columns:
        values = table.column(column.name)
        if kind := TYPES.get(column.type):
            values = values.cast(pa.string())
            values = pc.if_else(pc.equal(values, MISSING), None, values).cast(kind)
        columns[column.name] = values
    content = BytesIO()
    pq.write_table(pa.table(columns), content)
    return content.getvalue()
