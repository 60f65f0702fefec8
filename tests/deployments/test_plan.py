"""What `tutela check` says of consent and of the population, before a person is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployments.check.screen import describe_basis, describe_population
from expectations.policy.population import Population
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from tests.conftest import ATTACKS, BASIS, Folder, small_policy
from tests.runs import Place, say

WIDTH = 80
EVENTS = "  events:\n    - location"
OLD = "    - {id: old, version: 3, purposes: [dpv:ResearchAndDevelopment], categories: [dpv-pd:Age]"
NEWER = "    - {id: study, version: 2, purposes: [dpv:ScientificResearch],\n"
NEWER += "       categories: [dpv-pd:Age, dpv-pd:Gender, dpv-pd:Health]}\n"
BESIDE = "    - {id: shop, purposes: [dpv:Marketing], categories: [dpv-pd:Contact]}\n"


def basis(*changes: tuple[str, str]) -> list[str]:
    """Give what is said of the basis of the small policy with its changes."""
    return list(describe_basis(parse_policy(small_policy(*changes))))


def add(lines: str) -> tuple[str, str]:
    """Add lines to the basis, before its events."""
    return EVENTS, f"{lines}{EVENTS}"


CONSENT = {
    "the ledger": (
        (),
        "the latest answer in the consent ledger; events from 1 source are imported",
    ),
    "a notice that covers all": ((), "a consent under study 1 (en) covers everything that is read"),
    "a notice of less": (
        (add(f"{OLD}, covers_narrower: true}}\n"),),
        (
            "a consent under old 3 (en) covers everything that is read except dpv-pd:Gender, "
            "dpv-pd:Health"
        ),
    ),
    "a notice that covers nothing below it": (
        (add(f"{OLD}}}\n"),),
        "a consent under old 3 (en) covers nothing: it is for another purpose",
    ),
    "a notice for something else": (
        (add(BESIDE),),
        "a consent under shop 1 (en) covers nothing: it is for another purpose",
    ),
    "a notice that is too old": (
        (add(f"{NEWER}  minimum_versions: {{study: 2}}\n"),),
        "a consent under study 1 (en) covers nothing: version 2 or later is required",
    ),
    "all categories or none": ((), "people who consented only in part are left out"),
    "what makes a consent explicit": (
        ((", indication: explicit", ""),),
        "if the column `indication` of their source says explicit",
    ),
    "an end": (
        (add("  maximum_age_days: 1000\n"),),
        "a consent ends after 1,000 days at the latest",
    ),
    "children": (
        (add("  minors: {own_consent_from: 16, born: dob}\n"),),
        "under 16 a guardian consents, by age in `dob`; an unknown age counts as minor",
    ),
    "another basis": (
        (
            ("article_6: eu-gdpr:A6-1-a", "article_6: eu-gdpr:A6-1-e\n  assessment: DPIA 4"),
            ("article_9: eu-gdpr:A9-2-a", "article_9: eu-gdpr:A9-2-j\n  safeguards: DPIA 5"),
            (BASIS, "kind: other-basis"),
        ),
        "except people who withdrew, objected or are restricted in the consent ledger",
    ),
}


@pytest.mark.parametrize(("changes", "said"), CONSENT.values(), ids=CONSENT.keys())
def test_the_plan_says_whose_consent_counts(
    changes: tuple[tuple[str, str], ...], said: str
) -> None:
    """Each rule of the basis is a sentence."""
    assert any(said in line for line in basis(*changes))


def test_the_plan_says_that_categories_are_left_blank() -> None:
    """Who consents in part is read in part where the policy says so."""
    policy = parse_policy(small_policy())
    asked = policy.basis.model_copy(update={"on_partial": "blank"})
    said = list(describe_basis(policy.model_copy(update={"basis": asked})))
    assert "people who consented only in part are read without the other categories" in said


CENSUS = {
    "source": "Census 2021",
    "margins": {
        "sex": {"shares": {"f": 0.5, "m": 0.5}},
        "smoked": {"shares": {"no": 0.5, "yes": 0.5}, "role": "hold-out"},
    },
    "when_exceeded": "refuse",
}
POPULATION = {
    "at_most": (100, ["at most 100 people, by a keyed draw"]),
    "sample": (0.5, ["50 % of them, by a keyed draw"]),
    "strata": (
        {"by": ["sex"], "smallest": 20, "at_most": 1000, "sample": {"f": 0.25}},
        [
            "of each group by sex: at least 20 people",
            "of each group by sex, by a keyed draw: f 25 %; all of the others",
            "of each group by sex: at most 1,000 people, by a keyed draw",
        ],
    ),
    "split_by": (
        "household",
        ["people with the same `household` are never split over train and test"],
    ),
    "reference": (
        CENSUS,
        [
            "compared by sex, smoked (held out) with published figures: Census 2021",
            "a standardized difference of more than 0.1 refuses the run",
        ],
    ),
    "weighting": (
        {"largest": 4},
        [
            "weighted to these figures, each person by at most 4 times the mean",
            "effective sample size: at least 30 % of the people",
        ],
    ),
    "excluded_people": (
        {"article_6": "eu-gdpr:A6-1-f", "assessment": "LIA 7", "by": ["sex"]},
        ["eligible people without consent are counted by sex (eu-gdpr:A6-1-f: LIA 7)"],
    ),
}


@pytest.mark.parametrize("part", POPULATION)
def test_the_plan_says_who_is_taken_and_compared(part: str) -> None:
    """Each part of the population is a sentence, and none that is not asked for."""
    given, said = POPULATION[part]
    population = Population.model_validate_json(json.dumps({"smallest": 10, part: given}))
    assert list(describe_population(population)) == ["at least 10 people", *said]


def test_the_column_of_ages_is_said_to_be_read_of_everybody(folder: Folder) -> None:
    """It is known before the plan is run that a child's age is read to ask for a guardian."""
    policy = str(folder.write(add("  minors: {own_consent_from: 16, age: age}\n")))
    said = say("check", policy)
    assert said.status == 0, said.err
    assert "Read of everybody: pid, age." in said.out
    assert max(len(line) for line in said.out.splitlines() if "tutela run" not in line) <= WIDTH
    plan = json.loads(say("check", policy, "--json").out)
    assert plan["read_of_everybody"] == ["pid", "age"]
    assert any("under 16" in line for line in plan["basis"])
    assert plan["population"] == ["age >= 18", "at least 10 people"]


