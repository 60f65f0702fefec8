"""What a policy says of consent that does not fit together is refused, rule by rule."""

from __future__ import annotations

import json

import pytest

from expectations.coherence.consent import RULES, enumerates
from expectations.errors import Problem
from expectations.policy.consent_terms import NoticeTerms
from expectations.policy.locations import JsonLines
from expectations.policy.plain_yaml import read_yaml
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Category, Purpose
from tests.conftest import small_policy

CATEGORIES = "[dpv-pd:Age, dpv-pd:Gender, dpv-pd:Health]"
NOTICE = f"{{id: study, purposes: [dpv:ScientificResearch], categories: {CATEGORIES}}}"
SECOND = NOTICE.replace("study,", "study, version: 2,")
GERMAN = NOTICE.replace("study,", "study, language: de,")
EVENTS = "{location: {kind: csv, path: consent.csv}}"


def policy(*notices: str, events: str = EVENTS, more: str = "", legal: str = "") -> Policy:
    """Give the small policy with notices, one source of events, and more lines of its basis."""
    text = small_policy()
    head, _, tail = text.partition("basis:\n  kind: consent\n")
    _, _, tail = tail.partition("population:\n")
    listed = ", ".join(notices)
    basis = f"basis:\n  kind: consent\n  notices: [{listed}]\n  events: [{events}]\n{more}"
    if legal:
        head = head.replace("article_9: eu-gdpr:A9-2-a", legal)
    _, plain = read_yaml(f"{head}{basis}population:\n{tail}", "p.yaml")
    return Policy.model_validate_json(json.dumps(plain))


def problems(of: Policy) -> list[Problem]:
    """Give all that the rules of consent find."""
    return [problem for rule in RULES for problem in rule(of)]


DONE = "{location: {kind: csv, path: done.csv}, column: done}"


def mapped(text: str) -> str:
    """Give a source of events with a mapping."""
    return f"{{location: {{kind: csv, path: consent.csv}}, {text}}}"


@pytest.mark.parametrize(
    "good",
    [
        pytest.param(policy(NOTICE), id="plain"),
        pytest.param(policy(NOTICE, SECOND, GERMAN), id="versions-and-languages"),
        pytest.param(policy(NOTICE, SECOND, more="  minimum_versions: {study: 2}\n"), id="minimum"),
        pytest.param(
            policy(
                NOTICE,
                events=mapped(
                    "columns: {person: pid, at: when}, zone: Europe/Vienna, "
                    'words: {status: {"yes": given, "": unknown}, purpose: {research: '
                    'dpv:ScientificResearch, "": all}, categories: {basic: "dpv-pd:Age, '
                    'dpv-pd:Gender", "": all}, notice_version: {v2: "2"}, language: {German: de}, '
                    'duration_days: {a year: "365"}}, '
                    "stated: {notice: study, indication: explicit, recorded_at: 2026-01-31, "
                    "evidence: archive 4, method: portal}"
                ),
            ),
            id="mapping",
        ),
        pytest.param(
            policy(
                "{id: broad, purposes: [dpv:ResearchAndDevelopment], covers_narrower: true, "
                f"categories: {CATEGORIES}}}"
            ),
            id="covered-from-above",
        ),
        pytest.param(
            policy(NOTICE, events=mapped(f"not_older_than: 12 hours, delivery: {DONE}")),
            id="fresh",
        ),
        pytest.param(
            policy(NOTICE.replace(", dpv-pd:Health", ""), more="  on_partial: blank\n"),
            id="blanks",
        ),
        pytest.param(
            policy(NOTICE, legal="article_9: eu-gdpr:A9-2-h\n  safeguards: S 1\n  assessment: A 2"),
            id="safeguards",
        ),
    ],
)
def test_what_fits_together_passes(good: Policy) -> None:
    """What the refusals below are changes of is good itself."""
    assert problems(good) == []


def _of_json_lines() -> Policy:
    """Give a policy whose people are in JSON lines."""
    good = policy(NOTICE)
    people = JsonLines(kind="json-lines", path="people.jsonl")
    return good.model_copy(update={"source": good.source.model_copy(update={"location": people})})


