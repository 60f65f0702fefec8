"""The published form of bundles and receipts: schemas, test vectors and both readers agree."""

from __future__ import annotations

import json
import zipfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tasks.handover import bundle
from tests.tasks.verifying.test_bundles import judge, judge_again, second, unpack

__all__ = ["second"]
DOCS = Path(__file__).parents[3] / "docs"
VECTORS = Path(__file__).parent / "bundles"
BUNDLES = sorted(VECTORS.glob("*.zip"))
MANIFEST, RECEIPT, SIGNED = (
    Draft202012Validator(json.loads((DOCS / f"{name}.schema.json").read_text("utf-8")))
    for name in ("bundle", "receipt", "signed")
)


def list_said(file: Path) -> Iterator[tuple[Draft202012Validator, Any]]:
    """Give what the parts of a bundle say, each with its schema."""
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name == "manifest.json" or name.endswith("-receipt.json"):
                payload = b64decode(json.loads(archive.read(name))["payload"])
                yield (MANIFEST if name == "manifest.json" else RECEIPT), json.loads(payload)
            elif name.startswith(("approval-", "policy-approval-", "start.")):
                yield SIGNED, json.loads(archive.read(name))


@pytest.mark.parametrize("file", BUNDLES, ids=lambda file: file.stem)
def test_a_published_bundle_is_in_order_and_its_parts_fit_their_schemas(
    file: Path, second: ModuleType, tmp_path: Path
) -> None:
    """Of a model, of tables that left on an earlier approval, and of a refused run."""
    content = file.read_bytes()
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 0
    said = list(list_said(file))
    assert len(said) >= 3
    assert [problem.message for schema, one in said for problem in schema.iter_errors(one)] == []


def test_a_schema_refuses_what_is_missing_or_too_much() -> None:
    """Else it would fit anything."""
    for schema, said in list_said(VECTORS / "tables.zip"):
        assert [*schema.iter_errors({**said, "more": 1})]
        for name in said:
            assert [*schema.iter_errors({one: told for one, told in said.items() if one != name})]


def test_each_published_change_of_a_byte_is_found(second: ModuleType, tmp_path: Path) -> None:
    """By both, with the same exit status."""
    whole = {file.name: file.read_bytes() for file in BUNDLES}
    changes = json.loads((VECTORS / "changes.json").read_text("utf-8"))
    assert {one["bundle"] for one in changes} == {*whole}
    for one in changes:
        content = change(whole[one["bundle"]], one)
        found = judge(content, tmp_path / "b.zip")
        assert found == judge_again(second, content) != 0, one


def change(content: bytes, one: dict[str, Any]) -> bytes:
    """Change a byte of the file, or of a member, of which the zip is then written anew."""
    members = unpack(content) if "member" in one else {}
    changed = bytearray(members[one["member"]] if members else content)
    assert changed[one["at"]] != one["becomes"]
    changed[one["at"]] = one["becomes"]
    whole = bytes(changed)
    return bundle.pack_members({**members, one["member"]: whole}) if members else whole
