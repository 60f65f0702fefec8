"""What the recipient of a table is told of it: its columns and labels, for people and for programs.

Made of what the run's report may say, of the policy, and of the labels that the table has. It knows
no count of people. What a label stands for is read as anybody can read it, from the policy: not
from the recoding that made it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from expectations.expressions.expressions import ColumnType
from expectations.policy.outlets import Rare, TableOutlet, claim, limits
from expectations.policy.policy import Policy
from expectations.policy.privacy_models import describe_model
from expectations.policy.treatments import Bin, public_labels
from expectations.policy.vocabulary import MISSING
from tasks.attack.released import ROOT, declare_coverage
from tasks.pages.codebook import Codebook, CodedColumn, Label

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from tasks.account.published import ColumnFate, Summary

Words = Mapping[str, Sequence[str]]
"""Per column of the table, in the order of its file, the texts that occur, each once, sorted."""
WHOLE: Final = re.compile(r"-?[0-9]{1,15}")
NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
PLAIN: Final = {MISSING: "no value is known", ROOT: "any value, or none that is known"}


def tell_table(  # noqa: PLR0913 - each is a fact of the package
    summary: Summary, policy: Policy, outlet: str, words: Words, *, marked: bool, nonce: bytes
) -> Codebook:
    """Gather what the recipient of an outlet's table is told of it."""
    declared = policy.table_outlets[outlet]
    losses = next(one.losses for one in summary.outlets if one.name == outlet)
    fates = {fate.name: fate for fate in summary.fates}
    return Codebook(
        title=summary.title,
        controller=summary.controller,
        contact=summary.contact,
        policy=summary.policy,
        policy_sha256=summary.policy_sha256 or "",
        run_id=summary.run_id,
        outlet=outlet,
        recipient=declared.recipient,
        purpose=summary.purpose,
        date=summary.started_at,
        claim=claim(declared),
        limits=limits(declared, policy.own_functions.values()),
        made_up=summary.made_up,
        file=f"{outlet}.{declared.format}",
        columns=tuple(
            tell_column(fates[name], policy, declared, words, losses.get(name)) for name in words
        ),
        marked=marked,
        nonce=nonce.hex(),
    )


def tell_column(
    fate: ColumnFate, policy: Policy, outlet: TableOutlet, words: Words, loss: float | None
) -> CodedColumn:
    """Say what one column holds and what became of it."""
    name = fate.name
    return CodedColumn(
        name=name,
        type=find_type(policy, name, words[name]),
        note=fate.note,
        category=fate.category,
        special=fate.special,
        treatment=fate.treatment + say_coarsened(outlet, name),
        protection=say_protection(outlet, name),
        loss=loss,
        labels=tuple(list_labels(policy, outlet, name, words[name])),
    )


def find_type(
    policy: Policy, column: str, words: Collection[str]
) -> Literal["string", "number", "integer"]:
    """Give the type of a column's values: numbers only where no label stands among them."""
    declared = policy.column_type(column)
    numeric = declared in {ColumnType.NUMBER, ColumnType.INTEGER}
    if not numeric or public_labels(policy.treated[column].treatment, declared) is not None:
        return "string"
    known = [word for word in words if word != MISSING]
    if all(WHOLE.fullmatch(word) for word in known):
        return "integer"
    return "number" if all(NUMBER.fullmatch(word) for word in known) else "string"


def say_coarsened(outlet: TableOutlet, column: str) -> str:
    """Say what the outlet does to a column beside its treatment."""
    how = outlet.columns[column]
    if how == "keep" or column not in outlet.linkable:
        return ""
    if isinstance(how, Rare):
        least = max(how.at_least, outlet.k)
        return f"; values that fewer than {least} people share became “{how.label}”"
    return "; made coarser where a class needs it to reach k"


def say_protection(outlet: TableOutlet, column: str) -> str:
    """Say what protects people by a column."""
    if column in outlet.not_linkable:
        return f"outside k, on the policy's word: {outlet.not_linkable[column]}"
    models = outlet.sensitive.get(column)
    if models is None:
        return f"covered by k = {outlet.k}"
    return f"outside k; each class has {'; '.join(describe_model(m, column) for m in models)}"


