"""Check a bundle of tutela by its published pages alone: verify_bundle.py BUNDLE.zip [KEY]."""

import base64
import json
import re
import sys
import zlib
from hashlib import sha256, sha512
from struct import pack

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

MOST_MEMBERS, MOST_BYTES, MOST_JSON, MOST_DEEP = 200, 64 << 20, 4 << 20, 64
NAME, RECEIPT_NAME = re.compile("[a-z][A-Za-z0-9._-]{0,150}"), r"report-(.*)-receipt\.json"
SIGNED_NAME, READ = r"start\.json|(policy-)?approval-.*", r"(manifest|evidence|request)\.json"
JSON_NAME = re.compile(f"{READ}|{SIGNED_NAME}|{RECEIPT_NAME}")
KNOWN_NAME = re.compile(rf"{READ}|policy\.yaml|report[.-].+|{SIGNED_NAME}")
SECURITY_KEY = b"sk-ssh-ed25519@openssh.com"
CURVES = {
    b"ecdsa-sha2-nistp256": (ec.SECP256R1(), hashes.SHA256()),
    b"ecdsa-sha2-nistp384": (ec.SECP384R1(), hashes.SHA384()),
    b"ecdsa-sha2-nistp521": (ec.SECP521R1(), hashes.SHA512()),
}
SMALL_ORDER = ["00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"]
SMALL_ORDER += ["26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"]
SMALL_ORDER += ["c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"]
WRONG = (ValueError, RecursionError, InvalidSignature, UnsupportedAlgorithm)


def texts(names: str) -> dict:
    """Make a form of an object that has texts under these names."""
    return dict.fromkeys(names.split(), str)


# The schemas, in forms that `fits` reads; a list is of one form, of any length, or of two texts.
HEX, PRINT = re.compile("[0-9a-f]{64}"), re.compile("SHA256:[A-Za-z0-9+/]{43}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00", re.ASCII)
COUNT, REASON = range(1, 10**15), re.compile("(?s:.{0,500})")
OR_NULL, KIND, VERDICT = (str, None), ("model", "table"), ("passed", "warned", "inconclusive")
CHECKPOINT = (None, {"chain": re.compile("[0-9a-f]{32}"), "number": COUNT, "digest": HEX})
CHECK = texts("name asked reached") | {"verdict": VERDICT, "power": OR_NULL, "outlet": OR_NULL}
MANIFEST = texts("run policy code") | {"type": "tutela.bundle", "version": 2, "started": MOMENT}
MANIFEST |= {"policy_sha256": HEX, "policy_files": ("", HEX), "checkpoint": CHECKPOINT}
MANIFEST |= {"verdict": ("passed", "refused", "failed"), "files": dict}
PREDICATE = texts("run started code controller policy purpose outlet recipient claim limits")
PREDICATE |= {"policy_sha256": HEX, "legal_basis": [str], "consent": OR_NULL, "kind": KIND}
PREDICATE |= {"approvals": [{"key": PRINT, "statement": HEX}], "checkpoint": CHECKPOINT}
RECEIPT = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:tutela:receipt:1"}
RECEIPT |= {"subject": [{"name": str, "digest": {"sha256": HEX}}]}
RECEIPT |= {"predicate": PREDICATE | {"checks": [CHECK]}}
START = {"type": "tutela.request", "version": 1, "of": "start", "home": HEX, "until": MOMENT}
START |= {"policy": str, "policy_sha256": HEX}
ASKED = START | {"changes": [str], "quorum": COUNT, "by": [PRINT]}
POLICY = ASKED | {"of": "policy", "after": str}
HANDED = ASKED | {"of": "hand-over", "run": str, "code": str, "terms": HEX, "accepts": [str]}
HANDED |= {"outlets": [texts("name recipient claim") | {"kind": KIND}], "starter": ("", PRINT)}
HANDED |= {"checks": [texts("name asked measured") | {"verdict": VERDICT}], "people": [[str, str]]}
STATEMENT = {"type": "tutela.statement", "version": 1, "answer": ("approve", "decline")}
STATEMENT |= {"request": HEX, "key": PRINT, "at": MOMENT, "reason": REASON}
SIGNED = texts("key signature") | {"type": "tutela.signed", "version": 1, "statement": STATEMENT}
FOUND = texts("name asked measured verdict") | {"power": OR_NULL, "outlet": OR_NULL}
OUTLET = texts("name kind recipient limits") | {"claim": OR_NULL}
EVIDENCE = texts("controller purpose") | {"legal_basis": [str], "consent_snapshot": OR_NULL}
EVIDENCE |= {"checks": [FOUND], "outlets": [OUTLET | {"release": (None, {"digest": OR_NULL})}]}


