"""Whether a FHIR Consent permits a code on a day, as `docs/consent.md` says it; slow, and meant so.

It shares no code with `tasks/consent/fhir`: dates are texts that it writes out in full, and rules
are walked from the root down.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from typing import Any


def first_day(text: str) -> str:
    """Give the first day that a date can mean."""
    return f"{text}-01-01"[:10] if len(text) == 4 else f"{text}-01"[:10]


def last_day(text: str) -> str:
    """Give the last day that a date can mean."""
    year, month, day = (*text.split("-"), "", "")[:3]
    month = month or "12"
    return f"{year}-{month}-{day or calendar.monthrange(int(year), int(month))[1]}"


def permits(consent: Mapping[str, Any], code: str, today: str) -> bool:
    """Say whether a consent permits a code on a day; a date counts when its day is over."""
    r4 = "patient" in consent
    if consent["status"] != "active":
        return False
    if not last_day(consent["dateTime" if r4 else "date"]) < today:
        return False
    if r4:
        root = dict(consent["provision"])
        root["type"] = root.get("type", "deny")
    else:
        root = {"type": consent["decision"], "provision": consent.get("provision", [])}
        root["period"] = consent.get("period")
        _write_types(root)
    return _ask(root, code, today) == "permit"


def _write_types(rule: dict[str, Any]) -> None:
    """Write at each exception of R5 what it does: the opposite of what it is an exception from."""
    other = {"permit": "deny", "deny": "permit"}[rule["type"]]
    rule["provision"] = [{**one, "type": other} for one in rule.get("provision") or []]
    for one in rule["provision"]:
        _write_types(one)


def _ask(rule: Mapping[str, Any], code: str, today: str) -> str:
    """Give what a rule says: permit, deny or nothing."""
    named = [c["code"] for concept in rule.get("code", []) for c in concept["coding"]]
    if named and code not in named:
        return "nothing"
    period = rule.get("period") or {}
    start, end = period.get("start"), period.get("end")
    perhaps = (not start or first_day(start) <= today) and (not end or today <= last_day(end))
    surely = (not start or last_day(start) < today) and (not end or today < first_day(end))
    below = {_ask(one, code, today) for one in rule.get("provision") or []}
    if not perhaps:
        return "nothing"
    if not surely:
        return "deny" if rule["type"] == "deny" or "deny" in below else "nothing"
    if "deny" in below:
        return "deny"
    return "permit" if "permit" in below else str(rule["type"])
