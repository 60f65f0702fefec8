"""The one family of errors, each with the exit status that it means on the command line.

A message says where, what and how to fix it, with counts and names of columns, rules and files;
never with a person's value, nor with the number of their row, which goes beside it as `places`.
Whoever raises one of these vouches for its text: it is printed as it stands. Any other exception's
text is treated as if it quoted a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Final, TypeVar

T = TypeVar("T", bound="TutelaError")


class TutelaError(Exception):
    """Something that tutela itself found and can name; `exit_status` is the command's answer.

    >>> import tutela
    >>> issubclass(tutela.Refusal, tutela.TutelaError), tutela.Refusal.exit_status
    (True, 1)
    """

    exit_status: ClassVar[int] = 3
    places: str = ""
    """Which rows or bytes of a source it is about: for a terminal alone, and never in the text."""
    incident: str = ""
    """Under which id its details are sealed; empty where they are not."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by text and parts, since some are made of more than their text.

        What is about single people's rows stays in this process.
        """
        parts = {name: part for name, part in vars(self).items() if name not in IN_PROCESS}
        return _made_again, (type(self), self.args, parts)

    def seal_places(self, seal: Callable[[str], str]) -> None:
        """Let `seal` keep the places, unless it did, and name the incident that it gives."""
        if self.places and not self.incident:
            self.incident = seal(f"{self}\n{self.places}")
            self.args = (f"{self}\nwhich ones: tutela incident show {self.incident}",)


IN_PROCESS: Final = frozenset({"places", "refused"})
"""Parts of an error that go nowhere else."""


def _made_again(kind: type[T], text: tuple[str, ...], parts: dict[str, object]) -> T:
    """Make an error of its text and parts, without asking what its class asks for."""
    error = kind.__new__(kind, *text)
    vars(error).update(parts)
    return error


class UsageError(TutelaError):
    """The command or its arguments are wrong.

    >>> import tutela
    >>> tutela.check("diabetes", [1, 2, 3])
    Traceback (most recent call last):
        ...
    expectations.errors.UsageError: data is a list: give a pandas DataFrame, the path of a .csv ...
    """

    exit_status = 2


class HomeError(TutelaError):
    """No usable home: none was made, or its settings, keys or rights are not safe.

    >>> import os, tutela
    >>> os.environ["TUTELA_HOME"] = "/nowhere/.tutela"
    >>> tutela.run("diabetes")
    Traceback (most recent call last):
        ...
    expectations.errors.HomeError: there is no home at /nowhere/.tutela: make one, once, ...
    """

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a policy: where it is, what it is, and how to correct it.

    >>> import tutela
    >>> (problem,) = tutela.check("diabetis")
    >>> problem.path, problem.what
    ('policy', 'there is no such file, and no policy of that name comes with tutela')
    """

    path: str
    what: str
    fix: str
    line: int = 0

    def say_place(self, file: str) -> str:
        """Give where it stands as `file:line: path`, without a line where none is known."""
        return f"{file}:{self.line}: {self.path}" if self.line else f"{file}: {self.path}"

    def render(self, file: str) -> str:
        """Give the problem as `file:line: path: what; fix`."""
        return f"{self.say_place(file)}: {self.what}; {self.fix}"


def render_problems(file: str, problems: Iterable[Problem]) -> Iterator[str]:
    """Give a line for each problem; equal ones are said once, above a line for each place."""
    alike: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        alike.setdefault((problem.what, problem.fix), []).append(problem)
    for (what, fix), found in alike.items():
        if len(found) == 1:
            yield found[0].render(file)
        else:
            yield f"{file}: in {len(found)} places: {what}; {fix}"
            yield from (f"  {problem.say_place(file)}" for problem in found)


class PolicyError(TutelaError):
    """A policy that cannot be run as written; carries every problem found, in file order.

    >>> import pandas as pd, tutela
    >>> try:
    ...     tutela.consent_standings("diabetis", pd.DataFrame(), pd.DataFrame())
    ... except tutela.PolicyError as error:
    ...     print(len(error.problems), error.problems[0].path)
    1 policy
    """

    exit_status = 2

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.path)))
        super().__init__("\n".join(render_problems(file, self.problems)))


def suggest(word: str, known: Iterable[str], otherwise: str) -> str:
    """Give how to mend a word that is not known: by the one that it is nearest to, if any is."""
    near = find_nearest(word, known)
    return f"did you mean `{near}`?" if near else otherwise


def find_nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the word that another was perhaps meant to be; a vocabulary's prefix is no likeness."""
    bare = {each.rpartition(":")[2]: each for each in known}
    near = get_close_matches(word.rpartition(":")[2], bare, 1)
    return bare[near[0]] if near else None


class SourceError(TutelaError):
    """A source (of people or of consent) that is missing, unreadable, or breaks its own rules.

    >>> import tutela
    >>> tutela.check("diabetes", "no-such-people.csv")
    Traceback (most recent call last):
        ...
    expectations.errors.SourceError: ...: there is no file ...; check the path
    """

    exit_status = 2

    def __init__(self, message: str, places: str = "") -> None:
        super().__init__(message)
        if places:
            self.places = places


class Refusal(TutelaError):
    """A check said no: `check` names it, the message says what was reached and what was asked.

    >>> import pandas as pd, tutela
    >>> try:
    ...     tutela.k_anonymize(pd.DataFrame({"age": [31, 34]}), ["age"], 5)
    ... except tutela.Refusal as refusal:
    ...     print(refusal.check)
    k-anonymity
    """

    exit_status = 1
    refused: object | None = None
    """What was refused, for who looks for ways out: people's rows, which stay inside their step."""

    def __init__(self, check: str, message: str) -> None:
        self.check = check
        super().__init__(f"{check}: {message}")


@contextmanager
def carrying(refused: object | None) -> Iterator[None]:
    """Let a refusal that leaves the block carry what was refused, unless it carries it already.

    The step that the block is part of has ways looked for, and takes it off.
    """
    try:
        yield
    except Refusal as refusal:
        if refusal.refused is None:
            refusal.refused = refused
        raise


class ServiceError(TutelaError):
    """A server, a disk or a library broke; nothing was decided and a rerun is safe.

    >>> import tutela
    >>> tutela.ServiceError.exit_status
    3
    """

    exit_status = 3


class VaultError(ServiceError):
    """The vault is not writable, open to others, or was handed a reference it did not issue."""


class StepFailed(ServiceError):
    """A step broke on something unforeseen; its full text is sealed under `incident`."""

    def __init__(self, step: str, kind: str, incident: str) -> None:
        self.step, self.kind, self.incident = step, kind, incident
        super().__init__(
            f"step '{step}' failed with {kind}; the details may quote people's data and are "
            f"sealed: tutela incident show {incident}"
        )
