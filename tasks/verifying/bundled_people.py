"""What people were asked and signed, as a bundle has it, held against the run and each other.

The home's keys sign all else in a bundle: what people signed is all that it cannot make up. It
does not know whether a key counted in the home, nor whose it is.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

from tasks.verifying.bundle_parts import (
    AskedCheck,
    AskedOutlet,
    Evidence,
    FoundCheck,
    FoundOutlet,
    HandOver,
    Manifest,
    OfStart,
    OfText,
    Signed,
    Told,
    say_problem,
)
from tasks.verifying.envelopes import read_line, write_exact
from tasks.verifying.findings import Findings, quote
from tasks.verifying.sshsig import read_signed

Counted: TypeAlias = frozenset[tuple[str, str]]
"""The approvals that count: each key with the SHA-256 of its statement."""
Named: TypeAlias = FoundCheck | AskedCheck | FoundOutlet | AskedOutlet
"""What people are shown by its name, and what the run found of it."""
Asked = TypeVar("Asked", HandOver, OfText, OfStart)
APPROVALS: Final = "approvals"
REQUEST: Final = "request.json"
START: Final = re.compile(r"start\.json")
APPROVAL: Final = re.compile("approval-.*")
OF_TEXT: Final = re.compile("policy-approval-.*")
ABOUT: Final = ("policy", "policy_sha256")
"""What all that people sign of a run has of it."""
SAME: Final = ("terms", "outlets", "quorum", "by")
"""What else is the same where an approval of an earlier run counts."""


def check_request(told: Told, evidence: Evidence | None, found: Findings) -> HandOver | None:
    """Hold what people were asked against the run and what it found; give it, if it is there."""
    if REQUEST not in told.members:
        for name in sorted(filter(APPROVAL.fullmatch, told.members)):
            found.differ(APPROVALS, quote(name), "a request.json that it answers", "none")
        return None
    try:
        request = HandOver.model_validate(read_line(told.members[REQUEST]))
    except ValueError as error:
        found.differ(APPROVALS, REQUEST, "a request", say_problem(error))
        return None
    _compare(REQUEST, ("run", "code", *ABOUT), told, request, found)
    if evidence is not None:
        _check_shown(request, evidence, found)
    return request


def _check_shown(request: HandOver, evidence: Evidence, found: Findings) -> None:
    """Hold what people were shown against what the run found."""
    checks: list[Sequence[Named]] = [evidence.checks, request.checks]
    outlets: list[Sequence[Named]] = [evidence.outlets, request.outlets]
    _compare_all("check", ("verdict", "asked", "measured"), checks, found)
    _compare_all("outlet", ("kind", "recipient"), outlets, found)
    claims = {one.name: one.claim for one in request.outlets}
    for one in evidence.outlets:
        if one.claim is not None:
            where = f"claim of {quote(one.name)} in {REQUEST}"
            found.compare(APPROVALS, where, one.claim, claims.get(one.name))


def _compare_all(
    what: str, parts: Sequence[str], both: Sequence[Sequence[Named]], found: Findings
) -> None:
    """Name what people were not shown as it is, and what they were shown that is not so."""
    there, asked = (
        Counter((one.name, *(str(getattr(one, part)) for part in parts)) for one in some)
        for some in both
    )
    found.compared[APPROVALS] += there.total()
    for name, *told in sorted((there - asked) + (asked - there)):
        where, told_so = f"{what} {quote(name)} in {REQUEST}", ", ".join(told)
        pair = (told_so, "not shown so") if (name, *told) in there - asked else ("not so", told_so)
        found.differ(APPROVALS, where, *pair)


def _compare(
    name: str, parts: Iterable[str], told: Told, asked: HandOver | OfText | OfStart, found: Findings
) -> None:
    """Hold parts of a request against the manifest, and its home against the manifest's key."""
    found.compare(APPROVALS, f"home of {name}", told.home, asked.home)
    for part in parts:
        expected = getattr(told.manifest, part)
        found.compare(APPROVALS, f"{part} of {name}", expected, getattr(asked, part))


