"""What a run of a policy still needs here: `tutela check` says it before a run finds out.

Nothing is made, no database is opened, and no server is asked. What is wrong with the policy itself
or with its sources, torch for a network among it, is an error of `check` and not told here.
"""

from __future__ import annotations

from collections.abc import Iterator

from expectations.errors import HomeError
from expectations.policy.policy import Policy
from expectations.policy.treatments import Redact


def find_missing(policy: Policy) -> list[str]:
    """Give a sentence for each thing without which a run would end here, with how it is had."""
    return [*missing_home(), *missing_models(policy)]


def missing_home() -> Iterator[str]:
    """Say that there is no home here, or why it or its keys cannot be opened."""
    from ledgers.home.home import Home, home_path, is_absent
    from ledgers.home.keys import Keys

    if is_absent(home_path()):
        yield "No home here: run `tutela init`, once."
        return
    try:
        Keys.open(Home.open())
    except HomeError as error:
        yield f"The home cannot be opened: {error}."


def missing_models(policy: Policy) -> Iterator[str]:
    """Say for which languages of free text no model is installed."""
    if missing := languages_without_model(policy):
        yield (
            f"No model for texts in {', '.join(missing)} is installed here: a run would stop; "
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