class NotABundle(Exception):
    """The file has not the form of a bundle, or its manifest is none."""


def need(so: object, words: str) -> None:
    """Go on if it is so, and else say in words what differs."""
    if not so:
        raise ValueError(words)


def said(error: Exception) -> str:
    """Say in printable words what was wrong; a signature that does not hold says nothing."""
    return ascii(str(error) or "its signature does not hold")[1:-1][:300]


def fits(value: object, form: object, more: bool = False) -> bool:
    """Tell whether a value has a form; with more, its objects may have other names beside."""
    if isinstance(form, dict):
        fit = isinstance(value, dict) and (more or len(value) == len(form))
        return fit and all(one in value and fits(value[one], form[one], more) for one in form)
    if isinstance(form, list):
        fit = isinstance(value, list) and len(form) in (1, len(value))
        return fit and all(fits(one, form[0], more) for one in value)
    if isinstance(form, tuple):
        return any(fits(value, one, more) for one in form)
    if isinstance(form, re.Pattern):
        return isinstance(value, str) and form.fullmatch(value) is not None
    if isinstance(form, range):
        return type(value) is int and value in form
    return type(value) is form or (type(value) is type(form) and value == form)


def read_zip(content: bytes) -> dict[str, bytes]:
    """Give the members of the zip, and see that it is the one zip of these (step 1)."""
    members, parts, entries, at, name = {}, [], [], 0, ""
    try:
        need(len(content) <= MOST_BYTES, "it is longer than 64 MiB")
        while content[at : at + 4] == b"PK\3\4":
            need(len(members) < MOST_MEMBERS, "it has more than 200 members")
            size = int.from_bytes(content[at + 22 : at + 26], "little")
            begin = at + 30 + int.from_bytes(content[at + 26 : at + 28], "little")
            before, raw, member = name, content[at + 30 : begin], content[begin : begin + size]
            name = raw.decode("latin-1")
            need(NAME.fullmatch(name) and name > before, "its names are off, or not sorted")
            need(size <= MOST_JSON or not JSON_NAME.fullmatch(name), "a member is over 4 MiB")
            need(begin + size <= len(content), "it is cut")
            same = pack("<5H3I2H", 20, 0, 0, 0, 0x21, zlib.crc32(member), size, size, len(raw), 0)
            parts += [b"PK\3\4", same, raw, member]
            entries += [b"PK\1\2\x14\0", same, pack("<3H2I", 0, 0, 0, 0x01800000, at), raw]
            members[name], at = member, begin + size
        length, number = sum(len(one) for one in entries), len(members)
        end = b"PK\5\6" + pack("<4H2IH", 0, 0, number, number, length, at, 0)
        need(b"".join([*parts, *entries, end]) == content, "it is not the one zip of its members")
        need("manifest.json" in members, "it has no manifest.json")
    except ValueError as error:
        raise NotABundle(said(error)) from None
    return members


def once(pairs: list[tuple]) -> dict:
    """Make an object of its pairs, where no name stands twice."""
    need(len(dict(pairs)) == len(pairs), "an object has a name twice")
    return dict(pairs)


def read_json(content: bytes, form: dict, end: bytes | None = None) -> dict:
    """Read JSON that fits a schema: in the one form with this end, or without one in any."""
    numbers = {"parse_int": float if end is None else int, "parse_constant": int}
    value = json.loads(content.decode(), object_pairs_hook=once, **numbers)
    level = [value]
    for _ in range(MOST_DEEP + 1):
        outer = [one for one in level if isinstance(one, (dict, list))]
        level = [x for one in outer for x in (one.values() if isinstance(one, dict) else one)]
    need(not outer, "it is more than 64 objects and lists deep")
    again = write_json(value)  # in which half a pair of surrogates has no bytes
    need(end is None or again + end == content, "it is not in the one form")
    need(fits(value, form, more=end is None), "it does not fit its schema")
    return value