CASES = [
    pytest.param(
        policy(),
        "basis.notices: no valid notice enumerates dpv:ScientificResearch, so nobody can",
        id="no-notice",
    ),
    pytest.param(
        policy(NOTICE.replace("ScientificResearch", "Marketing")),
        "basis.notices: no valid notice enumerates dpv:ScientificResearch",
        id="another-purpose",
    ),
    pytest.param(
        policy(NOTICE.replace("ScientificResearch", "ResearchAndDevelopment")),
        "basis.notices: no valid notice enumerates dpv:ScientificResearch",
        id="broader-purpose-that-covers-nothing-below",
    ),
    pytest.param(
        policy(
            NOTICE,
            SECOND.replace("ScientificResearch", "Marketing"),
            more="  minimum_versions: {study: 2}\n",
        ),
        "basis.notices: no valid notice enumerates dpv:ScientificResearch",
        id="purpose-of-a-version-that-no-longer-counts",
    ),
    pytest.param(
        policy(NOTICE.replace(", dpv-pd:Health", "")),
        "basis.notices: no notice for dpv:ScientificResearch enumerates dpv-pd:Health, so nobody",
        id="category-that-nobody-was-asked-for",
    ),
    pytest.param(
        policy(NOTICE.replace(", dpv-pd:Health", "")),
        "which leaves them empty for everybody; or, if people were told about them, add them to "
        "the notice's categories",
        id="category-that-the-notice-may-have-named",
    ),
    pytest.param(
        policy(
            NOTICE.replace(", dpv-pd:Health", ""),
            "{id: ads, purposes: [dpv:Marketing], categories: [dpv-pd:Health]}",
        ),
        "basis.notices: no notice for dpv:ScientificResearch enumerates dpv-pd:Health, so nobody",
        id="category-asked-for-something-else",
    ),
    pytest.param(
        policy(NOTICE, NOTICE),
        "basis.notices.1: this version of the notice is already declared; give it another version",
        id="notice-twice",
    ),
    pytest.param(
        policy(NOTICE, GERMAN.replace("dpv-pd:Age, ", "")),
        "basis.notices.1: in `en` the same version enumerates something else; let both say the",
        id="languages-that-differ",
    ),
    pytest.param(
        policy(NOTICE, more="  minimum_versions: {studdy: 1}\n"),
        "basis.minimum_versions.studdy: no such notice is declared; declared are study",
        id="minimum-of-nothing",
    ),
    pytest.param(
        policy(NOTICE, SECOND.replace("study", "other"), more="  minimum_versions: {study: 2}\n"),
        "basis.minimum_versions.study: no version from 2 on is declared, so no consent would count",
        id="minimum-out-of-reach",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {person: p1}")),
        "basis.events.0.stated.person: one person cannot be behind every event; name the column",
        id="one-person-for-all",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {guardian: g1}")),
        "basis.events.0.stated.guardian: one person cannot be behind every event",
        id="one-guardian-for-all",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {status: given}, columns: {status: answer}")),
        "basis.events.0.columns.status: `status` is also stated for every event; remove one",
        id="stated-and-a-column",
    ),
    pytest.param(
        policy(NOTICE, events=mapped('stated: {status: given}, words: {status: {"yes": given}}')),
        "basis.events.0.words.status: `status` is also stated for every event",
        id="stated-and-words",
    ),
    pytest.param(
        policy(NOTICE, events=mapped('words: {status: {"yes": givn}}')),
        "basis.events.0.words.status: `givn` is not a value of `status`; did you mean giv",
        id="word-that-is-none",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("words: {categories: {basic: dpv-pd:Age dpv-pd:Helth}}")),
        "basis.events.0.words.categories: `dpv-pd:Age dpv-pd:Helth` is not a value of "
        "`categories`; did you mean dpv-pd:Health? use",
        id="category-that-is-none",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("words: {notice_version: {v2: two}}")),
        "basis.events.0.words.notice_version: `two` is not a value of `notice_version`; "
        "write a whole number from 1",
        id="version-that-is-no-number",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("words: {status: {all: all}}")),
        "basis.events.0.words.status: `all` is not a value of `status`",
        id="all-of-a-status",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("words: {person: {p1: p2}}")),
        "basis.events.0.words.person: `person` holds no words; remove it; only these have words",
        id="words-for-people",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {indication: silence}")),
        "basis.events.0.stated.indication: `silence` is not a value of `indication`; use e",
        id="stated-word-that-is-none",
    ),
    pytest.param(
        policy(NOTICE, events=mapped('stated: {status: ""}')),
        "basis.events.0.stated.status: `` is not a value of `status`",
        id="stated-nothing",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("zone: UTC, stated: {at: 2026-02-30}")),
        "basis.events.0.stated.at: is not a time; write it like",
        id="stated-day-that-never-was",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {at: 2026-01-31}")),
        "basis.events.0.stated.at: the time has no zone; name the source's `zone`",
        id="stated-time-without-zone",
    ),
    pytest.param(
        policy(NOTICE, events=mapped(f"stated: {{evidence: {'x' * 201}}}")),
        "basis.events.0.stated.evidence: it is longer than 200 characters; say where",
        id="evidence-in-full",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {notice: other}")),
        "basis.events.0.stated.notice: no such notice is declared; declare it under `basis.notices`"
        "; declared are study 1 (en)",
        id="stated-notice-that-is-none",
    ),
    pytest.param(
        policy(NOTICE, events=mapped('stated: {notice: study, notice_version: "2"}')),
        "basis.events.0.stated.notice: no such notice is declared",
        id="stated-version-that-is-none",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("stated: {notice: study, language: de}")),
        "basis.events.0.stated.notice: no such notice is declared",
        id="stated-language-that-is-none",
    ),
    pytest.param(
        policy(
            NOTICE,
            events="{location: {kind: sql, url: 'sqlite:///c', table: c}, not_older_than: 1 day}",
        ),
        "basis.events.0.not_older_than: this source does not record when it was last delivered",
        id="a-table-without-a-delivery",
    ),
    pytest.param(
        policy(NOTICE, events=mapped(f"delivery: {DONE}")),
        "basis.events.0.delivery: nothing asks when it was delivered",
        id="a-delivery-without-a-limit",
    ),
    pytest.param(
        policy(
            NOTICE,
            events=mapped(
                "not_older_than: 1 day, delivery: "
                "{location: {kind: csv, path: consent.csv}, column: recorded_at}"
            ),
        ),
        "basis.events.0.delivery.column: this column says when people answered",
        id="a-delivery-by-the-newest-event",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("fhir: {notices: {u: none}}")),
        "basis.events.0.location.kind: FHIR resources are read from a file; name a file of kind",
        id="fhir-in-a-table",
    ),
    pytest.param(
        policy(NOTICE, events=mapped('time_format: "%H:%M"')),
        "basis.events.0.time_format: it does not say a day, month and year; write it like",
        id="time-format",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("zone: Europe/Viena")),
        "basis.events.0.zone: there is no such time zone; did you mean `Europe/Vienna`?",
        id="zone",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("zone: ../etc/passwd")),
        "basis.events.0.zone: there is no such time zone",
        id="zone-that-is-a-path",
    ),
    pytest.param(
        policy(NOTICE, events=mapped("zone: Europe")),
        "basis.events.0.zone: there is no such time zone",
        id="zone-that-is-a-folder",
    ),
    pytest.param(
        policy(NOTICE, legal="article_9: eu-gdpr:A9-2-j\n  assessment: A 2"),
        "legal_basis.safeguards: eu-gdpr:A9-2-j asks for safeguards (Art. 9(3), 89(1) GDPR); add",
        id="no-safeguards",
    ),
    pytest.param(
        policy(NOTICE, legal="article_9: eu-gdpr:A9-2-i\n  safeguards: S 1"),
        "legal_basis.assessment: eu-gdpr:A9-2-i needs an assessment on file; add `assessment:`",
        id="no-assessment",
    ),
    pytest.param(
        _of_json_lines(),
        "source.location.kind: JSON lines can only be read whole, with every column of everybody",
        id="people-in-json-lines",
    ),
]


