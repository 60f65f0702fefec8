"""What a run of a policy still needs here: `tutela check` says it before a run finds out.

Nothing is made, and no server is asked; of the home's ledger no more is read than whether it holds
any consent. What is wrong with the policy itself or with its sources, torch for a network among it,
is an error of `check` and not told here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from expectations.errors import TutelaError
from expectations.policy.legal_basis import ConsentLedger as ConsentBasis
from expectations.policy.policy import Policy
from expectations.policy.treatments import Redact
from expectations.policy_file import PolicyFile

if TYPE_CHECKING:
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys


def find_missing(file: PolicyFile) -> list[str]:
    """Give a sentence for each thing without which a run would end here, with how it is had."""
    return [*missing_home(file), *missing_models(file.policy)]


def missing_home(file: PolicyFile) -> Iterator[str]:
    """Say that there is no home here, why it or its keys cannot be opened, or what it lacks."""
    from ledgers.home.home import Home, home_path, is_absent
    from ledgers.home.keys import Keys

    if is_absent(home_path()):
        yield "No home here: run `tutela init`."
        return
    try:
        home = Home.open()
        keys = Keys.open(home)
        basis = file.policy.basis
        if isinstance(basis, ConsentBasis) and not basis.events and not has_consents(home, keys):
            yield (
                "No consent is recorded in this home: import people's answers with "
                f"`tutela consent import {file.path.name} --from FILE`."
            )
    except TutelaError as error:
        yield f"The home cannot be used: {error}."


def has_consents(home: Home, keys: Keys) -> bool:
    """Whether anything was ever recorded in a home's consent ledger."""
    from ledgers.consent.ledger import ConsentLedger
    from ledgers.home.database import open_database

    return ConsentLedger(open_database(home), home, keys).head().seq > 0


def missing_models(policy: Policy) -> Iterator[str]:
    """Say for which languages of free text no model is installed."""
    if missing := languages_without_model(policy):
        yield (
            f"No language model for {', '.join(missing)} is installed here, so a run would stop: "
            "install one, or drop the text."
        )


def languages_without_model(policy: Policy) -> list[str]:
    """Name the languages of free text that nothing installed here can reduce."""
    treatments = [column.treatment for column in policy.treated.values()]
    wanted = [name for t in treatments if isinstance(t, Redact) for name in t.languages]
    if not wanted:
        return []
    from tasks.anonymization.free_text import text

    return text.missing_models(list(dict.fromkeys(wanted)))