TREATED = """\
  mail:
    {type: text, identifiability: identifier, category: dpv-pd:Contact, use: [release],
     treatment: {kind: token}}
  weight:
    {type: number, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: noise, low: 0, high: 200, epsilon: 1.5}}
  height:
    {type: integer, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: noise, low: 0, high: 250, epsilon: 0.5}}
  letter:
    {type: text, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: redact, languages: [en, tlh]}}
"""
RELEASED = """\
sick: generalize, mail: keep, weight: keep, height: keep, letter: keep}
    not_linkable: {mail: a, weight: b, height: c, letter: d}"""


def test_the_plan_says_what_can_still_be_done_with_each_column(folder: Folder) -> None:
    """Those treated alike stand together, what is dropped is not there, noise adds up."""
    for person in folder.people:
        person.update(dict.fromkeys(("mail", "weight", "height", "letter"), "1"))
    treated = ("derived:\n", f"{TREATED}derived:\n"), ("sick: generalize}", RELEASED)
    policy = str(folder.write(*treated))
    said = say("check", policy)
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    told = " ".join(lines[next(n for n, line in enumerate(lines) if "can still:" in line) :])
    told = " ".join(told.split())
    assert "estimate the value, more closely with every run (weight, height)" in told
    assert "or read the value if it is reversible (mail)" in told
    assert "The noise costs each person ε = 2 in every run." in told
    assert "No language model for tlh is installed here, so a run would stop" in told
    assert "nothing: the column is gone" not in told
    assert max(len(line) for line in lines if "tutela run" not in line) <= WIDTH
    plan = json.loads(say("check", policy, "--json").out)
    assert plan["columns"]["sugar"]["remains"] == "nothing: the column is gone"
    assert plan["columns"]["weight"]["remains"].startswith("estimate the value")
    assert (plan["noise_epsilon"], plan["languages_without_model"]) == (2, ["tlh"])


