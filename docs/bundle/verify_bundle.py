"""Checks a bundle of tutela, by docs/bundle.md alone.

    python verify_bundle.py BUNDLE.zip [KEY]

Needs Python's standard library and `cryptography`. Exit status: 0 all is as it was signed, 1
something differs, 2 the file is not a bundle.
"""

import base64
import binascii
import hashlib
import io
import json
import pathlib
import re
import sys
import zipfile

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

MOST_BYTES, MOST_MEMBERS, MOST_JSON = 64 * 1024 * 1024, 200, 4 * 1024 * 1024
NAMES = re.compile(r"[a-z][A-Za-z0-9._-]{0,150}\Z")
RECEIPTS = re.compile(r"report-(.*)-receipt\.json\Z")
HASHES = (b"sha256", b"sha512")
TOLD = ("run", "policy", "policy_sha256", "policy_files", "code", "started", "verdict")
ABOUT = ("home", "policy", "policy_sha256")
STRANGE = (KeyError, TypeError, ValueError, AttributeError, RecursionError, IndexError)


class NotABundle(Exception):
    """The file is not a bundle in its one form."""


def write_zip(members):
    """Write the one zip that these members have."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 0, 0x01800000
            archive.writestr(info, members[name])
    return made.getvalue()


def check_end(content):
    """Refuse a list of members that is too long, before `zipfile` makes an object of each.

    That goes by the length of the list and not by the count, and by the end that archives over
    4 GiB have in front of the other.
    """
    if len(content) > MOST_BYTES:
        raise NotABundle("it is too long")
    if len(content) < 22 or content[-22:-18] != b"PK\5\6":
        raise NotABundle("it does not end as a bundle does")
    count, listed = (int.from_bytes(content[-a:-b], "little") for a, b in ((12, 10), (10, 6)))
    if count > MOST_MEMBERS or listed > count * (46 + 151) or content[-42:-38] == b"PK\6\7":
        raise NotABundle("it has too many members")


def read_zip(content):
    """Give the members of a bundle; NotABundle for anything that is not in the form."""
    check_end(content)
    members = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > len(content):
                raise NotABundle("its members are longer than the file")
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED:
                    raise NotABundle("a member is packed")
                if info.filename in members or not NAMES.match(info.filename):
                    raise NotABundle("a member is named oddly, or twice")
                members[info.filename] = archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, *STRANGE):
        raise NotABundle("it cannot be read as a zip") from None
    if write_zip(members) != content:
        raise NotABundle("it is not in the one form")
    if "manifest.json" not in members:
        raise NotABundle("it has no manifest")
    refuse_long(members)
    return members


def refuse_long(members):
    """Raise NotABundle for a member that would be read as JSON, and is too long for that."""
    read = {"manifest.json", "evidence.json", "request.json", "start.json"}
    for name, body in members.items():
        if len(body) > MOST_JSON and (
            name in read
            or name.startswith(("approval-", "policy-approval-"))
            or RECEIPTS.match(name)
        ):
            raise NotABundle(f"{name} is too long")


def canonical(said):
    """Write JSON in the one form that is signed."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def open_envelope(content, kind):
    """Give key and statement of a DSSE envelope; (None, None) where the signature does not hold."""
    try:
        envelope = json.loads(content)
        payload = base64.b64decode(envelope["payload"], validate=True)
        if envelope["payloadType"] != kind or len(envelope["signatures"]) != 1:
            return None, None
        signature = envelope["signatures"][0]
        signed = b" ".join(
            (b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload)
        )
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["keyid"]))
        key.verify(base64.b64decode(signature["sig"], validate=True), signed)
        said = json.loads(payload)
        if not isinstance(said, dict) or signature["keyid"] != key.public_bytes_raw().hex():
            return None, None
        return signature["keyid"], said
    except (InvalidSignature, binascii.Error, *STRANGE):
        return None, None


def strings(blob):
    """Cut bytes into SSH's strings."""
    found = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length or len(found) == 5:
            raise ValueError("cut off, or of more parts than a signature has")
        found.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return found


def string(part):
    """Write one of SSH's strings."""
    return len(part).to_bytes(4, "big") + part


