"""What the leak scanner finds, what it leaves alone, and what it never says."""

import base64
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
import zstandard

from tests.leaks.scanner import scan, survey

NAME = 'Zyx-Kanarie 7f3a9 Ünder/"q"'
MAIL = "kanarie.vogel+4431@example.test"
CANARIES = [NAME, MAIL]
FILLER = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(300))


def plant(folder: Path, content: bytes) -> Path:
    """Write a file and return it."""
    path = folder / "planted"
    path.write_bytes(content)
    return path


ENCODINGS = {
    "plain": NAME.encode(),
    "lower": NAME.lower().encode(),
    "upper": NAME.upper().encode(),
    "mixed-case": MAIL.swapcase().encode(),
    "latin-1": NAME.encode("latin-1"),
    "utf-16-le": NAME.encode("utf-16-le"),
    "utf-16-be": NAME.encode("utf-16-be"),
    "utf-32-numpy": np.array([NAME]).tobytes(),
    "json": json.dumps({"k": NAME}).encode(),
    "json-in-json": json.dumps({"k": json.dumps({"z": NAME})}).encode(),
    "python": ascii(NAME).encode(),
    "url": quote(NAME, safe="").encode(),
    "url-path": quote(NAME).encode(),
    "url-form-lower": quote_plus(NAME).lower().encode(),
    "html": html.escape(NAME).encode(),
    "html-numbered": NAME.replace('"', "&#34;").encode(),
    "html-ascii": html.escape(NAME).encode("ascii", "xmlcharrefreplace"),
    "hex": NAME.encode().hex().encode(),
    "hex-upper": NAME.encode().hex().upper().encode(),
    **{
        f"base64-{before}": base64.b64encode(b"x" * before + NAME.encode() + b"tail")
        for before in range(3)
    },
    **{
        f"base64-urlsafe-{before}": base64.urlsafe_b64encode(b"\xff" * before + NAME.encode())
        for before in range(3)
    },
    **{
        f"{digest}-{form}-{kind}": value
        for digest in ("md5", "sha1", "sha256", "sha512")
        for form, text in (("as-is", NAME), ("lower", NAME.lower()))
        for kind, value in (
            ("hex", hashlib.new(digest, text.encode()).hexdigest().encode()),
            ("raw", hashlib.new(digest, text.encode()).digest()),
        )
    },
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_canary_is_found_in_each_encoding(tmp_path: Path, encoding: str) -> None:
    """Every way in which a format or a hasty programmer writes a value is recognised."""
    path = plant(tmp_path, b"\x00\x01 before" + ENCODINGS[encoding] + b"after \xfe")
    assert {hit.file for hit in scan([tmp_path], CANARIES)} == {path}


def write_table(path: Path, text: str, **options: object) -> None:
    """Write text as the last of 3000 rows, in a list as well."""
    rows = ["a"] * 2999 + [text]
    pq.write_table(pa.table({"s": rows, "l": [[row] for row in rows]}), path, **options)


def write_database(path: Path, value: str | bytes) -> None:
    """Write one value to a SQLite table."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (?)", (value,))
    database.close()


def write_freed(path: Path, text: str) -> None:
    """Leave the value in a freed page of a SQLite database."""
    write_database(path, text * 500)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA secure_delete=off")
        database.execute("DROP TABLE t")
    database.close()


def write_log(path: Path, text: str) -> None:
    """Leave a compressed value, long enough to be split over pages, in the write-ahead log."""
    source = path.with_name("source")
    database = sqlite3.connect(source)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (a)")
    database.execute("INSERT INTO t VALUES (?)", (pack(text),))
    database.commit()
    path.write_bytes(source.read_bytes())
    Path(f"{path}-wal").write_bytes(Path(f"{source}-wal").read_bytes())
    database.close()
    source.unlink()


def write_zip(path: Path, text: str) -> None:
    """Write what skops writes: a compressed zip of JSON."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps({"content": FILLER + text}))


def write_tar(path: Path, text: str) -> None:
    """Write a compressed tar of a compressed file."""
    packed = gzip.compress(text.encode())
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("inside.gz")
        member.size = len(packed)
        archive.addfile(member, io.BytesIO(packed))


def write_duckdb(path: Path, text: str) -> None:
    """Write a DuckDB database with many equal rows, which it compresses."""
    with duckdb.connect(path) as database:
        database.execute("CREATE TABLE t AS SELECT ? AS s FROM range(5000)", [text])


def pack(text: str) -> bytes:
    """Compress text and hide it from a plain search."""
    return zlib.compress((FILLER + text).encode())


def wrap(raw: bytes) -> bytes:
    """Write bytes as Prefect writes a result: base64 with line breaks, inside JSON."""
    return json.dumps({"result": base64.encodebytes(raw).decode()}).encode()


def writing(make: Callable[[str], bytes]) -> Callable[[Path, str], None]:
    """Make a writer of what turns text into bytes."""

    def write(path: Path, text: str) -> None:
        path.write_bytes(make(text))

    return write


CONTAINERS: dict[str, Callable[[Path, str], None]] = {
    "zlib": writing(pack),
    "gzip": writing(lambda text: gzip.compress((FILLER + text).encode())),
    "gzip-second-member": writing(lambda text: gzip.compress(b"a") + gzip.compress(text.encode())),
    "gzip-truncated": writing(lambda text: gzip.compress((text + FILLER).encode())[:-90]),
    "zstd": writing(lambda text: zstandard.compress((FILLER + text).encode())),
    "bz2": writing(lambda text: bz2.compress((FILLER + text).encode())),
    "xz": writing(lambda text: lzma.compress((FILLER + text).encode())),
    "sqlite": write_database,
    "sqlite-compressed-cell": lambda path, text: write_database(path, pack(text)),
    "sqlite-base64-cell": lambda path, text: write_database(path, wrap(pack(text)).decode()),
    "sqlite-freed-page": write_freed,
    "sqlite-log": write_log,
    "parquet": write_table,
    "parquet-zstd": lambda path, text: write_table(path, text, compression="zstd"),
    "parquet-compressed-cell": lambda path, text: pq.write_table(
        pa.table({"b": [pack(text)]}), path
    ),
    "zip": write_zip,
    "tar": write_tar,
    "duckdb": write_duckdb,
    "pickle": writing(lambda text: pickle.dumps({"a": [text]})),
    "base64-pickle": writing(lambda text: base64.b64encode(pickle.dumps([text.swapcase()]))),
    "base64-wrapped": writing(lambda text: wrap(pickle.dumps([FILLER, text.swapcase()]))),
    "base64-of-compressed": writing(lambda text: base64.urlsafe_b64encode(pack(text))),
    "base64-twice": writing(lambda text: base64.b64encode(base64.b64encode(pack(text)))),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_canary_is_found_in_each_container(tmp_path: Path, container: str) -> None:
    """What is packed, nested or freed is looked into."""
    CONTAINERS[container](tmp_path / "planted", NAME)
    assert {hit.canary_index for hit in scan([tmp_path], CANARIES)} == {0}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_near_miss_in_a_container_is_no_hit(tmp_path: Path, container: str) -> None:
    """One other letter is another value."""
    CONTAINERS[container](tmp_path / "planted", NAME.replace("Kan", "Kon"))
    assert scan([tmp_path], CANARIES) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(NAME[:-1].encode(), id="one-short"),
        pytest.param(base64.b64encode(MAIL.encode()).swapcase(), id="base64-in-other-case"),
        pytest.param(hashlib.sha256(b"salt" + NAME.encode()).hexdigest().encode(), id="salted"),
        pytest.param(hashlib.sha256(NAME.encode()).hexdigest()[:40].encode(), id="cut-digest"),
        pytest.param(b"PAR1" + b"SQLite format 3\x00", id="no-real-container"),
        pytest.param((MAIL[:9] + "\n" + MAIL[9:]).encode(), id="two-lines"),
    ],
)
def test_what_holds_no_canary_is_no_hit(tmp_path: Path, content: bytes) -> None:
    """A scanner that cries wolf proves as little as one that is blind."""
    plant(tmp_path, content)
    assert scan([tmp_path], CANARIES) == []


