"""The tables of the consent ledger, and how rows go in and come out.

`consent_terms` holds each terms' text once; `consent_blocks` the chain: a commitment for each
event, whatever became of it; `consent_pages` what can be destroyed: payload and salt (see
`ledgers.consent.pages`); `consent_erasures` which were; `consent_imports` what was taken in whole.
Moments are microseconds
since 1970 UTC. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from ledgers.consent.chain import DIGEST_BYTES, Tip
from ledgers.consent.pages import TOGETHER, KnownTerms, Page, join_rows, read_page

METADATA = sa.MetaData()
TERMS = sa.Table(
    "consent_terms",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False, unique=True),
)
BLOCKS = sa.Table(
    "consent_blocks",
    METADATA,
    sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
    sa.Column("commitments", sa.LargeBinary, nullable=False),
)
PAGES = sa.Table(
    "consent_pages",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("low", sa.BigInteger, nullable=False),
    sa.Column("high", sa.BigInteger, nullable=False),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("code", sa.LargeBinary),
    sa.Column("evidence", sa.LargeBinary),
    sa.Column("packed", sa.LargeBinary, nullable=False),
    sa.Index("consent_pages_by_token", "low", "high"),
)
ERASURES = sa.Table(
    "consent_erasures",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
)
IMPORTS = sa.Table(
    "consent_imports",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("new", sa.BigInteger, nullable=False),
    sa.Column("repeated", sa.BigInteger, nullable=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
)


def lock(connection: sa.Connection) -> None:
    """Wait for one's turn to write; SQLite took its lock when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846102)"))


def find_tip(connection: sa.Connection) -> Tip | None:
    """Give the end of the chain as it stands, unchecked; None if it has no block."""
    query = sa.select(BLOCKS.c.last_seq, BLOCKS.c.link, BLOCKS.c.recorded_at)
    last = connection.execute(query.order_by(BLOCKS.c.first_seq.desc()).limit(1)).first()
    return None if last is None else Tip(last.last_seq, bytes(last.link), last.recorded_at)


def find_link(connection: sa.Connection, seq: int) -> bytes | None:
    """Give the link of the block that ends with `seq`; None if none does."""
    query = sa.select(BLOCKS.c.link, BLOCKS.c.last_seq).where(BLOCKS.c.first_seq <= seq)
    found = connection.execute(query.order_by(BLOCKS.c.first_seq.desc()).limit(1)).first()
    return bytes(found.link) if found and found.last_seq == seq else None


def find_commitment(connection: sa.Connection, seq: int) -> bytes:
    """Give the commitment of one event; empty if no block holds it."""
    offset = (seq - BLOCKS.c.first_seq) * DIGEST_BYTES + 1
    query = sa.select(sa.func.substr(BLOCKS.c.commitments, sa.cast(offset, sa.Integer), 32))
    query = query.where(BLOCKS.c.first_seq <= seq).order_by(BLOCKS.c.first_seq.desc()).limit(1)
    return bytes(connection.scalar(query) or b"")


def find_import(connection: sa.Connection, digest: str) -> sa.Row[tuple[object, ...]] | None:
    """Give the note that a source of that content was taken in, if there is one."""
    return connection.execute(sa.select(IMPORTS).where(IMPORTS.c.digest == digest)).first()


def find_pages(connection: sa.Connection, token: tuple[int, int]) -> Iterator[Page]:
    """Give the pages in which events of one person are, if there are any."""
    query = sa.select(PAGES).where(PAGES.c.low <= token[0], PAGES.c.high >= token[0])
    return map(read_page, connection.execute(query).all())


def is_person(rows: NDArray[np.void], token: tuple[int, int]) -> NDArray[np.bool_]:
    """Say of each row whether it is of one person."""
    found: NDArray[np.bool_] = (rows["token_high"] == token[0]) & (rows["token_low"] == token[1])
    return found


def read_pages(connection: sa.Connection, *numbers: int) -> Iterator[list[Page]]:
    """Give all pages, or some, `TOGETHER` of them at once, in no particular order."""
    query = sa.select(PAGES)
    if numbers:
        query = query.where(PAGES.c.id.in_(numbers))
    options = {"stream_results": True, "max_row_buffer": TOGETHER}
    for found in connection.execute(query.execution_options(**options)).partitions(TOGETHER):
        yield [read_page(row) for row in found]


def read_terms_digests(connection: sa.Connection) -> KnownTerms:
    """Digest all terms as they stand."""
    return KnownTerms.of({row.id: row.text for row in connection.execute(sa.select(TERMS))})


def number_terms(connection: sa.Connection, texts: Sequence[str]) -> NDArray[np.int64]:
    """Give the number of each of the terms, new ones added."""
    known = {row.text: row.id for row in connection.execute(sa.select(TERMS))}
    new = [text for text in dict.fromkeys(texts) if text not in known]
    first = max(known.values(), default=0) + 1
    known |= {text: number for number, text in enumerate(new, start=first)}
    if new:
        connection.execute(sa.insert(TERMS), [{"id": known[text], "text": text} for text in new])
    return np.array([known[text] for text in texts], np.int64)


def find_repeated(
    connection: sa.Connection, tokens: NDArray[np.int64], identities: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say of each event, in the order of its token's first half, whether the ledger holds it."""
    repeated = np.zeros(len(tokens), np.bool_)
    order = np.argsort(identities)
    ordered = identities[order]
    for some in _batches(_pages_near(connection, tokens)):
        for pages in read_pages(connection, *some):
            rows = join_rows(pages)
            stated = rows["identity"].astype(np.int64)
            place = np.minimum(np.searchsorted(ordered, stated), len(ordered) - 1)
            same = ordered[place] == stated
            found = order[place[same]]
            repeated[found] |= tokens[found] == rows["token_high"][same]
    return repeated


def _pages_near(connection: sa.Connection, tokens: NDArray[np.int64]) -> list[int]:
    """Give the numbers of the pages within whose bounds one of some ordered tokens lies."""
    query = sa.select(PAGES.c.id, PAGES.c.low, PAGES.c.high)
    found = np.array(connection.execute(query).all(), np.int64).reshape(-1, 3)
    begin = np.searchsorted(tokens, found[:, 1], side="left")
    end = np.searchsorted(tokens, found[:, 2], side="right")
    numbers: list[int] = found[:, 0][end > begin].tolist()
    return numbers


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), TOGETHER):
        yield numbers[start : start + TOGETHER]


def next_page(connection: sa.Connection) -> int:
    """Give the number of the next page."""
    return 1 + (connection.scalar(sa.select(sa.func.max(PAGES.c.id))) or 0)


def insert_page(connection: sa.Connection, page: Page) -> None:
    """Insert a page that is not there yet."""
    connection.execute(sa.insert(PAGES), {"id": page.id, **_values(page)})


def replace_page(connection: sa.Connection, page: Page) -> None:
    """Write a page anew from which events were erased; one without events goes."""
    here = PAGES.c.id == page.id
    if len(page.rows):
        connection.execute(sa.update(PAGES).where(here).values(_values(page)))
    else:
        connection.execute(sa.delete(PAGES).where(here))


def _values(page: Page) -> dict[str, object]:
    return {
        "low": page.low,
        "high": page.high,
        "events": len(page.rows),
        "code": page.code,
        "evidence": page.evidence,
        "packed": page.rows.tobytes(),
    }