def check_signed(said):
    """Tell whether a key signed a statement about the request beside it (docs/approvals.md)."""
    try:
        for name in ("signed", "statement", "request"):
            part = said if name == "signed" else said[name]
            if (part["type"], part["version"]) != (f"tutela.{name}", 1):
                return False
        statement, words = said["statement"], said["key"].split(" ")
        blob = base64.b64decode(words[1])
        fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip(
            "="
        )
        request = hashlib.sha256(canonical(said["request"])).hexdigest()
        if (statement["request"], statement["key"]) != (request, fingerprint):
            return False
        armour = said["signature"].strip().splitlines()
        whole = base64.b64decode("".join(armour[1:-1]), validate=True)
        key, use, _reserved, digest, signature = strings(whole[10:])
        if whole[:10] != b"SSHSIG\0\0\0\1" or key != blob or use != b"tutela":
            return False
        if digest not in HASHES:
            return False
        hashed = hashlib.new(digest.decode(), canonical(statement)).digest()
        signed = b"SSHSIG" + string(use) + string(b"") + string(digest) + string(hashed)
        return check_ssh(said["key"], blob, signature, signed)
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, *STRANGE):
        return False


def check_ssh(line, blob, signature, signed):
    """Verify by the kind of the key; raises where it does not hold."""
    if line.startswith("sk-"):
        _kind, raw, application = strings(blob)
        flags, made = signature[-5:], strings(signature[:-5])[1]
        told = hashlib.sha256(application).digest() + flags + hashlib.sha256(signed).digest()
        ed25519.Ed25519PublicKey.from_public_bytes(raw).verify(made, told)
        return bool(flags[0] & 1)
    key, made = load_ssh_public_key(line.encode()), strings(signature)[1]
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(made, signed)
        return True
    if isinstance(key, ec.EllipticCurvePublicKey):
        first, second = (int.from_bytes(part, "big") for part in strings(made))
        used = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.key_size]
        key.verify(utils.encode_dss_signature(first, second), signed, ec.ECDSA(used))
        return True
    return False