def test_a_number_is_found_in_a_database_as_text(tmp_path: Path) -> None:
    """A number that a database stores in binary is searched as people write it."""
    with duckdb.connect(tmp_path / "d") as database:
        database.execute("CREATE TABLE t AS SELECT 4917733 AS n")
    assert [hit.encoding for hit in scan([tmp_path], ["4917733"])] == ["plain"]


def test_a_hit_says_where_it_is(tmp_path: Path) -> None:
    """The path through the containers leads a reader to the leak."""
    write_zip(tmp_path / "model.skops", MAIL)
    (hit,) = scan([tmp_path], CANARIES)
    assert (hit.file.name, hit.container) == ("model.skops", "zip > schema.json")
    assert (hit.canary_index, hit.encoding) == (1, "plain")


def test_a_hit_never_holds_the_canary(tmp_path: Path) -> None:
    """Names of files, links, members and columns that hold a canary are masked."""
    folder = tmp_path / MAIL
    folder.mkdir()
    pq.write_table(pa.table({MAIL: [MAIL]}), folder / f"{MAIL}.parquet")
    (tmp_path / "link").symlink_to(MAIL)
    hits = scan([tmp_path], CANARIES)
    assert {"name", "link", "parquet > <canary 1>"} <= {hit.container for hit in hits}
    assert MAIL not in repr(hits)


