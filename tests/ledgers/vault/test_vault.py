"""What the vault promises: only a living run's own process reads its data, stage by stage."""

import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import VaultError
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.vault.digests import digest_table
from ledgers.vault.stages import MARKERS
from ledgers.vault.vault import (
    Collected,
    DatasetRef,
    Permitted,
    Roster,
    RunVault,
    Stage,
    Trained,
    Validated,
    Vault,
)

PEOPLE = pa.table(
    {
        "social_security": ["Ada-1815-12", "Alan-1912-06", None],
        "diagnosis": pa.array(["melancholia", "insomnia", "insomnia"]).dictionary_encode(),
        "income": [48151.6234, 2342.108, 4815.0],
    }
)
OPENING = (
    "import os, pathlib, sys, time\nimport pyarrow as pa\nfrom ledgers.home.home import Home\n"
    "from ledgers.home.keys import Keys\nfrom ledgers.vault.vault import *\n"
    "home = Home.open(pathlib.Path(sys.argv[1]))\nvault = Vault(home.vault, Keys.open(home))\n"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    return create_home(tmp_path / "home")


@pytest.fixture
def vault(home: Home) -> Vault:
    """The vault of a new home."""
    return Vault(home.vault, Keys.open(home))


@pytest.fixture
def run(vault: Vault) -> Iterator[RunVault]:
    """A living run."""
    with vault.begin("run-1") as run:
        yield run


def start(home: Home, script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start another process on the vault of `home`."""
    command = [sys.executable, "-c", OPENING + script, str(home.root), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed(home: Home) -> Path:
    """Give the folder of a run whose process was killed after it stored people."""
    process = start(
        home,
        "run = vault.begin('dead')\n"
        "run.store(Roster, pa.table({'social_security': ['Ada-1815-12']}))\n"
        "run.store_bytes(Trained, b'Ada-1815-12')\nprint('stored', flush=True)\ntime.sleep(60)",
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        process.kill()
    return home.vault / "dead"


def test_a_table_can_be_read_again_and_again(run: RunVault) -> None:
    """By Arrow and, as often as it likes, by DuckDB."""
    ref = run.store(Roster, PEOPLE)
    people = run.load(ref, Roster)
    assert people.to_table().equals(PEOPLE)
    assert people.to_table(columns=["income"]).column_names == ["income"]
    for _ in range(2):
        duckdb.execute("SELECT diagnosis, count(*) FROM people GROUP BY 1 ORDER BY 1")
        assert duckdb.fetchall() == [("insomnia", 2), ("melancholia", 1)]


def test_bytes_come_back(run: RunVault) -> None:
    """A model is kept like a table; neither is opened as the other."""
    model, table = run.store_bytes(Trained, b"weights"), run.store(Trained, PEOPLE)
    assert run.load_bytes(model, Trained) == b"weights"
    with pytest.raises(VaultError, match="not a table"):
        run.load(model, Trained)
    with pytest.raises(VaultError, match="is not bytes"):
        run.load_bytes(table, Trained)


def test_the_wrong_stage_is_refused(run: RunVault) -> None:
    """The message says which stage the data has reached and which was needed."""
    ref = run.store(Roster, PEOPLE)
    with pytest.raises(VaultError, match="'roster', and 'permitted' is needed"):
        run.load(cast("DatasetRef[Permitted]", ref), Permitted)


def test_a_promoted_data_set_has_both_stages_by_two_references(run: RunVault) -> None:
    """Promotion writes no second copy and only goes forward."""
    collected = run.store(Collected, PEOPLE)
    validated = run.promote(collected, Validated)
    assert validated.digest == collected.digest
    assert run.load(validated, Validated).to_table().equals(PEOPLE)
    with pytest.raises(VaultError, match="'validated' is needed"):
        run.load(cast("DatasetRef[Validated]", collected), Validated)
    for earlier in (Collected, Validated):
        with pytest.raises(VaultError, match="does not come after"):
            run.promote(validated, earlier)


def test_the_markers_stand_for_every_stage_once() -> None:
    """A stage without a marker could not be named in a type."""
    assert list(MARKERS) == list(Stage)
    assert [marker.stage for marker in MARKERS.values()] == list(Stage)


@pytest.mark.parametrize(
    ("uri", "digest", "schema"),
    [
        ("run-1/0123456789abcdef", None, None),
        ("run-2/{name}", None, None),
        ("run-1/../run-1/{name}", None, None),
        ("run-1/{name}", "0" * 64, None),
        ("run-1/{name}", None, ("income",)),
        ("", None, None),
    ],
    ids=["unknown", "another run", "a path", "digest", "schema", "empty"],
)
def test_a_reference_that_the_run_did_not_issue_opens_nothing(
    run: RunVault, uri: str, digest: str | None, schema: tuple[str, ...] | None
) -> None:
    """Whatever is made by hand, in any of its parts."""
    ref = run.store(Roster, PEOPLE)
    name = ref.uri.removeprefix("run-1/")
    forged = DatasetRef[Roster](uri.format(name=name), digest or ref.digest, schema or ref.schema)
    with pytest.raises(VaultError, match="did not issue this reference"):
        run.load(forged, Roster)
    with pytest.raises(VaultError, match="did not issue this reference"):
        run.store(Permitted, PEOPLE, parents=[forged])


def test_another_run_cannot_open_the_file(vault: Vault, run: RunVault) -> None:
    """Even with the files copied into its own folder, it lacks the key."""
    ref = run.store(Roster, PEOPLE)
    with vault.begin("run-2") as other:
        for file in (vault.root / "run-1").iterdir():
            shutil.copy(file, vault.root / "run-2")
        copied = DatasetRef[Roster](ref.uri.replace("run-1", "run-2"), ref.digest, ref.schema)
        with pytest.raises(VaultError, match="did not issue this reference"):
            other.load(copied, Roster)


def test_a_manifest_cannot_stand_in_for_another(vault: Vault, run: RunVault) -> None:
    """A manifest renamed to that of another data set is no longer authentic."""
    roster, validated = run.store(Roster, PEOPLE), run.store(Validated, PEOPLE)
    folder = vault.root / "run-1"
    names = [ref.uri.removeprefix("run-1/") + ".manifest" for ref in (validated, roster)]
    shutil.copy(folder / names[0], folder / names[1])
    with pytest.raises(VaultError, match="did not issue this reference"):
        run.load(cast("DatasetRef[Validated]", roster), Validated)


@pytest.mark.parametrize("place", [0, 0.5, 1], ids=["beginning", "middle", "end"])
def test_a_changed_file_is_noticed(vault: Vault, run: RunVault, place: float) -> None:
    """One bit anywhere; a promoted reference to it is refused as well."""
    ref = run.store(Roster, PEOPLE)
    (file,) = (path for path in (vault.root / "run-1").iterdir() if not path.suffix)
    content = bytearray(file.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    file.write_bytes(content)
    with pytest.raises(VaultError, match="was changed"):
        run.load(ref, Roster)
    with pytest.raises(VaultError, match="was changed"):
        run.load(run.promote(ref, Permitted), Permitted)


def test_a_file_under_another_name_does_not_open(tmp_path: Path) -> None:
    """The encryption itself is bound to the name: one file cannot stand in for another."""
    from ledgers.vault.vault import read_dataset, write_table

    first, second = (tmp_path / name for name in ("first", "second"))
    first.touch()
    write_table(PEOPLE, first, "first", b"k" * 32)
    assert read_dataset(first, "first", b"k" * 32).to_table().equals(PEOPLE)
    first.rename(second)
    with pytest.raises(ValueError, match="not a file of this name and run"):
        read_dataset(second, "second", b"k" * 32)


def test_nothing_is_readable_in_the_folder(vault: Vault, run: RunVault) -> None:
    """No value, category or column name, as text or as a number's bytes; all files are private."""
    run.promote(run.store(Roster, PEOPLE), Permitted)
    run.store_bytes(Trained, pickle.dumps(PEOPLE.to_pylist()))
    files = list((vault.root / "run-1").iterdir())
    content = b"".join(file.read_bytes() for file in files)
    secrets = ["social_security", "diagnosis", "income", "Ada-1815", "insomnia", "roster", "48151"]
    assert [word for word in secrets if word.encode() in content] == []
    assert pa.array([48151.6234]).buffers()[1].to_pybytes()[:8] not in content
    assert len(files) == 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_closed_run_leaves_nothing(vault: Vault) -> None:
    """Its folder is gone, and what is still held of it opens no more."""
    with vault.begin("run-1") as run:
        ref = run.store(Roster, PEOPLE)
    assert list(vault.root.iterdir()) == []
    with pytest.raises(VaultError, match="closed"):
        run.load(ref, Roster)
    run.close()


def test_a_killed_run_leaves_nothing_readable_and_is_swept(home: Home, vault: Vault) -> None:
    """Its key died with it, and the next sweep takes its files."""
    dead = killed(home)
    content = b"".join(file.read_bytes() for file in dead.iterdir())
    assert len(list(dead.iterdir())) == 4
    assert b"Ada" not in content
    assert b"social" not in content
    for file in dead.glob("[0-9a-f]" * 16):
        with pytest.raises((OSError, ValueError)):
            pq.read_table(file)
    assert vault.living() == frozenset()
    assert vault.sweep() == ["dead"]
    assert not dead.exists()


def test_a_living_run_is_not_swept(home: Home, vault: Vault, run: RunVault) -> None:
    """By nobody, not by another process either."""
    ref = run.store(Roster, PEOPLE)
    with start(home, "print(vault.sweep(), *vault.living())") as process:
        assert process.communicate()[0] == "[] run-1\n"
    assert vault.sweep() == []
    assert run.load(ref, Roster).to_table().equals(PEOPLE)


def test_a_run_that_closes_during_a_sweep_is_not_called_dead(
    vault: Vault, run: RunVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is gone before its lock is free."""

    def closing(_entry: Path) -> bool:
        run.close()
        return False

    monkeypatch.setattr("ledgers.vault.vault._is_held", closing)
    assert vault.sweep() == []


def test_whatever_a_crash_left_is_swept(vault: Vault, tmp_path: Path) -> None:
    """A half-made folder, a half-swept one, a stray file; a link's target is left alone."""
    (vault.root / "empty").mkdir()
    (vault.root / "half").mkdir()
    (vault.root / "half/.0123.making").write_bytes(b"x")
    (vault.root / "stray").write_bytes(b"x")
    (tmp_path / "precious").mkdir()
    (vault.root / "link").symlink_to(tmp_path / "precious")
    assert vault.sweep() == ["empty", "half", "link", "stray"]
    assert list(vault.root.iterdir()) == []
    assert (tmp_path / "precious").is_dir()


def test_two_processes_begin_and_sweep_at_once(home: Home, vault: Vault) -> None:
    """No sweep takes a folder between its making and its lock; none fails on what is gone."""
    script = (
        "for count in range(150):\n"
        "    with vault.begin(f'{sys.argv[2]}-{count}') as run:\n"
        "        swept = vault.sweep()\n"
        "        assert not swept, swept\n"
        "        assert run.run_id in vault.living()\n"
        "        assert (home.vault / run.run_id).is_dir()\n"
    )
    processes = [start(home, script, name) for name in "ab"]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0]
    assert list(vault.root.iterdir()) == []


def test_a_forked_child_keeps_neither_lock_nor_key(home: Home, vault: Vault) -> None:
    """A child that outlives its killed parent does not keep the dead run's folder alive."""
    script = (
        "run = vault.begin('dead')\n"
        "if os.fork() == 0:\n"
        "    os.write(1, f'{os.getpid()} {run._key}\\n'.encode())\n"
        "time.sleep(60)"
    )
    with start(home, script) as process:
        assert process.stdout is not None
        child, key = process.stdout.readline().split()
        process.kill()
        process.wait()
        swept = vault.sweep()
        os.kill(int(child), signal.SIGKILL)
    assert (key, swept) == ("None", ["dead"])


def test_a_run_id_is_used_once_and_names_no_path(vault: Vault, run: RunVault) -> None:
    """Two runs in one folder, or a folder elsewhere, are refused."""
    with pytest.raises(VaultError, match="another run id"):
        vault.begin(run.run_id)
    with pytest.raises(VaultError, match="letters"):
        vault.begin("../keys")


def test_a_vault_open_to_others_is_refused(vault: Vault) -> None:
    """The message gives the command that closes it."""
    vault.root.chmod(0o750)
    with pytest.raises(VaultError, match="chmod 700"):
        vault.begin("run-1")


def test_a_vault_that_cannot_be_written_says_so(home: Home, vault: Vault) -> None:
    """Tried by a process without root's rights, which may write everywhere."""
    script = (
        "vault.begin('first').close()  # imports everything while it may\n"
        "home.vault.chmod(0o500)\nos.chdir(home.vault)\n"
        "vault = Vault(pathlib.Path(), vault.keys)\n"
        "if os.geteuid() == 0: os.chown('.', 65534, 65534); os.seteuid(65534)\n"
        "try: vault.begin('run-1')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    with start(home, script) as process:
        answer = process.communicate()[0]
    assert answer.startswith("VaultError")
    assert "correct its owner and rights" in answer
    assert list(vault.root.iterdir()) == []


def test_a_full_disk_says_so_and_leaves_no_half_file(home: Home) -> None:
    """A limit on the size of files stands in for the disk; the run goes on when there is room."""
    script = (
        "import resource\nfrom expectations.errors import VaultError\nrun = vault.begin('run-1')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))\n"
        "for store in (lambda: run.store(Roster, pa.table({'a': list(range(100_000))})),\n"
        "              lambda: run.store_bytes(Trained, bytes(100_000))):\n"
        "    try: store()\n"
        "    except VaultError as error: print('full' in str(error), error.__cause__)\n"
        "print(os.listdir(home.vault / 'run-1'))\n"
        "run.load(run.store(Roster, pa.table({'a': [1]})), Roster)\nrun.close()"
    )
    with start(home, script) as process:
        assert process.communicate()[0] == "True None\nTrue None\n[]\n"
    assert process.returncode == 0


def test_a_run_writes_no_core_dump(home: Home) -> None:
    """A crash of the process must not put its memory, and so its key, onto the disk."""
    script = (
        "import resource\nhard = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))\n"
        "with vault.begin('run-1'): print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    with start(home, script) as process:
        assert process.communicate()[0] == "0\n"


def test_neither_a_vault_nor_a_key_is_pickled(run: RunVault) -> None:
    """A task runner that tries to send it away fails; the reference is what is handed on."""
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(run)


CELLS = {
    pa.int32(): st.integers(-5, 5),
    pa.float64(): st.sampled_from([0.5, -1.0, 2.25]),
    pa.bool_(): st.booleans(),
    pa.string(): st.sampled_from(["", "a", "ab", "b", "ü"]),
    pa.large_string(): st.sampled_from(["", "a", "ab"]),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["x", "y", "z"]),
    pa.timestamp("us"): st.integers(0, 3),
    pa.null(): st.none(),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Small tables of every type that a policy can name, with nulls."""
    rows = draw(st.integers(0, 6))
    columns = {}
    for place in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(list(CELLS)))
        cells = draw(st.lists(st.none() | CELLS[kind], min_size=rows, max_size=rows))
        columns[f"c{place}"] = pa.array(cells, kind)
    return pa.table(columns)


def cut(table: pa.Table, place: int) -> pa.Table:
    """The same content in two chunks, sliced out of a longer table, with other dictionaries."""
    whole = pa.concat_tables([table.slice(place), table])
    rest = len(table) - min(place, len(table))
    parts = [whole.slice(rest, place), table.slice(place)]
    return pa.concat_tables([relabelled(part) for part in parts])


def relabelled(table: pa.Table) -> pa.Table:
    """Turn each dictionary round and add a value that nobody has."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            cells = table[field.name].to_pylist()
            values = ["unused", *sorted({cell for cell in cells if cell is not None}, reverse=True)]
            indices = [None if cell is None else values.index(cell) for cell in cells]
            array = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int8()), values)
            table = table.set_column(place, field, array)
    return table


@given(table=tables(), place=st.integers(0, 6))
def test_the_digest_does_not_see_the_layout(table: pa.Table, place: int) -> None:
    """Equal content has equal digests however it is chunked, sliced or encoded."""
    other = cut(table, place)
    assert other.to_pydict() == table.to_pydict()
    assert digest_table(b"key", other) == digest_table(b"key", table)
    sliced = pa.concat_tables([table, table]).combine_chunks().slice(len(table))
    assert digest_table(b"key", sliced) == digest_table(b"key", table)


def test_the_digest_does_not_see_what_lies_under_a_null() -> None:
    """A value that was masked out is not part of the content."""
    masked = pa.table({"a": pa.array(np.array([1.0, 5.0]), mask=np.array([False, True]))})
    assert digest_table(b"key", masked) == digest_table(b"key", pa.table({"a": [1.0, None]}))


@given(one=tables(), other=tables())
def test_the_digest_sees_content_order_names_and_types(one: pa.Table, other: pa.Table) -> None:
    """Equal digests mean equal content, and the other way round."""
    same = one.schema == other.schema and one.to_pydict() == other.to_pydict()
    assert (digest_table(b"key", one) == digest_table(b"key", other)) == same


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"a": ["ab", "c"], "b": ["d", None]}),
        pa.table({"a": ["a", "bc"], "b": [None, "d"]}),
        pa.table({"a": ["c", "ab"], "b": ["d", None]}),
        pa.table({"b": ["a", "bc"], "a": ["d", None]}),
        pa.table({"a": pa.array(["a", "bc"]).dictionary_encode(), "b": ["d", None]}),
        pa.table({"a": ["a", "bc", None], "b": ["d", None, None]}),
    ],
    ids=["boundary", "null moved", "rows turned", "names turned", "type", "a row more"],
)
def test_near_misses_have_other_digests(other: pa.Table) -> None:
    """The cases in which a sloppy digest would agree."""
    table = pa.table({"a": ["a", "bc"], "b": ["d", None]})
    assert digest_table(b"key", table) != digest_table(b"key", other)


