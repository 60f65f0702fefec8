"""A policy whose parts do not fit together is refused before anything is read, rule by rule."""

from __future__ import annotations

from typing import cast

import pytest

from expectations import policy_file
from expectations.coherence import consent, many_rows, population, tables, treatments
from expectations.coherence.rules import RULES
from expectations.errors import PolicyError, Problem
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Use
from expectations.policy_file import PACKAGED, parse_policy, read_policy
from tests.conftest import ATTACKS, BASIS, small_policy

PRIVATE = ("model: logistic-regression", "model: private-logistic-regression")
DP = "\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}"
OTHER_DP = DP.replace("epsilon: 1", "epsilon: 2")
PROMISE = ("recipient: Clinic", f"recipient: Clinic{DP}")
NO_CONSENT = ("article_6: eu-gdpr:A6-1-a", "article_6: eu-gdpr:A6-1-e")
ASSESSED = (
    "article_9: eu-gdpr:A9-2-a",
    "article_9: eu-gdpr:A9-2-j\n  assessment: DPIA 4\n  safeguards: DPIA 4, part 2",
)
OTHER_BASIS = (
    BASIS,
    "kind: other-basis",
)
CLIP_AGE = (
    "{kind: bin, edges: [35, 50, 65], labels: [18-34, 35-49, 50-64, 65+]}",
    "{kind: clip, low: 18, high: 90}",
)


def crossing(columns: str) -> tuple[str, str]:
    """Let the model read a cross."""
    return "{model: logistic-regression}", f"{{model: logistic-regression, crosses: [{columns}]}}"


NO_MODEL = ("  clinic:\n    kind: model\n    recipient: Clinic\n", "")
NO_TRAINING = ("training: {model: logistic-regression}\n", "")
NO_BUDGET = ("budget: {lifetime_epsilon: 10, delta: 1e-5}\n", "")
NO_ATTACKS = (ATTACKS, "")
ON_TABLE = ("{model: logistic-regression}", "{model: logistic-regression, input: partner}")
SICK = "sick: generalize}"


def column(name: str, kind: str, of: str, use: str, treatment: str) -> tuple[str, str]:
    """Add a column before the derived ones."""
    line = (
        f"  {name}: {{type: {kind}, identifiability: {of}, category: dpv-pd:Contact, "
        f"use: [{use}], treatment: {treatment}}}\nderived:\n"
    )
    return "derived:\n", line


def grouped(level: str) -> str:
    """Group the labels of age."""
    return f"{{age: {{kind: generalize, levels: [{level}]}}"


@pytest.mark.parametrize("name", sorted(file.stem for file in PACKAGED.glob("*.yaml")))
def test_the_policies_that_come_with_the_project_fit_together(name: str) -> None:
    """None of the rules refuses an example."""
    assert read_policy(name).policy.name == name


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param((), id="as-it-is"),
        pytest.param((PRIVATE, PROMISE), id="private"),
        pytest.param((NO_CONSENT, ASSESSED, OTHER_BASIS), id="public-task"),
        pytest.param((ON_TABLE,), id="trained-on-a-table"),
    ],
)
def test_a_coherent_policy_passes(changes: tuple[tuple[str, str], ...]) -> None:
    """What the refusals below are changes of is good itself."""
    assert parse_policy(small_policy(*changes)).name == "small"


def test_a_column_that_a_table_names_is_released_without_a_word() -> None:
    """Adding one to a table is one change of the policy; where `release` is said it means that."""
    said = parse_policy(small_policy())
    short = parse_policy(
        small_policy(
            ("use: [feature, eligibility, release]", "use: [feature, eligibility]"),
            ("    use: [feature, release, audit]\n", ""),
            ("use: [target, release]", "use: [target]"),
        )
    )
    assert short.used_as(Use.RELEASE) == said.used_as(Use.RELEASE) == ("age", "sex", "sick")
    assert short.columns["sex"].use == (Use.RELEASE,)