def test_encrypted_parquet_is_opaque_and_no_error(tmp_path: Path) -> None:
    """Without the key there is nothing to find, and the survey says so."""

    class Plain(pe.KmsClient):  # type: ignore[misc]  # pyarrow has no types
        """A key service without keys, for the test only."""

        def wrap_key(self, key_bytes: bytes, _master: str) -> bytes:
            return base64.b64encode(key_bytes[::-1])

    factory = pe.CryptoFactory(lambda _: Plain())
    settings = pe.EncryptionConfiguration(footer_key="k", uniform_encryption=True)
    secret = factory.file_encryption_properties(pe.KmsConnectionConfig(), settings)
    write_table(tmp_path / "planted", NAME, encryption_properties=secret)
    found = survey([tmp_path], CANARIES)
    assert (found.hits, [item.container for item in found.opaque]) == ([], ["encrypted parquet"])


def test_a_broken_container_is_searched_raw_and_opaque(tmp_path: Path) -> None:
    """A file that only claims to be a container is not skipped."""
    plant(tmp_path, b"PK\x03\x04" + NAME.encode())
    found = survey([tmp_path], CANARIES)
    assert [hit.encoding for hit in found.hits] == ["plain"]
    assert [item.reason for item in found.opaque] == ["BadZipFile"]


def test_ignored_places_are_not_searched(tmp_path: Path) -> None:
    """The source itself is not of the run."""
    (tmp_path / "source").mkdir()
    path = plant(tmp_path / "source", NAME.encode())
    other = plant(tmp_path, NAME.encode())
    assert {hit.file for hit in scan([tmp_path], CANARIES, ignore=[path.parent])} == {other}
    assert scan([tmp_path], CANARIES, ignore=[path, other]) == []


def test_scanning_changes_nothing_and_runs_no_pickle(tmp_path: Path) -> None:
    """Databases are opened as copies; pickles are bytes."""

    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return pytest.fail, ("a pickle was run",)

    plant(tmp_path, pickle.dumps(Trap()))
    write_log(tmp_path / "database", NAME)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    scan([tmp_path], CANARIES)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    "canaries", [pytest.param([], id="none"), pytest.param([NAME, " kort  "], id="short")]
)
def test_canaries_that_prove_nothing_are_refused(tmp_path: Path, canaries: list[str]) -> None:
    """No canary finds nothing, and a short one finds itself by chance."""
    with pytest.raises(ValueError, match="at least 6 characters"):
        scan([tmp_path], canaries)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """The silence of a place that does not exist would prove nothing."""
    with pytest.raises(FileNotFoundError):
        scan([tmp_path / "nowhere"], CANARIES)