def write_json(value: object) -> bytes:
    """Write the one form: sorted names, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def unbase64(letters: str) -> bytes:
    """Decode base64 that is written in the one way."""
    raw = base64.b64decode(letters, validate=True)
    need(base64.b64encode(raw).decode() == letters, "its base64 is not in the one form")
    return raw


def open_envelope(content: bytes, kind: str, form: dict) -> tuple[dict, str]:
    """Give what an envelope holds, and its key in hex, if its signature holds."""
    parts, kind = content.decode().split('"'), f"application/{kind}"
    need(len(parts) == 19, "it is no envelope")
    payload, key, signature = unbase64(parts[3]), bytes.fromhex(parts[13]), unbase64(parts[17])
    one = {"keyid": key.hex(), "sig": parts[17]}
    again = {"payload": parts[3], "payloadType": kind, "signatures": [one]}
    need(json.dumps(again, indent=1).encode() + b"\n" == content, "it has not the one form")
    verify_ed25519(key, signature, f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    return read_json(payload, form, b""), key.hex()


def verify_ed25519(key: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature of Ed25519, by a key that is not of small order."""
    bare = int.from_bytes(key, "little") & (2**255 - 1)
    small = bare >= 2**255 - 19 or bare.to_bytes(32, "little").hex() in SMALL_ORDER
    need(not small, "its key is of small order, and proves nothing")
    ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)


def strings(raw: bytes, number: int) -> list[bytes]:
    """Cut so many strings of SSH, each with its length before it; the last one is the rest."""
    end = 4 + int.from_bytes(raw[:4], "big")
    need(len(raw) >= end, "a part of its key or signature is cut")
    return [raw[4:end], *(strings(raw[end:], number - 1) if number > 1 else [raw[end:]])]