APPROVED_BY_ONE = (
    f"approvals: {{of: [hand-over], quorum: 2, valid: 7 days, by: ['SHA256:{'A' * 43}']}}"
)
CASES = [
    pytest.param(
        [("eligible: age >= 18", "eligible: aeg >= 18")],
        "population.eligible: no column 'aeg' is declared; did you mean 'age'?",
        id="unknown-column-in-an-expression",
    ),
    pytest.param(
        [("eligible: age >= 18", "eligible: age + 18")],
        "population.eligible: is not yes or no; compare",
        id="eligibility-that-is-no-question",
    ),
    pytest.param(
        [("expression: sugar >= 6.5", "expression: sugar >=")],
        "derived.sick.expression: ",
        id="expression-without-an-end",
    ),
    pytest.param(
        [column("sick", "boolean", "none", "audit", "{kind: keep}")],
        "derived.sick: is the name of a column as well; rename one of them",
        id="one-name-twice",
    ),
    pytest.param(
        [("retention_days: 30", "retention_days: 30\nretention: {goods: 30 days, because: law}")],
        "retention_days: is said by `retention` too; keep one of them",
        id="two-retentions",
    ),
    pytest.param(
        [("retention_days: 30", "retention: {goods: 2 years, evidence: 20 months, because: law}")],
        "retention.evidence: ends before the goods that it is about (2 years); give it as long",
        id="evidence-shorter-than-its-goods",
    ),
    pytest.param(
        [("retention_days: 30", f"retention_days: 30\n{APPROVED_BY_ONE}")],
        "approvals.quorum: asks for 2 signatures, and only 1 can sign",
        id="more-signatures-than-keys",
    ),
    pytest.param(
        [("search: {when_inconclusive: report}", "search: {when_inconclusive: approve}")],
        "is `approve`, and the policy has no `approvals` of hand-over",
        id="left-to-approval-that-nobody-is-asked-for",
    ),
    pytest.param(
        [OTHER_BASIS],
        "basis.kind: the legal basis is consent (Art. 6(1)(a)), but consent is not looked up per "
        "person",
        id="consent-that-nobody-looks-up",
    ),
    pytest.param(
        [NO_CONSENT, ASSESSED],
        "legal_basis.article_6: consent is looked up per person, but it is not the legal basis",
        id="consent-that-is-no-basis",
    ),
    pytest.param(
        [NO_CONSENT, ("eu-gdpr:A9-2-a", "eu-gdpr:A9-2-j"), OTHER_BASIS],
        "legal_basis.assessment: eu-gdpr:A6-1-e needs an assessment on file; add `assessment:`",
        id="no-assessment",
    ),
    pytest.param(
        [("  article_9: eu-gdpr:A9-2-a\n", "")],
        "legal_basis.article_9: is missing, but special categories (Art. 9 GDPR) are read: sugar",
        id="special-category-without-article-9",
    ),
    pytest.param(
        [NO_CONSENT, ("A9-2-a", "A9-2-a\n  assessment: DPIA 4"), OTHER_BASIS],
        "legal_basis.article_9: rests on explicit consent, but Art. 6 does not rest on consent",
        id="half-a-consent",
    ),
    pytest.param(
        [("kind: drop", "kind: token")],
        "columns.sugar.treatment.kind: `token` does not fit a column of type number; use one of",
        id="treatment-of-another-type",
    ),
    pytest.param(
        [("{kind: categories, values: [f, m]}", "{kind: keep}")],
        "columns.sex.treatment.kind: `keep` does not fit a column of type text",
        id="text-kept",
    ),
    pytest.param(
        [column("mail", "text", "identifier", "audit", "{kind: categories, values: [a, b]}")],
        "columns.mail.treatment.kind: `categories` lets an identifier pass; use drop, mask or",
        id="identifier-that-passes",
    ),
    pytest.param(
        [column("mail", "text", "identifier", "feature", "{kind: token}")],
        "columns.mail.use: an identifier is neither feature nor target; remove that use",
        id="identifier-as-feature",
    ),
    pytest.param(
        [column("pid", "text", "quasi", "release", "{kind: mask}")],
        "columns.pid.identifiability: it is the column that names the person (source.person)",
        id="the-persons-own-column",
    ),
    pytest.param(
        [("use: [derivation]", "use: [derivation, eligibility]")],
        "columns.sugar.use: `eligibility` is declared, but nothing uses it; remove that use",
        id="use-that-is-not-made",
    ),
    pytest.param(
        [("use: [feature, eligibility, release]", "use: [feature, release]")],
        "columns.age.use: used for eligibility, but `use` omits it; add `eligibility`",
        id="use-that-is-not-said",
    ),
    pytest.param(
        [("sex: generalize, ", "")],
        "columns.sex.use: `release` is declared, but nothing uses it; remove that use",
        id="release-that-is-not-made",
    ),
    pytest.param(
        [("sex: generalize, ", ""), ("    use: [feature, release, audit]\n", "")],
        "columns.sex: is not used; add its `use`, name it in a table's `columns`, or",
        id="no-use-at-all",
    ),
    pytest.param(
        [("use: [derivation]", "use: [derivation, audit]")],
        "columns.sugar.treatment.kind: it is dropped, but `use` needs it as audit; choose a",
        id="dropped-too-early",
    ),
    pytest.param(
        [(SICK, "sick: generalize, weight: keep}")],
        "outlets.partner.columns.weight: is not a column of this policy; name it under columns",
        id="release-of-what-is-not-there",
    ),
    pytest.param(
        [
            column("mail", "text", "identifier", "release", "{kind: mask}"),
            (SICK, "sick: generalize, mail: keep}"),
        ],
        "outlets.partner.columns.mail: is an identifier, which is never released; remove it",
        id="released-identifier",
    ),
    pytest.param(
        [
            column("mail", "text", "identifier", "release", "{kind: token}"),
            (SICK, "sick: generalize, mail: keep}"),
        ],
        "outlets.partner.columns.mail: is a token; every value is unique",
        id="released-token-without-a-reason",
    ),
    pytest.param(
        [
            (
                'share-between, column: sick, value: "yes", low: 0.1, high: 0.9',
                'one-of, column: sick, values: ["no", "yes"]',
            )
        ],
        "expectations.0: cannot fail, whatever the values of `sick` are",
        id="rule-that-names-every-label",
    ),
    pytest.param(
        [
            (
                'share-between, column: sick, value: "yes", low: 0.1, high: 0.9',
                "missing-at-most, column: sick, share: 1",
            )
        ],
        "expectations.0: cannot fail, whatever the values of `sick` are",
        id="rule-that-allows-all-to-be-missing",
    ),
    pytest.param(
        [(SICK, "sick: generalize}\n    not_linkable: {weight: because}")],
        "outlets.partner.not_linkable.weight: is not released here; remove it",
        id="exempt-but-not-there",
    ),
    pytest.param(
        [(SICK, "sick: generalize}\n    not_linkable: {age: a, sex: b, sick: c}")],
        "outlets.partner: k covers no column; leave one linkable",
        id="everything-exempt",
    ),
    pytest.param(
        [CLIP_AGE],
        "outlets.partner.columns.age: `generalize` needs declared labels, and `clip` gives none",
        id="numbers-made-coarser",
    ),
    pytest.param(
        [("{age: generalize", grouped("{young: [18-34, 35-50]}"))],
        "outlets.partner.columns.age.levels.0: `35-50` is not a label of the level below",
        id="grouping-of-an-unknown-label",
    ),
    pytest.param(
        [("{age: generalize", grouped("{a: [18-34], b: [18-34]}"))],
        "outlets.partner.columns.age.levels.0: `18-34` is in two groups",
        id="grouping-that-overlaps",
    ),
    pytest.param(
        [("{age: generalize", grouped("{65+: [18-34, 35-49]}"))],
        "outlets.partner.columns.age.levels.0: `65+` is the name of another label",
        id="grouping-under-a-taken-name",
    ),
    pytest.param(
        [("{age: generalize", grouped("{young: [18-34, 35-49], 65+: [65+]}"))],
        "`65+` is the name of another label; give the group a name of its own; a label that is to "
        "stay alone is left out of the level, and keeps its name",
        id="group-of-one-under-its-own-name",
    ),
    pytest.param(
        [NO_TRAINING],
        "training: is missing, but a model outlet needs it; add `training:`",
        id="no-training",
    ),
    pytest.param(
        [NO_ATTACKS],
        "attacks: is missing, but a model outlet needs it; add `attacks:`",
        id="no-attacks",
    ),
    pytest.param(
        [NO_MODEL],
        "training: no outlet receives a model; add a model outlet, or drop it",
        id="training-for-nobody",
    ),
    pytest.param(
        [NO_MODEL, NO_TRAINING, NO_ATTACKS],
        "columns.age.use: `feature` is declared, but no outlet receives a model; remove that use",
        id="features-for-nobody",
    ),
    pytest.param(
        [("use: [target, release]", "use: [release]")],
        "columns: 0 columns are targets; name exactly one",
        id="no-target",
    ),
    pytest.param(
        [
            ("use: [feature, eligibility, release]", "use: [eligibility, release]"),
            ("use: [feature, release, audit]", "use: [release, audit]"),
        ],
        "columns: no column is a feature; add `feature` to a column's use",
        id="no-feature",
    ),
    pytest.param(
        [
            ("expression: sugar >= 6.5", "expression: sugar * 2"),
            ("treatment: {kind: keep}", "treatment: {kind: round, to: 5}"),
        ],
        "derived.sick.use: `round` leaves a target that is neither yes or no, nor one of 2 to 20 "
        "declared words, nor a number within declared bounds; keep a yes/no column, or treat it "
        "by bin, categories or clip",
        id="target-without-declared-values",
    ),
    pytest.param(
        [
            ("expression: sugar >= 6.5", "expression: sugar * 2"),
            ("treatment: {kind: keep}", "treatment: {kind: clip, low: 0, high: 30}"),
        ],
        "training.model: `logistic-regression` does not predict `sick`, which is a number; train "
        "one of linear-regression, gradient-boosting, private-linear-regression, private-boosting",
        id="model-of-words-for-a-number",
    ),
    pytest.param(
        [CLIP_AGE, ("{kind: clip, low: 18, high: 90}", "{kind: round, to: 5}")],
        "columns.age.treatment.kind: `round` leaves a feature without public bounds",
        id="feature-without-bounds",
    ),
    pytest.param(
        [
            (
                "{model: logistic-regression}",
                "{model: sklearn.neighbors.KNeighborsClassifier, parameters: {n_neighbors: 9}}",
            )
        ],
        "training.model: `KNeighborsClassifier` keeps the rows of people that it was trained on, "
        "and whoever receives the model would receive them; train logistic-regression, ",
        id="model-that-keeps-rows",
    ),
    pytest.param(
        [column("town", "text", "quasi", "audit", "{kind: mask}")],
        "columns.town.treatment.kind: `mask` leaves an audit without declared groups",
        id="audit-without-groups",
    ),
    pytest.param(
        [PROMISE],
        "outlets.clinic.promise: differential privacy is promised, but `logistic-regression` is "
        "trained without it",
        id="promise-that-is-not-kept",
    ),
    pytest.param(
        [PRIVATE],
        "training.model: a private model needs ε and δ, but no outlet promises them",
        id="private-without-a-promise",
    ),
    pytest.param(
        [PRIVATE],
        "add `promise: {kind: differential-privacy, epsilon: 1, delta: 1e-6}` to the model's "
        "outlet, with an ε of your choice and a δ below one in the number of people",
        id="the-promise-to-copy",
    ),
    pytest.param(
        [PRIVATE, PROMISE, ("lifetime_epsilon: 10", "lifetime_epsilon: 1")],
        "or raise budget.lifetime_epsilon; or, if a run's parameters never depend on what an "
        "earlier run showed, write `composition: fixed` under budget",
        id="a-ceiling-that-fixed-composition-would-keep",
    ),
    pytest.param(
        [PRIVATE, PROMISE, NO_BUDGET],
        "budget: is missing, but a private model costs privacy, which never renews; add",
        id="private-without-a-ceiling",
    ),
    pytest.param(
        [(NO_TRAINING[0], f"{NO_TRAINING[0]}{NO_BUDGET[0]}")],
        "budget: no model outlet promises differential privacy",
        id="a-ceiling-for-nothing",
    ),
    pytest.param(
        [PRIVATE, PROMISE, ("lifetime_epsilon: 10", "lifetime_epsilon: 0.5")],
        "outlets.clinic.promise.epsilon: is too much for the lifetime ceiling of 0.5",
        id="promise-above-the-ceiling",
    ),
    pytest.param(
        [crossing("[age, sugar]")],
        "training.crosses.0: sugar is not a feature with declared labels; cross features that are",
        id="cross-of-what-is-no-feature",
    ),
    pytest.param(
        [crossing("[age, age]")],
        "training.crosses.0: a column is named twice; cross features that are binned",
        id="cross-of-a-column-with-itself",
    ),
    pytest.param(
        [
            crossing("[age, sex]"),
            (
                "labels: [18-34, 35-49, 50-64, 65+]",
                f"labels: [{', '.join(f'a{n}' for n in range(800))}]",
            ),
            ("edges: [35, 50, 65]", f"edges: [{', '.join(map(str, range(799)))}]"),
        ],
        "training.crosses.0: makes 2,403 features; stay under 2,000",
        id="cross-that-is-too-large",
    ),
    pytest.param(
        [
            PRIVATE,
            PROMISE,
            (
                "  partner:\n",
                f"  lab:\n    kind: model\n    recipient: Lab{OTHER_DP}\n  partner:\n",
            ),
        ],
        "outlets: model outlets promise different ε or δ of one model; promise the same",
        id="two-promises-of-one-model",
    ),
    pytest.param(
        [("{model: logistic-regression}", "{model: logistic-regression, input: partners}")],
        "training.input: is not a table outlet of this policy; use record-wise or one of partner",
        id="training-on-what-is-not-there",
    ),
    pytest.param(
        [PROMISE, ("{model: logistic", "{input: partner, model: private-logistic")],
        "training.input: the rows of `partner` were made coarser by looking at everybody",
        id="private-on-recoded-rows",
    ),
    pytest.param(
        [ON_TABLE, ("sex: generalize, ", ""), ("use: [feature, release, audit]", "use: [audit]")],
        "training.input: `partner` does not hold sex; release them there, or remove their use",
        id="audit-of-what-the-table-lacks",
    ),
    pytest.param(
        [ON_TABLE, CLIP_AGE, ("{age: generalize", "{age: keep")],
        "outlets.partner.columns.age: k turns each number into its own label",
        id="training-on-pinned-numbers",
    ),
    *(
        pytest.param(
            [
                (
                    "{model: logistic-regression}",
                    f"{{model: private-{kind}, parameters: {{{name}: 0.5}}}}",
                ),
                PROMISE,
            ],
            f"training.parameters.{name}: is set elsewhere in the policy, and the promise",
            id=f"{name}-overruled-for-{kind}",
        )
        for kind, name in (
            ("logistic-regression", "epsilon"),
            ("logistic-regression", "delta"),
            ("logistic-regression", "classes"),
            ("logistic-regression", "row_bound"),
            ("boosting", "features"),
            ("boosting", "edges"),
        )
    ),
    pytest.param(
        [("  partner:\n", "  record-wise:\n")],
        "outlets.record-wise: is reserved for the de-identified rows; give the outlet another",
        id="outlet-of-a-taken-name",
    ),
    pytest.param(
        [("column: sick,", "column: sugar,")],
        "expectations.0.column: does not exist after de-identification; use one of age, sex, sick",
        id="rule-about-a-dropped-column",
    ),
    pytest.param(
        [("column: sick,", "column: sicks,")],
        "expectations.0.column: `sicks` does not exist after de-identification, and `derived.sick` "
        "is spelt nearly so; first look which of the two the source has, then write `sicks` or "
        "`sick` in both",
        id="rule-about-a-column-of-another-spelling",
    ),
    pytest.param(
        [("low: 0.1, high: 0.9", "low: 0.9, high: 0.1")],
        "expectations.0.low: is above high; swap them",
        id="rule-that-nothing-meets",
    ),
    pytest.param(
        [('value: "yes"', "value: sick")],
        "expectations.0.value: `sick` can never hold it; use one of no, yes",
        id="rule-about-another-word",
    ),
    pytest.param(
        [
            ("values: [f, m]", "values: [female, male]"),
            ("use: [feature, release, audit]", "use: [feature, release, audit, derivation]"),
            ("sugar >= 6.5", "sugar >= 6.5 and sex = 'femal'"),
        ],
        "derived.sick.expression: compares `sex` with 'femal', which is not among its declared "
        "words, so no row meets it; did you mean `female`?",
        id="misspelt-word",
    ),
    pytest.param(
        [('share-between, column: sick, value: "yes",', "between, column: age,")],
        "expectations.0.rule: `bin` leaves words, not numbers; use one-of or share-between",
        id="rule-about-numbers-that-are-words",
    ),
    pytest.param(
        [
            column("note", "text", "none", "release", "{kind: redact, known: [full_name]}"),
            (SICK, "sick: generalize, note: keep}\n    not_linkable: {note: why}"),
        ],
        "columns.note.treatment.known: `full_name` is not a column here; name it under columns",
        id="unknown-identifier-in-text",
    ),
    pytest.param(
        [column("town", "text", "quasi", "audit", "{kind: token}")],
        "columns.town.treatment.kind: a token on a column of repeated values is undone by counting",
        id="token-of-repeated-values",
    ),
    pytest.param(
        [("labels: [18-34,", "labels: [-5 to 34,")],
        "outlets.partner.columns.age: `-5 to 34` would run as a formula in a spreadsheet; begin",
        id="label-that-is-a-formula",
    ),
    pytest.param(
        [("age: generalize, sex", "age: {kind: generalize, levels: [{＝x: [18-34]}]}, sex")],
        "outlets.partner.columns.age: `＝x` would run as a formula in a spreadsheet",
        id="group-that-is-a-formula",
    ),
    pytest.param(
        [
            column("town", "text", "quasi", "release", "{kind: redact}"),
            (SICK, "sick: generalize, town: {kind: rare, at_least: 5, label: '@rest'}}"),
        ],
        "outlets.partner.columns.town: `@rest` would run as a formula in a spreadsheet",
        id="rare-label-that-is-a-formula",
    ),
]