def load(content):
    """Read JSON; None for what is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def check(members, given=None):
    """Give what differs in a bundle, in words; NotABundle where the manifest is none."""
    key, manifest = open_envelope(members["manifest.json"], "application/vnd.tutela.bundle+json")
    if key is None:
        raise NotABundle("its manifest cannot be read, or was not signed")
    if (manifest.get("type"), manifest.get("version")) != ("tutela.bundle", 2):
        raise NotABundle("it is of another version")
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(manifest.get(one), str) for one in TOLD):
        raise NotABundle("its manifest lacks something")
    if len(files) > MOST_MEMBERS:
        raise NotABundle("its manifest names too many files")
    same = given is None or given.lower() == key
    differs = [] if same else ["it was signed with another key"]
    differs += [
        f"{name!a} is not the one that was signed"
        for name in sorted((set(files) | set(members)) - {"manifest.json"})
        if name not in members or hashlib.sha256(members[name]).hexdigest() != files.get(name)
    ]
    policy = members.get("policy.yaml", b"") + manifest["policy_files"].encode(errors="replace")
    if hashlib.sha256(policy).hexdigest() != manifest["policy_sha256"]:
        differs.append("policy.yaml is not the policy of the run")
    if not re.fullmatch("([0-9a-f]{64})?", manifest["policy_files"]):
        differs.append("policy_files is no SHA-256")
    told = {**manifest, "home": key}
    request = {}
    if "request.json" in members:
        request = load(members["request.json"])
        differs += check_request(request, told, load(members.get("evidence.json", b"")))
        request = request if isinstance(request, dict) else {}
    starter, off = check_start(members, request, told)
    counted, unlike = check_people(members, request, told, starter)
    differs += check_evidence(members, manifest) + off + unlike
    for name in sorted(members):
        if RECEIPTS.match(name):
            differs += check_receipt(name, members[name], told, request, counted)
    return differs


def compare(name, said, told, parts):
    """Give which parts of something are not as they should be."""
    return [f"{name}: another {part}" for part in parts if said.get(part) != told[part]]


def check_evidence(members, manifest):
    """Give what differs between evidence and manifest."""
    evidence = load(members.get("evidence.json", b""))
    told = {**manifest, "run_id": manifest["run"]}
    evidence = evidence if isinstance(evidence, dict) else {}
    parts = ("run_id", "policy", "policy_sha256", "code", "verdict")
    return compare("evidence.json", evidence, told, parts)


def verdicts(said):
    """Give the checks that something lists, each with its verdict; none of what lists no checks."""
    checks = said.get("checks") if isinstance(said, dict) else None
    if not isinstance(checks, list) or not all(isinstance(one, dict) for one in checks):
        return []
    return sorted(f"{one.get('name')}: {one.get('verdict')}" for one in checks)


def check_request(request, told, evidence):
    """Give what differs between what people were asked and what the run is."""
    if not isinstance(request, dict):
        return ["request.json is no request"]
    told = {**told, "type": "tutela.request", "version": 1, "of": "hand-over"}
    parts = ("type", "version", "of", "home", "run", "policy", "policy_sha256", "code")
    same = verdicts(evidence) == verdicts(request)
    return compare("request.json", request, told, parts) + (
        [] if same else ["request.json: other checks than in evidence.json"]
    )


def check_start(members, request, told):
    """Give the key of who started the run, empty for none, and what differs."""
    key, differs = "", []
    if "start.json" in members:
        said = load(members["start.json"])
        if not check_signed(said):
            return "", ["start.json has no signature of its key"]
        key = said["statement"]["key"]
        parts = ("of", *ABOUT)
        differs = compare("start.json", said["request"], {**told, "of": "start"}, parts)
        if said["statement"].get("answer") != "approve":
            differs.append("start.json declines")
    if request and request.get("starter") != key:
        differs.append("request.json: another starter")
    return key, differs


def check_people(members, request, told, starter):
    """Give the approvals that count, each as key and statement, and what differs in any."""
    approved, differs = set(), []
    for name in sorted(members):
        if not name.startswith(("approval-", "policy-approval-")):
            continue
        said = load(members[name])
        if not check_signed(said):
            differs.append(f"{name} has no signature of its key")
            continue
        about, statement = said["request"], said["statement"]
        if name.startswith("policy-"):
            differs += compare(name, about, {**told, "of": "policy"}, ("of", *ABOUT))
            if statement.get("answer") != "approve":
                differs.append(f"{name} declines")
            continue
        differs += compare(name, about, {**told, "of": "hand-over"}, ("of", *ABOUT, "code"))
        if about != request:
            differs += [
                f"{name}: other {part} than are asked"
                for part in ("terms", "outlets")
                if about.get(part) != request.get(part)
            ]
            if doubts(request) - doubts(about):
                differs.append(f"{name}: a check did not pass that was not shown")
        if statement.get("answer") == "approve":
            digest = hashlib.sha256(canonical(statement)).hexdigest()
            approved.add((statement["key"], digest))
        elif told["verdict"] == "passed":
            differs.append(f"{name} declines what left")
    by = request.get("by") if isinstance(request.get("by"), list) else []
    counted = {one for one in approved if one[0] in by and one[0] != starter}
    quorum = request.get("quorum")
    whole = isinstance(quorum, int) and quorum >= 1
    enough = whole and len({key for key, _ in counted}) >= quorum
    if request and told["verdict"] == "passed" and not enough:
        differs.append("fewer people approve than were asked")
    return counted, differs


def doubts(request):
    """Give the names of checks that did not pass."""
    checks = request.get("checks") if isinstance(request.get("checks"), list) else []
    listed = [one for one in checks if isinstance(one, dict)]
    return {str(one.get("name")) for one in listed if one.get("verdict") != "passed"}


def check_receipt(name, content, told, request, counted):
    """Give what differs in a receipt."""
    signer, said = open_envelope(content, "application/vnd.in-toto+json")
    if signer != told["home"]:
        return [f"{name} was not signed with the same key"]
    kinds = (said.get("_type"), said.get("predicateType"))
    predicate = said.get("predicate")
    approvals = predicate.get("approvals") if isinstance(predicate, dict) else None
    if kinds != ("https://in-toto.io/Statement/v1", "urn:tutela:receipt:1") or not (
        isinstance(approvals, list) and all(map(is_named, approvals))
    ):
        return [f"{name} is no receipt"]
    differs = [] if told["verdict"] == "passed" else [f"{name}: the run did not pass"]
    outlet = RECEIPTS.match(name)[1]
    parts = ("run", "policy", "policy_sha256", "code", "outlet")
    differs += compare(name, predicate, {**told, "outlet": outlet}, parts)
    if request:
        outlets = request.get("outlets") if isinstance(request.get("outlets"), list) else []
        named = [one for one in outlets if isinstance(one, dict) and one.get("name") == outlet]
        asked = named[0] if named else {}
        shown = {part: asked.get(part) for part in ("kind", "recipient", "claim")}
        differs += compare(f"{name}, as people were asked", predicate, shown, shown)
    differs += [
        f"{name} names an approval that is not there"
        for one in approvals
        if (one["key"], one["statement"]) not in counted
    ]
    return differs


def is_named(one):
    """Tell whether it names a key, and the digest of what that signed."""
    if not isinstance(one, dict):
        return False
    return isinstance(one.get("key"), str) and isinstance(one.get("statement"), str)


def main(words):
    """Check the file that is named; print what differs."""
    if len(words) not in (1, 2):
        print(__doc__)
        return 2
    try:
        with pathlib.Path(words[0]).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        differs = check(read_zip(content), words[1] if len(words) == 2 else None)
    except (NotABundle, OSError) as error:
        print(f"{words[0]} is not a bundle: {error}")
        return 2
    print("\n".join(differs) or "All is as it was signed.")
    return 1 if differs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
