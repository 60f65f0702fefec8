"""What is asked of a run, checked before anything is read of a person: the policy and its sources.

Only headers are read here: what is wrong now is no run, and nothing is recorded of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

from expectations.errors import PolicyError, Problem, SourceError, UsageError, suggest
from expectations.policy.legal_basis import (
    ConsentColumn,
    ConsentLedger,
    EventSource,
    OptOutList,
    OtherBasis,
)
from expectations.policy.locations import CsvFile, InMemory, JsonLines, Location, SqlTable
from expectations.policy.outcome import Number
from expectations.policy.policy import Policy
from expectations.policy_file import PolicyFile, locate
from ledgers.home.policies import read_named_policy
from tasks.consent.event_fields import missing_fields
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.people.ingestion import find_missing, people_source
from tasks.sources import location_of, open_source

_SQLITE: Final = re.compile(r"^sqlite(\+\w+)?:///(?=[^/$])")
"""How the address of a SQLite file begins whose path is relative, and is no $NAME."""


def location_given(text: str) -> Location:
    """Give the location that `--source` names; a relative path starts where the command runs."""
    located = location_of(text)
    if isinstance(located, SqlTable):
        here = _SQLITE.sub(lambda it: f"{it[0]}{Path.cwd()}/", located.url)
        return located.model_copy(update={"url": here})
    path = getattr(located, "path", None)
    if path is None:
        return located
    return located.model_copy(update={"path": str(Path(path).absolute())})


def with_source(file: PolicyFile, source: str | InMemory | None) -> PolicyFile:
    """Point a policy at other people."""
    if source is None:
        return file
    location = location_given(source) if isinstance(source, str) else source
    if isinstance(location, JsonLines):
        raise UsageError(
            "--source: JSON lines can only be read whole, with every column of everybody; "
            "give a .csv or .parquet file, or a database's table"
        )
    people = file.policy.source.model_copy(update={"location": location})
    return replace(file, policy=file.policy.model_copy(update={"source": people}))


def event_sources(file: PolicyFile, given: str | None, like: int | None) -> list[EventSource]:
    """Give the sources of events to take in: the policy's own, or one file read like one of them.

    `like` counts from 1. Raises `UsageError` where there is none, or it is not clear which.
    """
    basis, name = file.policy.basis, file.policy.name
    if not isinstance(basis, ConsentLedger):
        raise UsageError(
            f"{name} rests on `{basis.kind}`, which has no consent events: use a policy with basis "
            "`consent`, or `tutela consent record`"
        )
    if given is not None:
        return [read_like(choose_source(basis, name, like), location_given(given))]
    if like is not None:
        raise UsageError("--like needs a file: name it with --from")
    if not basis.events:
        raise UsageError(f"{name} has no source under basis.events: give a file with --from")
    return list(basis.events)


def choose_source(basis: ConsentLedger, name: str, like: int | None) -> EventSource | None:
    """Give the source whose columns and words another file has; None where a policy has none."""
    number = len(basis.events)
    if like is None and number > 1:
        raise UsageError(f"{name} has {number} sources: say with --like which one the file is like")
    if like is not None and not 1 <= like <= number:
        raise UsageError(f"--like: {name} has {number} sources; give a number from 1 to {number}")
    return basis.events[(like or 1) - 1] if number else None


def read_like(model: EventSource | None, location: Location) -> EventSource:
    """Give a source at a location whose columns and words are those of another, if there is one."""
    if model is None:
        return EventSource(location=location)
    if isinstance(location, CsvFile) and isinstance(model.location, CsvFile):
        location = model.location.model_copy(update={"path": location.path})
    return model.model_copy(update={"location": location})


def missing_event_fields(file: PolicyFile) -> Iterator[Problem]:
    """Hold the mapping of each source of events against its header."""
    if isinstance(file.policy.basis, ConsentLedger):
        for number, source in enumerate(file.policy.basis.events):
            if source.fhir is None:  # resources have no header
                there = open_source(source.location, file.folder, "consent").columns()
                yield from missing_fields(source, f"basis.events.{number}", there)
            if (delivery := source.delivery) is not None:
                there = open_source(delivery.location, file.folder, "consent").columns()
                if delivery.column not in there:
                    fix = suggest(delivery.column, there, f"name one of its {len(there)} columns")
                    what = f"the source has no column `{delivery.column}`"
                    yield Problem(f"basis.events.{number}.delivery.column", what, fix)


def checked_request(
    policy: str, source: str | InMemory | None
) -> tuple[PolicyFile, tuple[str, ...]]:
    """Read a policy and hold it against its sources' headers; give it with the columns there.

    Raises `PolicyError` for what does not fit, `SourceError` for a source that is not there.
    """
    file = with_source(read_named_policy(policy), source)
    there = people_source(file).columns()
    problems = [*find_missing(file, there), *missing_event_fields(file)]
    if problems:
        raise PolicyError(str(file.path), locate(file, problems))
    match file.policy.basis:
        case OptOutList(objections=place, person=column):
            listed = open_source(place, file.folder, "objections").columns()
            if column not in listed:
                raise SourceError(
                    f"opt-out list: it has no column `{column}` to name the person; give one of "
                    f"its {len(listed)} columns under basis.person"
                )
        case ConsentLedger() | ConsentColumn() | OtherBasis():
            pass
        case _:
            assert_never(file.policy.basis)
    check_model(file.policy, checked_code(file))
    return file, there


def checked_code(file: PolicyFile) -> Mapping[str, OwnCode]:
    """Load a policy's own code and try it on made-up rows; `PolicyError` where it does not do."""
    if not file.policy.own_code:
        return NO_CODE
    from tasks.rehearsal.trial import load_checked_code

    return load_checked_code(file)