def test_the_plan_says_nothing_of_noise_and_languages_that_are_not_there(folder: Folder) -> None:
    """Neither a cost of nothing nor a model that nobody needs."""
    policy = str(folder.write())
    said = say("check", policy).out
    assert "noise" not in said
    assert "No model" not in said
    plan = json.loads(say("check", policy, "--json").out)
    assert (plan["noise_epsilon"], plan["languages_without_model"]) == (None, [])


def test_a_mapping_that_does_not_fit_its_source_is_told_with_its_line(folder: Folder) -> None:
    """The header of the events is held against the mapping, beside that of the people."""
    policy = folder.write(
        ("stated: {notice: study", "columns: {person: who}\n      stated: {notice: study"),
        ("  sugar:\n    type", "  sugar:\n    from: suger\n    type"),
    )
    said = say("check", str(policy))
    assert said.status == 2
    assert "basis.events.0.columns.person: the source has no column `who`" in said.err
    assert "the source has no column `suger`; did you mean `sugar`?" in said.err
    assert said.err.count(f"{policy}:") == 2


def test_the_plan_warns_of_what_hides_the_models_own_target(folder: Folder) -> None:
    """On the screen as a line of its own, and as plain values."""
    hidden = "sick: keep}\n    sensitive: {sick: [{kind: distinct-l-diversity, l: 2}]}"
    trained = ("{model: logistic-regression}", "{model: logistic-regression, input: partner}")
    policy = str(folder.write(("sick: generalize}", hidden), trained))
    said = " ".join(say("check", policy).out.split())
    assert "Warning: outlets.partner.sensitive.sick: hides, class by class" in said
    (warning,) = json.loads(say("check", policy, "--json").out)["warnings"]
    assert warning.startswith("outlets.partner.sensitive.sick")


def test_the_plan_warns_of_a_special_category_under_k_alone(folder: Folder) -> None:
    """A class whose people are all ill tells it of each; beside a model of its own it is told."""
    said = " ".join(say("check", str(folder.write())).out.split())
    assert "Warning: outlets.partner: releases sick (special categories, Art. 9 GDPR)" in said
    assert "what all the people of a class share; name what must not be learned under" in said
    hidden = "sick: keep}\n    sensitive: {sick: [{kind: distinct-l-diversity, l: 2}]}"
    policy = str(folder.write(("sick: generalize}", hidden)))
    assert json.loads(say("check", policy, "--json").out)["warnings"] == []


def test_the_plan_says_what_is_predicted_from_what_and_what_is_only_compared(
    folder: Folder,
) -> None:
    """The outcome and the features by name; whether the model sees the groups it is compared by."""
    policy = str(folder.write())
    said = say("check", policy).out
    assert "Predicts `sick` from 2 columns: age, sex.\n" in said
    assert "Checked: 1 rule about values\n" in said
    assert "Its quality is compared by sex, which it sees.\n" in said
    model = json.loads(say("check", policy, "--json").out)["model"]
    assert model == {"predicts": "sick", "from": ["age", "sex"], "compared_by": ["sex"]}
    unseen = say("check", str(folder.write(("[feature, release, audit]", "[release, audit]")))).out
    assert "Predicts `sick` from 1 column: age.\n" in unseen
    assert "Its quality is compared by sex, unseen by it.\n" in unseen


def test_the_plan_has_no_line_of_blanks(folder: Folder) -> None:
    """A list without a heading begins with its first row."""
    lines = say("check", str(folder.write())).out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_plan_counts_what_is_still_marked_to_be_decided(folder: Folder) -> None:
    """Marks in comments, which the grammar does not see; a policy without any is told of none."""
    assert "DECIDE" not in say("check", str(folder.write())).out
    marked = ("population:\n", "# DECIDE: whom?\npopulation:\n  # DECIDE: all?\n")
    policy = str(folder.write(marked))
    lines = [n for n, line in enumerate(Path(policy).read_text().splitlines(), 1) if "DEC" in line]
    told = f"2 places are marked DECIDE, on lines {lines[0]} and {lines[1]}. Settle each"
    assert f"Before you run it:\n  {told}" in say("check", policy).out
    plan = json.loads(say("check", policy, "--json").out)
    assert (plan["still_to_decide"], plan["decide_on_lines"]) == (2, lines)