def check_people(told: Told, request: HandOver | None, found: Findings) -> Counted:
    """Hold what people signed against what they were asked; give what counts."""
    starter = _check_start(told, request, found)
    _check_texts(told, found)
    counted = set()
    for name, signed, asked in _read_answers(told, APPROVAL, HandOver, found):
        _compare(name, ("code", *ABOUT), told, asked, found)
        if request is None:
            continue
        if asked != request:
            _check_earlier(name, told.manifest, request, asked, found)
        statement = signed.statement
        reasoned = bool(statement.reason) or not request.accepts
        mine = statement.key in request.by and statement.key != starter
        if statement.answer == "approve" and reasoned and mine:
            digest = hashlib.sha256(write_exact(signed.statement.model_dump())).hexdigest()
            counted.add((statement.key, digest))
    if request is not None and told.manifest.verdict == "passed":
        keys = {key for key, _ in counted}
        if len(keys) < request.quorum:
            found.differ(APPROVALS, "quorum", request.quorum, f"{len(keys)} that count")
    return frozenset(counted)


def _read_answers(
    told: Told, names: re.Pattern[str], kind: type[Asked], found: Findings
) -> Iterator[tuple[str, Signed, Asked]]:
    """Give what is signed of one kind of request, as far as its signature holds."""
    for name in sorted(filter(names.fullmatch, told.members)):
        try:
            value = read_line(told.members[name])
            signed = Signed.model_validate(value)
            asked = kind.model_validate(signed.request)
        except ValueError as error:
            found.differ(APPROVALS, quote(name), "a signed statement", say_problem(error))
            continue
        found.compare(
            APPROVALS, f"signature in {quote(name)}", signed.statement.key, read_signed(value)
        )
        open_to_no = names is APPROVAL and told.manifest.verdict != "passed"
        if signed.statement.answer != "approve" and not open_to_no:
            found.differ(APPROVALS, f"answer in {quote(name)}", "approve", "decline")
        if asked.until < told.manifest.started:
            started = f"not before {told.manifest.started}"
            found.differ(APPROVALS, f"until of {quote(name)}", started, asked.until)
        yield quote(name), signed, asked


def _check_start(told: Told, request: HandOver | None, found: Findings) -> str:
    """Hold the signed start against what people were told of it; give its key, empty for none."""
    key = ""
    for name, signed, asked in _read_answers(told, START, OfStart, found):
        key = signed.statement.key
        _compare(name, ABOUT, told, asked, found)
    if request is not None:
        found.compare(APPROVALS, f"starter of {REQUEST}", key, request.starter)
    return key


def _check_texts(told: Told, found: Findings) -> None:
    """Hold the approvals of the policy's text against each other, and count them."""
    rules, keys, number = set(), set(), 0
    for name, signed, asked in _read_answers(told, OF_TEXT, OfText, found):
        number += 1
        _compare(name, ABOUT, told, asked, found)
        rules.add((asked.after, asked.quorum, *asked.by))
        keys.add(signed.statement.key)
        if signed.statement.key not in asked.by:
            found.differ(APPROVALS, f"key of {name}", "one that was asked", "another")
        quorum = asked.quorum
    if not number:
        return
    found.compare(APPROVALS, "rules of the text's approval", 1, len(rules))
    found.compare(APPROVALS, "keys that approve the text", number, len(keys))
    if len(keys) < quorum:
        found.differ(APPROVALS, "quorum of the text", quorum, len(keys))


def _check_earlier(
    name: str, manifest: Manifest, request: HandOver, asked: HandOver, found: Findings
) -> None:
    """Hold what was signed of an earlier run against what is asked now: no more stands for it."""
    if asked.run == manifest.run:
        found.differ(APPROVALS, f"run of {name}", "another run, or this request", "this run")
    for part in SAME:
        expected = getattr(request, part)
        found.compare(APPROVALS, f"{part} of {name}", expected, getattr(asked, part))
    unseen = sorted(f"{check}: {verdict}" for check, verdict in request.doubts() - asked.doubts())
    for one in [*unseen, *sorted({*request.accepts} - {*asked.accepts})]:
        found.differ(APPROVALS, f"checks of {name}", quote(one), "not shown to this key")