def checked_advice(policy: str, source: str | None, epsilon: float | None) -> PolicyFile:
    """Read a policy as `checked_request` does, and say what advice on it may cost.

    Raises `UsageError` where there is no model to advise on, or where the ε given is out of place.
    """
    file, _ = checked_request(policy, source)
    if file.policy.training is None:
        raise UsageError(f"{file.policy.name} trains no model: there is nothing to advise on")
    outcome = file.policy.outcome
    if isinstance(outcome, Number) or not outcome.binary:
        what = "a number" if isinstance(outcome, Number) else f"one of {len(outcome.labels)} words"
        raise UsageError(
            f"advise: {file.policy.name} predicts {what}, and advice knows yes or no alone: derive "
            "a yes/no target by an expression, or leave out features one by one and compare runs"
        )
    if not file.policy.private:
        if epsilon is not None:
            raise UsageError(
                f"--epsilon: {file.policy.name} trains no private model, so advice costs no ε: "
                "leave the option out"
            )
        return file
    assert file.policy.budget is not None, "coherence asks for it"
    ceiling = file.policy.budget.lifetime_epsilon
    if epsilon is None or not 0 < epsilon <= ceiling:
        raise UsageError(
            "--epsilon: give the ε that the advice may cost each person, above 0 and up to the "
            f"lifetime ceiling of {ceiling:g}; it is charged for good, as a training is"
        )
    return file


def check_model(policy: Policy, own: Mapping[str, OwnCode] = NO_CODE) -> None:
    """Try to build the model, and plan its noise; `UsageError` where that could not be trained.

    Only of one's own, or with parameters, or a network, which wants torch: all others can be, and
    building takes seconds.
    """
    training = policy.training
    network = training is not None and training.model == "private-network"
    if training is None or not (network or "." in training.model or training.parameters):
        return
    from tasks.training.models import build_estimator, declare_encoding, declare_loss, declare_model

    if policy.private:
        declare_loss(policy)
    else:
        build_estimator(declare_model(policy, own), declare_encoding(policy))