def verify_ssh(blob: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature by SSH's key: Ed25519, ECDSA, or Ed25519 of a security key."""
    (kind, first, rest), (made, value, tail) = strings(blob, 2), strings(signature, 2)
    need(kind == made and kind in (b"ssh-ed25519", SECURITY_KEY, *CURVES), "its kind is off")
    second, rest = (b"", rest) if kind == b"ssh-ed25519" else strings(rest, 1)
    if kind == SECURITY_KEY:
        need(second[:4] == b"ssh:" and len(tail) == 5 and tail[0] & 1, "nobody touched its key")
        application, digest = (sha256(one).digest() for one in (second, message))
        message, tail = application + tail + digest, b""
    need(not rest + tail, "something stands behind the parts of its key or signature")
    if kind not in CURVES:
        verify_ed25519(first, value, message)
        return
    need(first == kind[-8:] and second[:1] == b"\4", "its key is of another curve or form")
    *written, rest = strings(value, 2)
    pair = [int.from_bytes(one, "big") for one in written]
    again = [one.to_bytes(one.bit_length() // 8 + 1, "big") for one in pair]
    need(all(pair) and again == written and not rest, "its numbers are not in the one form")
    curve, digest = CURVES[kind]
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, second)
    key.verify(utils.encode_dss_signature(*pair), message, ec.ECDSA(digest))


def read_signed(content: bytes, form: dict) -> tuple[dict, dict, str]:
    """Read what somebody signed of such a request, and see that the signature holds (step 7)."""
    signed = read_json(content, SIGNED | {"request": form}, b"\n")
    request, statement, armoured = signed["request"], signed["statement"], signed["signature"]
    need(statement["request"] == sha256(write_json(request)).hexdigest(), "its request is another")
    kind, _, letters = signed["key"].partition(" ")
    blob = unbase64(letters)
    digest = base64.b64encode(sha256(blob).digest()).decode().rstrip("=")
    need(statement["key"] == f"SHA256:{digest}", "its statement is of another key")
    letters = "".join(armoured.split("\n")[1:-2])
    lines = "".join(f"{letters[at : at + 70]}\n" for at in range(0, len(letters), 70))
    again = f"-----BEGIN SSH SIGNATURE-----\n{lines}-----END SSH SIGNATURE-----\n"
    need(armoured == again, "its signature has not the form of ssh-keygen's")
    raw = unbase64(letters)
    key, use, reserved, hashed_by, signature, behind = strings(raw[10:], 5)
    good = raw[:10] == b"SSHSIG\0\0\0\1" and key == blob and strings(blob, 1)[0] == kind.encode()
    good = good and use == b"tutela" and not reserved + behind
    need(good and hashed_by in (b"sha256", b"sha512"), "its signature is of another key or form")
    hashed = (sha256 if hashed_by == b"sha256" else sha512)(write_json(statement)).digest()
    parts = [pack(">I", len(one)) + one for one in (use, reserved, hashed_by, hashed)]
    verify_ssh(blob, signature, b"SSHSIG" + b"".join(parts))
    return request, statement, statement["key"]


def same(value: dict, names: str, wanted: dict) -> None:
    """See that these parts of a value are those wanted."""
    for name in names.split():
        need(value.get(name) == wanted[name], f"its `{name}` is another")


class Bundle:
    """One bundle whose manifest is one; each step raises what differs in a member."""

    def __init__(self, members: dict[str, bytes]) -> None:
        """Read the manifest (step 2)."""
        try:
            content = members.get("manifest.json", b"")
            self.manifest, self.key = open_envelope(content, "vnd.tutela.bundle+json", MANIFEST)
            listed = self.manifest["files"]
            good = len(listed) <= MOST_MEMBERS and all(NAME.fullmatch(name) for name in listed)
            need(good and fits(list(listed.values()), [HEX]), "its `files` do not fit its schema")
        except WRONG as error:
            raise NotABundle(f"manifest.json: {said(error)}") from None
        self.members, self.passed = members, self.manifest["verdict"] == "passed"
        self.mine = self.manifest | {"home": self.key, "run_id": self.manifest["run"]}
        self.mine["started_at"] = self.manifest["started"]
        self.request, self.starter, self.rule, self.keys = None, "", None, set()
        self.counting, self.marks = set(), []

    def files(self, _: str) -> None:
        """Compare the members with `files`, their names, and the policy's text (steps 3 and 4)."""
        sums = {name: sha256(content).hexdigest() for name, content in self.members.items()}
        del sums["manifest.json"]
        off = dict(sums.items() ^ self.manifest["files"].items())
        off |= {name: "" for name in sums if not KNOWN_NAME.fullmatch(name)}
        needed = {"policy.yaml", "evidence.json"}
        for begin in ("approval-", "policy-approval-"):
            count = sum(name.startswith(begin) for name in sums)
            needed |= {f"{begin}{number + 1}.json" for number in range(count)}
        needed |= {"request.json"} if "approval-1.json" in needed else set()
        off |= dict.fromkeys(needed - sums.keys(), "")
        need(not off, f"missing, not as signed, or nothing of a bundle: {' '.join(sorted(off))}")
        text = self.members["policy.yaml"] + self.manifest["policy_files"].encode()
        need(sha256(text).hexdigest() == self.manifest["policy_sha256"], "policy.yaml is another")

    def evidence(self, name: str) -> None:
        """Read what the run found (step 5)."""
        self.found = read_json(self.members[name], EVIDENCE)
        same(self.found, "run_id policy policy_sha256 code started_at verdict", self.mine)
        self.outlets = {one["name"]: one for one in self.found["outlets"]}
        good = not self.passed or all(one["verdict"] in VERDICT for one in self.found["checks"])
        need(good and len(self.outlets) == len(self.found["outlets"]), "a check or outlet is off")

    def asked(self, name: str) -> None:
        """Read what people were asked, and compare it with what the run found (step 6)."""
        request = read_json(self.members[name], HANDED, b"\n")
        same(request, "home run policy policy_sha256 code", self.mine)
        for listed in ("checks name verdict asked measured", "outlets name kind recipient"):
            part, *names = listed.split()
            asked = sorted([one[name] for name in names] for one in request[part])
            found = sorted([one[name] for name in names] for one in self.found[part])
            need(asked == found, f"its `{part}` are not those of evidence.json")
        claims = [(self.outlets[one["name"]]["claim"], one["claim"]) for one in request["outlets"]]
        need(all(found in (None, asked) for found, asked in claims), "a claim is another")
        self.request = request

    def signed(self, name: str) -> None:
        """Check what somebody signed: a start, the policy's text, or the run (steps 7 to 9)."""
        form = {"s": START, "p": POLICY, "a": HANDED}[name[0]]
        request, statement, key = read_signed(self.members[name], form)
        same(request, "home policy policy_sha256", self.mine)
        declined = statement["answer"] == "decline" and (form is not HANDED or self.passed)
        late = request["until"] < self.manifest["started"]
        need(not declined and not late, "it was declined, or had lapsed")
        self.starter = key if form is START else self.starter
        if form is POLICY:
            self.rule = self.rule or request
            same(request, "after quorum by", self.rule)
            need(key in request["by"] and key not in self.keys, "its key does not count, or twice")
            self.keys.add(key)
        if form is HANDED:
            same(request, "code", self.mine)
            if request != self.request:
                self.earlier(request)
            ok = statement["answer"] == "approve" and key in self.request["by"]
            if ok and key != self.starter and (statement["reason"] or not self.request["accepts"]):
                self.counting.add((key, sha256(write_json(statement)).hexdigest()))

    def earlier(self, request: dict) -> None:
        """See that what was asked of an earlier run stands for this one (step 10)."""
        same(request, "terms outlets quorum by", self.request)
        then = {(one["name"], one["verdict"]) for one in request["checks"]}
        then |= {(one["name"], "passed") for one in self.request["checks"]}
        now = {(one["name"], one["verdict"]) for one in self.request["checks"]}
        good = now <= then and set(self.request["accepts"]) <= set(request["accepts"])
        need(good and request["run"] != self.request["run"], "it does not stand for this run")

    def together(self, _: str) -> None:
        """Compare the starter and the quorums (steps 8, 9 and 11), and the receipts (12)."""
        need(not self.rule or len(self.keys) >= self.rule["quorum"], "too few approved the text")
        if self.request is not None:
            enough = not self.passed or len(dict(self.counting)) >= self.request["quorum"]
            right = enough and self.request["starter"] == self.starter
            need(right, "too few approved the run, or another started it")
        wanted = set()
        for name, one in self.outlets.items() if self.passed else ():
            unfinished = one["kind"] == "table" and (one["release"] or {}).get("digest") is None
            if one["claim"] is not None and not unfinished:
                wanted.add(f"report-{name}-receipt.json")
        off = wanted ^ {name for name in self.members if re.fullmatch(RECEIPT_NAME, name)}
        need(not off, f"these receipts are missing, or too many: {' '.join(sorted(off))}")

    def receipt(self, name: str) -> None:
        """Check a receipt (step 13)."""
        receipt, key = open_envelope(self.members[name], "vnd.in-toto+json", RECEIPT)
        told, outlet = receipt["predicate"], self.outlets[re.fullmatch(RECEIPT_NAME, name)[1]]
        wanted = outlet | {"outlet": outlet["name"], "consent": self.found["consent_snapshot"]}
        checks = [one | {"reached": one["measured"]} for one in self.found["checks"]]
        wanted["checks"] = [{part: one[part] for part in CHECK} for one in checks]
        same(told, "outlet kind recipient claim limits consent checks", wanted)
        wanted = self.found | self.mine
        same(told, "run started code policy policy_sha256 controller purpose legal_basis", wanted)
        (subject,), named = receipt["subject"], f"{told['policy']}.{outlet['name']}"
        need(subject["name"] == named and key == self.key, "its subject or key is another")
        table, package = outlet["kind"] == "table", subject["digest"]["sha256"]
        need(not table or package == outlet["release"]["digest"], "it is of another package")
        pairs = [(one["key"], one["statement"]) for one in told["approvals"]]
        good = len(dict(pairs)) == len(pairs) and self.counting.issuperset(pairs)
        need(good, "one of its approvals does not count, or two are of one key")
        need(not self.request or len(pairs) >= self.request["quorum"], "it names too few approvals")
        mark, newest = told["checkpoint"], self.manifest["checkpoint"]
        self.marks.append(mark)
        chained = mark and newest and mark["chain"] == newest["chain"]
        older = not chained or mark == newest or mark["number"] < newest["number"]
        need(older and mark == self.marks[0], "its checkpoint is too new, or not the others'")


def check(members: dict[str, bytes], given: str | None = None) -> list[str]:
    """Give in words what differs first, and whether the key does; or raise NotABundle."""
    bundle, names = Bundle(members), sorted(members, reverse=True)
    found = [] if given is None or given.lower() == bundle.key else ["its key is not the one given"]
    steps = [("manifest.json", bundle.files), ("evidence.json", bundle.evidence)]
    steps += [(name, bundle.asked) for name in names if name == "request.json"]
    steps += [(name, bundle.signed) for name in names if re.fullmatch(SIGNED_NAME, name)]
    steps += [("manifest.json", bundle.together)]
    steps += [(name, bundle.receipt) for name in names if re.fullmatch(RECEIPT_NAME, name)]
    try:
        for name, step in steps:
            step(name)
    except WRONG as error:
        found.append(f"{name}: {said(error)}")
    return found


def main(words: list[str]) -> int:
    """Say what differs in a file: 0 for nothing, 1 for something, 2 where it is no bundle."""
    try:
        need(len(words) in (1, 2), "verify_bundle.py BUNDLE.zip [KEY]")
        with open(words[0], "rb") as file:
            members = read_zip(file.read(MOST_BYTES + 1))
        found = check(members, *words[1:])
    except (OSError, ValueError, NotABundle) as error:
        print("Not a bundle:", said(error))
        return 2
    print(*found or ["All is in order."], f"The key: {Bundle(members).key}", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
