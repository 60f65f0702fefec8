"""What is asked of a run, checked before anything is read of a person: the policy and its sources.

Only headers are read here: what is wrong now is no run, and nothing is recorded of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from expectations.errors import PolicyError, SourceError
from expectations.locations import Location
from expectations.policy import ConsentColumn, ConsentLedger, OptOutList, OtherBasis, Policy
from expectations.policy_file import PolicyFile, locate, read_policy
from tasks.ingestion import missing_columns, people_source
from tasks.sources import location_of, open_source


def location_given(text: str) -> Location:
    """Give the location that `--source` names; a relative path starts where the command runs."""
    located = location_of(text)
    path = getattr(located, "path", None)
    if path is None:
        return located
    return located.model_copy(update={"path": str(Path(path).absolute())})


def with_source(file: PolicyFile, source: str | None) -> PolicyFile:
    """Point a policy at other people."""
    if source is None:
        return file
    people = file.policy.source.model_copy(update={"location": location_given(source)})
    return replace(file, policy=file.policy.model_copy(update={"source": people}))


def checked_request(policy: str, source: str | None) -> tuple[PolicyFile, tuple[str, ...]]:
    """Read a policy and hold it against its sources' headers; give it with the columns there.

    Raises `PolicyError` for what does not fit, `SourceError` for a source that is not there.
    """
    file = with_source(read_policy(policy), source)
    there = people_source(file).columns()
    problems = missing_columns(file.policy, there)
    if problems:
        raise PolicyError(str(file.path), locate(file, problems))
    match file.policy.basis:
        case ConsentLedger(events=places):
            for place in places:
                open_source(place, file.folder, "consent").columns()
        case OptOutList(objections=place, person=column):
            listed = open_source(place, file.folder, "objections").columns()
            if column not in listed:
                raise SourceError(
                    f"opt-out list: it has no column `{column}`, which names the person; name one "
                    f"of its {len(listed)} columns under basis.person"
                )
        case ConsentColumn() | OtherBasis():
            pass
        case _:
            assert_never(file.policy.basis)
    if file.policy.training and "." in file.policy.training.model:
        check_own_model(file.policy)
    return file, there


def check_own_model(policy: Policy) -> None:
    """Try to build a model that is named by a dotted path; `UsageError` when there is none."""
    from tasks.training.models import build_estimator
    from tasks.training.train import declare_encoding, declare_model

    build_estimator(declare_model(policy), declare_encoding(policy))