@pytest.mark.parametrize(("changes", "said"), CASES)
def test_what_does_not_fit_is_refused(changes: list[tuple[str, str]], said: str) -> None:
    """The problem names the file, a line of it, the path and the fix."""
    text = small_policy(*changes)
    with pytest.raises(PolicyError) as refused:
        parse_policy(text, "p.yaml")
    found = [problem for problem in refused.value.problems if said in problem.render("p.yaml")]
    assert len(found) == 1, str(refused.value)
    assert found[0].fix
    assert 1 <= found[0].line <= text.count("\n")
    leaf = found[0].path.split(".")[-1]
    assert leaf in text.splitlines()[found[0].line - 1] or leaf not in text or leaf.isdigit()


def test_every_rule_has_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule is asked that none of the changes above breaks, or those of its own tests."""
    rooms = (consent, many_rows, population, tables, treatments)
    elsewhere = {rule for room in rooms for rule in room.RULES}
    broken: set[str] = set()

    def watch(policy: Policy) -> list[Problem]:
        broken.update(rule.__name__ for rule in RULES if list(rule(policy)))
        return []

    monkeypatch.setattr(policy_file, "find_problems", watch)
    for case in CASES[3:]:  # the first three break an expression, which comes before the rules
        parse_policy(small_policy(*cast("list[tuple[str, str]]", case.values[0])))
    assert broken >= {rule.__name__ for rule in RULES if rule not in elsewhere}


def test_several_problems_are_told_at_once() -> None:
    """Three parts that do not fit are three problems, in the order of the file."""
    text = small_policy(
        ("  article_9: eu-gdpr:A9-2-a\n", ""), ("column: sick,", "column: sugar,"), NO_ATTACKS
    )
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    lines = [problem.line for problem in refused.value.problems]
    assert len(lines) == 3
    assert lines == sorted(lines)
