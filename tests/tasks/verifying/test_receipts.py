"""Who has a package and its receipt finds out whose it is, what was checked, and any change."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given
from hypothesis import strategies as st

import tutela
from expectations.errors import ServiceError, TutelaError, UsageError
from ledgers.checkpoints import public_key
from ledgers.home.home import Home
from tasks.handover.delivery import read_run
from tasks.handover.model_package import LIST
from tasks.handover.receipt import write_receipts
from tasks.verifying.receipts import check_receipt, read_receipt
from tests.runs import passed
from tests.tasks.verifying.forger import KEY, seal

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


@dataclass
class Sent:
    """What a recipient got: packages and receipts, by outlet, and the sender's key."""

    folders: dict[str, Path]
    receipts: dict[str, Path]
    key: str


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """Copies of what a run of the first example handed over."""
    run, folder = passed("diabetes"), tmp_path_factory.mktemp("sent")
    home, name = run.place.home, run.record.run_id
    (table,) = (home.releases / name).iterdir()
    shutil.copytree(table, folder / table.name)
    model = shutil.copytree(next(home.mlflow.rglob(LIST)).parent, folder / "clinics")
    receipts = {
        outlet: Path(shutil.copy(home.reports / f"{name}-{outlet}-receipt.json", folder))
        for outlet in ("clinics", table.name)
    }
    folders = {"clinics": model, table.name: folder / table.name}
    return Sent(folders, receipts, public_key(run.place.keys))


def test_a_receipt_is_a_statement_of_in_toto_that_anybody_can_check(sent: Sent) -> None:
    """By the specifications of both alone: DSSE and in-toto, version 1."""
    envelope = json.loads(sent.receipts["clinics"].read_bytes())
    payload = b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    over = b" ".join((b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload))
    (one,) = envelope["signatures"]
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(sent.key)).verify(b64decode(one["sig"]), over)
    said = json.loads(payload)
    assert (kind, said["_type"]) == (
        b"application/vnd.in-toto+json", "https://in-toto.io/Statement/v1"
    )  # fmt: skip
    assert said["predicate"]["recipient"] == "Example Clinics, screening teams"
    assert {check["verdict"] for check in said["predicate"]["checks"]} >= {"passed"}


@pytest.mark.parametrize("outlet", ["clinics", "partner"])
def test_a_package_is_held_against_its_receipt(sent: Sent, outlet: str, tmp_path: Path) -> None:
    """As it was handed over it passes; a changed file and one less do not."""
    assert check_receipt(sent.folders[outlet], sent.receipts[outlet], sent.key)["predicate"]
    listed = "model.skops" if outlet == "clinics" else "datapackage.json"
    for change in ("changed", "gone"):
        copy = shutil.copytree(sent.folders[outlet], tmp_path / change)
        if change == "changed":
            (copy / listed).write_bytes((copy / listed).read_bytes() + b" ")
        else:
            (copy / listed).unlink()
        with pytest.raises(ServiceError, match="is not what"):
            check_receipt(copy, sent.receipts[outlet], sent.key)


def test_another_outlets_receipt_or_another_key_is_refused(sent: Sent) -> None:
    """And what is no key, and no receipt, in words."""
    with pytest.raises(ServiceError, match="of another package"):
        check_receipt(sent.folders["clinics"], sent.receipts["partner"], sent.key)
    other = OTHER.public_key().public_bytes_raw().hex()
    with pytest.raises(ServiceError, match="not signed with this key"):
        check_receipt(sent.folders["clinics"], sent.receipts["clinics"], other)
    with pytest.raises(UsageError, match="64 hex digits"):
        check_receipt(sent.folders["clinics"], sent.receipts["clinics"], "12")
    with pytest.raises(UsageError, match="is no receipt"):
        read_receipt(sent.folders["partner"] / "datapackage.json", sent.key)


@given(st.data())
def test_no_changed_byte_of_a_receipt_passes_as_another(
    sent: Sent, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """It is refused, or says the very same."""
    content = bytearray(sent.receipts["partner"].read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    forged = tmp_path_factory.mktemp("forged") / "receipt.json"
    forged.write_bytes(content)
    try:
        said = read_receipt(forged, sent.key)
    except TutelaError:
        return
    assert said == read_receipt(sent.receipts["partner"], sent.key)


def test_a_statement_of_another_kind_that_was_signed_is_no_receipt(tmp_path: Path) -> None:
    """Such as one of a later version."""
    said = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "x"}
    (path := tmp_path / "receipt.json").write_bytes(seal("application/vnd.in-toto+json", said))
    with pytest.raises(UsageError, match="no receipt of this version"):
        read_receipt(path, KEY)


def test_a_run_that_was_refused_has_no_receipt() -> None:
    """Not even one that had begun to hand over, and was taken back."""
    found = passed("diabetes")
    run = read_run(found.place.home, found.place.keys, found.record.run_id)
    refused = replace(run.summary(), verdict="refused")
    assert write_receipts(run.keys, run.record, run.summary(), run.entries)
    assert write_receipts(run.keys, run.record, refused, run.entries) == {}


def test_a_recipient_verifies_without_a_home(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line and from Python."""
    place = passed("diabetes").place
    monkeypatch.setattr(Home, "open", lambda *_: pytest.fail("no home is there"))
    receipt = str(sent.receipts["partner"])
    said = place.tell(
        "verify", str(sent.folders["partner"]), "--receipt", receipt, "--key", sent.key
    )
    assert said.status == 0, said.err
    assert "10-anonymous" in said.out
    assert tutela.load_model(
        sent.folders["clinics"], receipt=sent.receipts["clinics"], key=sent.key
    )
    with pytest.raises(UsageError, match="give both"):
        tutela.load_model(sent.folders["clinics"], key=sent.key)