def test_a_digest_without_the_key_confirms_no_guess(vault: Vault, run: RunVault) -> None:
    """The key is the home's: the same content has the same digest in every run of it."""
    ref = run.store(Roster, PEOPLE)
    with vault.begin("run-2") as other:
        assert other.store(Roster, PEOPLE).digest == ref.digest
    assert digest_table(b"key", PEOPLE) != ref.digest


def test_what_is_loaded_has_the_digest_of_what_was_stored(run: RunVault) -> None:
    """Types, nulls, dictionaries and row order survive the file."""
    table = pa.table({f"c{place}": pa.array([None], kind) for place, kind in enumerate(CELLS)})
    for content in (table, PEOPLE, PEOPLE.slice(1), PEOPLE.slice(0, 0)):
        ref = run.store(Roster, content)
        assert run.store(Roster, run.load(ref, Roster).to_table()).digest == ref.digest


def test_a_nested_column_is_refused(run: RunVault) -> None:
    """A policy names flat columns only."""
    with pytest.raises(VaultError, match="'visits' has the nested type"):
        run.store(Roster, pa.table({"visits": [[1, 2], [3]]}))


def test_key_services_are_of_one_class(tmp_path: Path) -> None:
    """Pyarrow never lets go of a key service: a class each would stay in memory for every table."""
    import pyarrow.parquet.encryption as pe

    from ledgers.vault.vault import read_dataset, write_table

    for name in ("first", "second"):
        (tmp_path / name).touch()
        write_table(PEOPLE, tmp_path / name, name, b"k" * 32)
        read_dataset(tmp_path / name, name, b"k" * 32).to_table()
    ours = [one for one in pe.KmsClient.__subclasses__() if one.__module__ == Vault.__module__]
    assert len(ours) == 1