def list_labels(
    policy: Policy, outlet: TableOutlet, column: str, words: Sequence[str]
) -> Iterator[Label]:
    """Give the labels of a column that occur, in their declared order, and what each means."""
    treatment, how = policy.treated[column].treatment, outlet.columns[column]
    declared = public_labels(treatment, policy.column_type(column))
    if declared is None and not isinstance(how, Rare):
        return
    covered = declare_coverage(policy, outlet, {column: words}).get(column, {})
    meanings, bounds = dict(PLAIN), {}
    if isinstance(treatment, Bin):
        bounds = find_bounds(treatment, covered)
        meanings |= say_bins(treatment, covered)
    if isinstance(how, Rare):
        meanings |= {how.label: "any of the values that too few people share"}
    place = {label: number for number, label in enumerate(declared or words)}

    def order(label: str) -> tuple[int, int, str]:
        members = covered.get(label, [label])
        first = min((place[one] for one in members if one in place), default=len(place))
        return (len(place) if label in PLAIN else first, len(members), label)

    for label in sorted(words, key=order):
        members = () if label in PLAIN else tuple(covered.get(label, ()))
        several = members if len(members) > 1 else ()
        yield Label(label, meanings.get(label) or say_members(several), several, bounds.get(label))


def say_members(members: Sequence[str]) -> str:
    """Say which declared labels one stands for."""
    return f"one of {'; '.join(members)}" if members else ""


def find_bounds(
    treatment: Bin, covered: Mapping[str, Collection[str]]
) -> dict[str, tuple[float | None, float | None]]:
    """Give which numbers each interval holds, from the first to under the second; None has no end.

    `covered` are the declared labels that the table's own stand for; those with a gap have none.
    """
    ends = [None, *treatment.edges, None]
    place = {label: number for number, label in enumerate(treatment.labels)}
    found = {}
    for label, members in {**{one: (one,) for one in place}, **covered}.items():
        places = sorted(place[one] for one in members if one in place)
        if places and len(places) == len(members) == places[-1] - places[0] + 1:
            found[label] = (ends[places[0]], ends[places[-1] + 1])
    return found


def say_bins(treatment: Bin, covered: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Say of each interval which numbers it holds; nothing of all of them."""
    said = {}
    for label, (low, high) in find_bounds(treatment, covered).items():
        least = "" if low is None else f"{low:,.12g} or more"
        most = "" if high is None else f"less than {high:,.12g}"
        if least or most:
            said[label] = ", and ".join(part for part in (least, most) if part)
    return said


def describe_package(told: Codebook, table: Mapping[str, JSON]) -> dict[str, JSON]:
    """Describe it as a Data Package (v1) with a Table Schema; `table` are the facts of its file.

    Frictionless reads and checks the table by it. What it has no word for stands under `tutela`.
    """
    schema: dict[str, JSON] = {
        "fields": [describe_field(column) for column in told.columns],
        "missingValues": [MISSING],
    }
    return {
        "name": f"{told.policy}-{told.outlet}",
        "title": told.title,
        "description": told.claim,
        "created": told.date,
        "contributors": [{"title": f"{told.controller}, {told.contact}", "role": "publisher"}],
        "resources": [{"name": told.outlet, "path": told.file, **table, "schema": schema}],
        "tutela": {
            "policy": told.policy,
            "policy_sha256": told.policy_sha256,
            "run": told.run_id,
            "outlet": told.outlet,
            "recipient": told.recipient,
            "purpose": told.purpose,
            "limits": told.limits,
            "nonce": told.nonce,
        },
    }


def describe_field(column: CodedColumn) -> dict[str, JSON]:
    """Describe a column as a field of a Table Schema."""
    told = [column.note or "", column.treatment, column.protection]
    field: dict[str, JSON] = {
        "name": column.name,
        "type": column.type,
        "description": ". ".join(one[:1].upper() + one[1:] for one in told if one) + ".",
    }
    labels: list[JSON] = [label.name for label in column.labels if label.name != MISSING]
    if labels:
        field["constraints"] = {"enum": labels}
    meanings: dict[str, JSON] = {one.name: one.means for one in column.labels if one.means}
    own: dict[str, JSON] = {"labels": meanings} if meanings else {}
    bounds: dict[str, JSON] = {
        one.name: [*one.bounds] for one in column.labels if one.bounds is not None
    }
    own |= {"bounds": bounds} if bounds else {}
    if own:
        field["tutela"] = own
    return field