def test_check_says_what_a_run_still_needs_here(folder: Folder, home: Home, tmp_path: Path) -> None:
    """A home, before a run finds out; the status is that of a good policy all the same."""
    policy = str(folder.write())
    ready = say("check", policy, TUTELA_HOME=str(home.root))
    bare = say("check", policy, TUTELA_HOME=str(tmp_path / "none"))
    assert (ready.status, bare.status) == (0, 0)
    assert "Before it can run here" not in ready.out
    assert "Before it can run here:\n  No home here: run `tutela init`.\n" in bare.out
    locked = say("check", policy, TUTELA_HOME=str(home.root), TUTELA_PASSPHRASE="wrong")
    assert "The home cannot be used: " in locked.out
    plan = say("check", policy, "--json", TUTELA_HOME=str(tmp_path / "none"))
    assert json.loads(plan.out)["missing_to_run"] == ["No home here: run `tutela init`."]


def test_check_says_where_no_consent_is_recorded_yet(folder: Folder, home: Home) -> None:
    """Of a policy that takes none in by itself: a run would read nobody."""
    asked = Place(home)
    policy = str(folder.write((BASIS[BASIS.index("\n  events:") :], "")))
    assert "No consent is recorded in this home" in asked.tell("check", policy).out
    given = ("--policy", policy, "--status", "given", "--indication", "explicit", "--notice",
             "study")  # fmt: skip
    assert asked.tell("consent", "record", "p01", *given).status == 0
    assert "Before it can run here" not in asked.tell("check", policy).out


def test_equal_problems_are_said_once_with_every_place(folder: Folder) -> None:
    """As JSON each problem stands by itself."""
    policy = str(
        folder.write(
            ("feature, eli", "split, feature, eli"), ("feature, rel", "split, feature, rel")
        )
    )
    said = say("check", policy)
    assert said.status == 2
    first, *places = said.err.splitlines()
    assert first == (
        f"tutela: {policy}: in 2 places: `split` is declared, but nothing uses it; remove that use"
        "; a column without any use need not be read"
    )
    assert [place.rpartition(" ")[2] for place in places] == ["columns.age.use", "columns.sex.use"]
    assert all(place.startswith(f"  {policy}:") for place in places)
    found = json.loads(say("check", policy, "--json").err)["problems"]
    assert [each["path"] for each in found] == ["columns.age.use", "columns.sex.use"]


def test_the_plan_says_when_attacks_cannot_tell_and_what_that_does(folder: Folder) -> None:
    """Few people, a class of one's own, and what the policy tolerates; else nothing."""
    (folder.path / "own.py").write_text(OWN_CLASS, encoding="utf-8")
    unsaid = (ATTACKS, "attacks: {membership: {}}\n")
    own = ("{model: logistic-regression}", "{model: own.py:Calm}")
    few, many = ("smallest: 10", "smallest: 20"), ("smallest: 10", "smallest: 2000")
    promise = "promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}"
    private = (
        ("{model: logistic-regression}", "{model: private-boosting}"),
        ("recipient: Clinic", f"recipient: Clinic\n    {promise}"),
    )
    said = " ".join(say("check", str(folder.write(unsaid, few))).out.split())
    assert "With fewer than about 750 people attacks cannot tell, and the run is refused" in said
    assert "population.smallest allows 20." in said
    assert "only reported" not in said
    for changes in ((unsaid, many), (unsaid, few, *private)):
        assert "cannot tell" not in say("check", str(folder.write(*changes))).out
    said = " ".join(say("check", str(folder.write(many, own))).out.split())
    assert "your own class: if an attack cannot tell, the run is refused. But of" in said
    assert "But of membership, audit, memorization, search that is only reported" in said
    assert "Warning: attacks.memorization.when_inconclusive: is `report`" in said


OWN_CLASS = """\
from sklearn.linear_model import LogisticRegression


class Calm(LogisticRegression):
    pass
"""