@pytest.mark.parametrize(("bad", "said"), CASES)
def test_what_does_not_fit_together_is_refused(bad: Policy, said: str) -> None:
    """One thing is wrong, and one problem tells where, what, and how to mend it."""
    found = problems(bad)
    assert len(found) == 1, found
    (problem,) = found
    assert said in f"{problem.path}: {problem.what}; {problem.fix}"


def test_every_rule_is_broken_by_some_case_and_says_what_it_asks() -> None:
    """No rule is there that nothing tests, and each states itself in its docstring."""
    cases = [case.values[0] for case in CASES]
    for rule in RULES:
        assert any(isinstance(case, Policy) and [*rule(case)] for case in cases), rule.__name__
        assert rule.__doc__


@pytest.mark.parametrize(
    ("purpose", "covers", "enumerated"),
    [
        ("dpv:ScientificResearch", True, True),
        ("dpv:ScientificResearch", False, False),
        ("dpv:ResearchAndDevelopment", False, True),
        ("dpv:ServiceOptimisation", True, False),
        ("dpv:Marketing", True, False),
    ],
)
def test_a_notice_enumerates_what_it_names_and_what_is_below_if_it_says_so(
    purpose: str, covers: bool, enumerated: bool
) -> None:
    """Never what is above or beside."""
    notice = NoticeTerms("n", 1, "en", (Purpose.RESEARCH_AND_DEVELOPMENT,), (Category.AGE,), covers)
    assert enumerates(notice, Purpose(purpose)) is enumerated
    narrow = NoticeTerms("n", 1, "en", (Purpose.SCIENTIFIC_RESEARCH,), (Category.AGE,), covers)
    assert not enumerates(narrow, Purpose.RESEARCH_AND_DEVELOPMENT)
