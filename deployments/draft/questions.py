"""What `tutela draft` cannot read from a table: asked at a terminal, else demanded all at once.

Nothing here is guessed. A word that is not on its list is refused with the list.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, NamedTuple

from deployments.terminal import lay_out, say
from expectations.coherence.consent import SAFEGUARDED
from expectations.errors import UsageError, find_nearest
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.policy import Controller
from expectations.policy.vocabulary import Article6, Article9, Category, Purpose
from tasks.drafting.decisions import Answers

PURPOSES: Final[Mapping[str, str]] = {
    Purpose.ACADEMIC_RESEARCH: "research at a university or for one",
    Purpose.COMMERCIAL_RESEARCH: "research for a business",
    Purpose.FRAUD_PREVENTION: "finding and preventing fraud",
    Purpose.MARKETING: "offers, advertising, campaigns",
    Purpose.NON_COMMERCIAL_RESEARCH: "research that is not for profit",
    Purpose.PERSONALISATION: "fitting a service to each person",
    Purpose.PUBLIC_BENEFIT: "a benefit to the public, as by a public body",
    Purpose.RESEARCH_AND_DEVELOPMENT: "research and development of any kind",
    Purpose.SCIENTIFIC_RESEARCH: "scientific research (Art. 89 GDPR)",
    Purpose.SERVICE_OPTIMISATION: "making a service better or cheaper",
    Purpose.SERVICE_PROVISION: "providing the service that people asked for",
}
ARTICLES: Final[Mapping[str, str]] = {
    Article6.CONSENT: "each person consented",
    Article6.CONTRACT: "needed for a contract with the person",
    Article6.LEGAL_OBLIGATION: "a law obliges you",
    Article6.VITAL_INTERESTS: "somebody's life depends on it",
    Article6.PUBLIC_TASK: "a public task that a law gives you",
    Article6.LEGITIMATE_INTERESTS: "interests that outweigh the people's own",
}
CONDITIONS: Final[Mapping[str, str]] = {
    Article9.EXPLICIT_CONSENT: "each person consented explicitly",
    Article9.EMPLOYMENT: "employment and social security law",
    Article9.VITAL_INTERESTS: "life of somebody who cannot consent",
    Article9.LEGITIMATE_BODY: "a non-profit body and its own members",
    Article9.MADE_PUBLIC: "the person made it public",
    Article9.LEGAL_CLAIMS: "legal claims and courts",
    Article9.SUBSTANTIAL_PUBLIC_INTEREST: "substantial public interest, by law",
    Article9.HEALTH_CARE: "health or social care; needs safeguards",
    Article9.PUBLIC_HEALTH: "public health; needs safeguards",
    Article9.RESEARCH: "research or statistics by law; needs safeguards",
}
CATEGORIES: Final[Mapping[str, str]] = {
    word: "special category: needs an Art. 9 condition" if word.special else "" for word in Category
}
OTHERS: Final[Mapping[str, str]] = {
    "controller": "who answers for the data: the organisation's name (Art. 4(7) GDPR)",
    "contact": "where people reach it: an e-mail address or a page",
    "recipient": "who receives the model or the table",
    "assessment": "the reference of the assessment that the legal basis needs",
    "safeguards": "the reference of the safeguards that Art. 9(3) or 89 asks for",
}


@dataclass(frozen=True, slots=True)
class Given:
    """The options as they were typed; empty where one was not."""

    purpose: str = ""
    legal_basis: tuple[str, ...] = ()
    controller: str = ""
    contact: str = ""
    recipient: str = ""
    assessment: str = ""
    safeguards: str = ""


def complete(given: Given) -> Answers:
    """Give all answers: those of the command line, and at a terminal those asked there.

    Raises `UsageError` that names every missing answer with its words, and every unknown word.
    """
    given = complete_words(given)
    check_words(given)
    if sys.stdin.isatty():
        asked = ask_rest(given)
        if asked != given and not list(missing(asked)):
            say(f"\nOptions that answer this next time:\n  {as_options(asked)}")
        given = asked
    if lacking := list(missing(given)):
        raise UsageError("\n".join(tell_missing(lacking)))
    return make_answers(given)


def complete_words(given: Given) -> Given:
    """Put the vocabulary before words that lack it, where one word alone is meant."""
    return replace(
        given,
        purpose=complete_word(given.purpose, PURPOSES),
        legal_basis=tuple(
            complete_word(word, [*ARTICLES, *CONDITIONS]) for word in given.legal_basis
        ),
    )


def complete_word(word: str, known: Iterable[str]) -> str:
    """Give the word of a list that was typed without its vocabulary; else what was typed."""
    meant = [str(each) for each in known if each.rpartition(":")[2] == word]
    return meant[0] if len(meant) == 1 else word


def as_options(given: Given) -> str:
    """Give all answers as they are typed on the command line."""
    named = [("legal-basis", word) for word in given.legal_basis]
    named += [
        (name.replace("_", "-"), value)
        for name, value in asdict(given).items()
        if isinstance(value, str) and value
    ]
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in named)


def missing(given: Given) -> Iterator[str]:
    """Name what is not answered, as far as it is needed with what is."""
    if not given.purpose:
        yield "purpose"
    if not any(word in ARTICLES for word in given.legal_basis):
        yield "legal_basis"
    for name in ("controller", "contact", "recipient"):
        if not getattr(given, name):
            yield name
    safeguarded = bool(set(SAFEGUARDED) & set(given.legal_basis))
    other = bool((set(ARTICLES) - {Article6.CONSENT}) & set(given.legal_basis))
    if not given.assessment and (other or safeguarded):
        yield "assessment"
    if not given.safeguards and safeguarded:
        yield "safeguards"


def check_words(given: Given) -> None:
    """Refuse words that are on no list, two of one list, and bases that contradict each other."""
    words = list(given.legal_basis)
    problems = [*unknown("--purpose", [given.purpose] if given.purpose else [], PURPOSES)]
    problems += unknown("--legal-basis", words, {**ARTICLES, **CONDITIONS})
    for named, kinds in (("Art. 6", ARTICLES), ("Art. 9", CONDITIONS)):
        if len({word for word in words if word in kinds}) > 1:
            problems.append(f"--legal-basis: two words of {named}; give the one that applies")
    explicit = Article9.EXPLICIT_CONSENT in words
    if explicit and any(w in ARTICLES and w != Article6.CONSENT for w in words):
        problems.append(
            "--legal-basis: eu-gdpr:A9-2-a is explicit consent; give consent for Art. 6 too "
            "(eu-gdpr:A6-1-a), or give another condition"
        )
    if problems:
        raise UsageError("\n".join(problems))


def read_accepted(typed: Sequence[str]) -> dict[str, Category | None]:
    """Read `--accept`: columns, parted by commas; `=CATEGORY` is of all that stand before it.

    So `a,b=X,c=Y,d` gives a and b the one, c the other, and leaves d to what it is known by. Raises
    `UsageError` for a word that is no category, and for a category of no column.
    """
    accepted: dict[str, Category | None] = {}
    for words in typed:
        named: list[str] = []
        for word in words.split(","):
            column, equals, typed_category = map(str.strip, word.partition("="))
            named += [column] if column else []
            if equals:
                accepted |= dict.fromkeys(named, _read_category(typed_category, named))
                named = []
        accepted |= dict.fromkeys(named)
    return accepted


def _read_category(typed: str, columns: Sequence[str]) -> Category:
    """Read the category of some columns."""
    if not columns:
        raise UsageError(f"--accept: `={typed}` stands behind no column; write COLUMN={typed}")
    category = complete_word(typed, CATEGORIES)
    if problems := list(unknown("--accept", [category], CATEGORIES)):
        raise UsageError("\n".join(problems))
    return Category(category)


def unknown(option: str, words: Sequence[str], known: Mapping[str, str]) -> Iterator[str]:
    """Say which words are on no list, with the one that was perhaps meant, or the list."""
    for word in words:
        if word not in known:
            near = find_nearest(word, known)
            fix = [f"did you mean {near}?"] if near else ["one of", *word_table(known)]
            yield "\n".join([f"{option}: `{word}` is not a known word; {fix[0]}",
                             *fix[1:]])  # fmt: skip


class Leads(NamedTuple):
    """What is said before the words that may be answered."""

    purpose: str
    basis: str
    again: str
    other: str


def tell_missing(lacking: Sequence[str]) -> Iterator[str]:
    """List all that must be given, each with its words or what is meant."""
    yield "a table cannot answer these: give options, or run this at a terminal"
    for name in lacking:
        leads = Leads(
            "--purpose, what the data are used for; give the nearest word (the policy's\n"
            "title says it in your words)",
            "--legal-basis, why that is lawful; one of",
            "and a second one",
            f"--{name}, ",
        )
        yield from tell_words(name, leads)


def tell_words(name: str, leads: Leads) -> Iterator[str]:
    """Give the lead of one answer, and the list of what may be answered."""
    yield ""
    match name:
        case "purpose":
            yield leads.purpose
            yield from word_table(PURPOSES)
        case "legal_basis":
            yield leads.basis
            yield from word_table(ARTICLES)
            yield f"{leads.again}, if special categories are read (health, origin, belief and"
            yield "others), one of"
            yield from word_table(CONDITIONS)
        case _:
            yield leads.other + OTHERS[name]


def word_table(words: Mapping[str, str]) -> list[str]:
    """Lay out a list of words with what they mean."""
    return [f"  {line}" for line in lay_out((), [(str(w), said) for w, said in words.items()])]


def ask_rest(given: Given) -> Given:
    """Ask for what is missing, one after the other; what was answered decides what is asked."""
    for name in ("purpose", "legal_basis", "controller", "contact", "recipient", "assessment",
                 "safeguards"):  # fmt: skip
        if name in missing(given):
            for line in question(name):
                say(line)
            given = ask(given, name)
    return given


def ask(given: Given, name: str) -> Given:
    """Ask until an answer can be understood; the end of what is typed leaves it unanswered."""
    while True:
        sys.stderr.write("> ")
        sys.stderr.flush()
        typed = sys.stdin.readline()
        if typed and not typed.strip():
            continue
        answered = complete_words(put_in(given, name, typed.strip()))
        try:
            check_words(answered)
        except UsageError as error:
            say(str(error))
        else:
            return answered


def put_in(given: Given, name: str, typed: str) -> Given:
    """Put in what was typed; of the legal basis it may be two words."""
    if name == "legal_basis":
        words = typed.replace(",", " ").split()
        return replace(given, legal_basis=(*given.legal_basis, *words))
    return Given(**{**asdict(given), name: typed})


def question(name: str) -> Iterator[str]:
    """Word one question, with the list of what may be answered."""
    leads = Leads(
        "What are the data used for? Give the nearest (the title says it in your words)",
        "Why is that lawful? One of",
        "and after it",
        f"{name.capitalize()}: ",
    )
    yield from tell_words(name, leads)


def make_answers(given: Given) -> Answers:
    """Give the answers in the policy's own grammar."""
    six = next(word for word in given.legal_basis if word in ARTICLES)
    nine = next((word for word in given.legal_basis if word in CONDITIONS), None)
    return Answers(
        purpose=Purpose(given.purpose),
        legal_basis=LegalBasis(
            article_6=Article6(six),
            article_9=Article9(nine) if nine else None,
            assessment=given.assessment or None,
            safeguards=given.safeguards or None,
        ),
        controller=Controller(name=given.controller, contact=given.contact),
        recipient=given.recipient,
    )
