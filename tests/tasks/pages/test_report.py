"""What the report of a run shows, and that it is safe and whole as one file."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.run.screen import say_verdict, screen_lines
from expectations.policy.vocabulary import CheckVerdict
from ledgers.evidence import JSON
from ledgers.home.home import Home
from tasks.account.advised import Advice, AtEpsilon, Dropped
from tasks.account.published import ClassSize, Figure, Promise
from tasks.account.summary import summarize
from tasks.pages import report as reporting
from tasks.pages.drawings import draw_funnel, draw_promise, scale_auc, trim_sizes
from tasks.pages.model_card import render_card, write_markdown
from tasks.pages.report import count_checks, render_report
from tasks.pages.words import say_chance
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    RUN,
    MakeRun,
    Note,
    Recorded,
    compared_run,
    comparing_policy,
    failed_run,
    make_entries,
    make_policy,
    make_record,
    make_row,
    note_check,
    note_count,
    passed_run,
    refused_run,
    weighted_run,
)

VOID = {"meta", "br", "rect", "circle", "line", "path", "link"}
RUNS = pytest.mark.parametrize(
    "run",
    [passed_run, refused_run, failed_run, compared_run, weighted_run],
    ids=["passed", "refused", "failed", "compared", "weighted"],
)


class Page(HTMLParser):
    """A page as its tags and their texts; an unbalanced tag is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and open it."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, which must be the one that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Add text to the page and to the innermost tag."""
        if self.open[-1:] != ["style"]:
            self.text += data
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Give the attributes of every tag of a name."""
        return [attrs for name, attrs in self.tags if name == tag]


def read(run: Recorded) -> Page:
    """Render a run and read the page."""
    return Page(render_report(summarize(*run)))


@RUNS
def test_page_is_balanced_and_every_section_has_its_heading(run: MakeRun) -> None:
    """Each section is named by a heading inside it, and no id stands twice."""
    page = read(run())
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]

    assert len(ids) == len(set(ids))
    assert len(page.all("section")) == len(page.all("h2")) >= 6
    for section, heading in zip(page.all("section"), page.all("h2"), strict=True):
        assert section["aria-labelledby"] == heading["id"]


@RUNS
def test_page_is_accessible(run: MakeRun) -> None:
    """There are landmarks, one first heading, a language, captions, and named drawings."""
    page = read(run())

    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("h1", "main", "header", "footer", "nav")] == [1] * 5
    assert len(page.all("caption")) == len(page.all("table"))
    drawings = page.all("svg")
    assert all(d.get("aria-hidden") == "true" or d.get("aria-label") for d in drawings)
    assert len(page.texts["title"]) - 1 == sum("aria-label" in d for d in drawings)


@RUNS
def test_links_within_the_page_lead_somewhere(run: MakeRun) -> None:
    """Every anchor of the contents is there."""
    page = read(run())
    ids = {attrs.get("id") for _, attrs in page.tags}
    inner = [str(a["href"]) for a in page.all("a") if str(a["href"]).startswith("#")]

    assert {anchor.removeprefix("#") for anchor in inner} <= ids


@RUNS
def test_nothing_is_loaded_from_anywhere(run: MakeRun) -> None:
    """No tag fetches, no style imports, and the page's own policy forbids both."""
    html = render_report(summarize(*run()))
    page = Page(html)

    assert {"script", "img", "link", "iframe", "object", "embed", "base"}.isdisjoint(
        tag for tag, _ in page.tags
    )
    assert not any({"src", "srcset", "data", "poster"} & attrs.keys() for _, attrs in page.tags)
    assert not re.search(r"url\(|@import|@font-face|\son\w+=", html)
    policy = next(m for m in page.all("meta") if "http-equiv" in m)
    assert str(policy["content"]).startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_only_web_addresses_of_the_record_are_linked() -> None:
    """The one address that leads out is MLflow's, and nobody is told where it was followed.

    The model's card stands beside the report.
    """
    outer = [a for a in read(passed_run()).all("a") if not str(a["href"]).startswith("#")]

    assert outer == [
        {"href": f"{RUN}-ward-card.html"},
        {"href": "http://localhost:5000/#/runs/m1", "rel": "noreferrer noopener"},
    ]


def test_only_a_model_that_left_has_its_card_linked() -> None:
    """A refused run's report leads to none."""
    assert not any("card" in str(a["href"]) for a in read(refused_run()).all("a"))


def drawn(page: Page) -> list[str]:
    """Give what the drawings of groups say to who can't see them, from the top."""
    lanes = [svg for svg in page.all("svg") if svg.get("class") == "lanes"]
    return [str(svg["aria-label"]) for svg in lanes]


def test_who_is_missing_is_drawn_with_the_largest_gaps_first() -> None:
    """Columns by their largest gap; labels in their order, or where there is none the rarest first.

    Each says both shares, and the weighted one where people are weighted.
    """
    plain, weighted = read(compared_run()), read(weighted_run())

    assert drawn(plain) == [
        "age 18-39: 40 % of the people used, 30 % of the reference population",
        "age 40-64: 50 % of the people used, 50 % of the reference population",
        "age 65+: 10 % of the people used, 20 % of the reference population",
        "ill yes: 10 % of the people used, 20 % of the reference population",
        "ill no: 90 % of the people used, 80 % of the reference population",
        "sex m: 48 % of the people used, 50 % of the reference population",
        "sex f: 52 % of the people used, 50 % of the reference population",
    ]
    assert [text.partition(":")[0] for text in drawn(weighted)][3:5] == ["sex m", "sex f"]
    assert drawn(weighted)[-2] == (
        "ill yes: 10 % of the people used, 20 % of the reference population, 20 % once weighted"
    )


def test_groups_that_are_off_are_marked_and_no_others() -> None:
    """Too few or too many in words; what weights closed, and what they did not."""

    def marks(run: Recorded) -> list[str]:
        texts = read(run).texts["span"]
        return [
            word
            for word in ("too few", "too many", "gap not closed", "gap closed")
            if word in texts
        ]

    assert marks(compared_run()) == ["too few", "too many"]
    assert marks(compared_run("passed")) == []
    assert marks(weighted_run()) == ["too few", "too many", "gap closed"]
    assert "gap not closed" in marks(weighted_run(0.1, "warned"))
    assert "gap closed" not in marks(weighted_run(weights="refused"))


def test_what_the_weighting_was_not_told_of_is_said_to_be_so() -> None:
    """Only where there is a weighting, and only of what was held out."""
    assert "held out from the weighting" not in read(compared_run()).text
    text = read(weighted_run()).text
    assert text.count("held out from the weighting") == 1
    assert text.count("weights are raked to this") == 2


def test_report_says_what_the_population_meant_is_and_what_else_makes_gaps() -> None:
    """The reference's source stands there, and that consent is not the only cause."""
    text = read(compared_run()).text

    assert "Who is missing because of consent" in text
    assert "the register of 2025" in text
    assert "Consent is not the only cause of a gap" in text
    assert "did not compare its people" not in text


def test_run_that_compared_nobody_says_that_it_is_not_known_whom_it_lacks() -> None:
    """No section of drawings, and no silence either."""
    text = read(passed_run()).text

    assert "Who is missing" not in text
    assert "it is not known which groups this leaves out more than others" in text


def test_people_who_did_not_consent_are_told_with_the_basis_for_looking_at_them() -> None:
    """Rates with their intervals, the basis, and who was left alone even there."""
    text = " ".join(read(compared_run()).text.split())

    assert "412 eligible people are absent." in text
    assert "Art. 6(1)(f) GDPR, assessment 7. Only age was read about them" in text
    assert "withdrawn, objected." in text
    assert "32.1 % 27–38" in text
    assert "Of the eligible people with age “65+”, 32.1 % are used" in text


def test_reasons_with_hidden_counts_stand_in_one_line() -> None:
    """A bar for each number that is told; the others once, with what each means."""
    page = read(compared_run())
    text = " ".join(page.text.split())

    assert "Fewer than 10 each, perhaps nobody: expired (their consent has expired); " in text
    bars = [str(svg["aria-label"]) for svg in page.all("svg") if svg.get("class") == "bar "]
    assert not any("fewer than 10" in label for label in bars)
    assert "never asked: 500 people" in bars


def test_run_in_which_every_reason_is_hidden_has_its_report() -> None:
    """With no bar to draw, the line stands alone."""
    notes = [note_count("excluded.refused", None), note_count("excluded.expired", None)]
    text = read((make_record("passed"), make_policy(), make_entries(*notes, PASSED))).text

    assert "Fewer than 10 each, perhaps nobody:" in text
    assert "Why people were left out" in text


def test_report_says_which_consent_was_decided_on_and_how_to_decide_again() -> None:
    """Both moments, the digest in short and whole, and the command."""
    text = " ".join(read(compared_run()).text.split())

    assert "as valid on 2 January 2026, 03:04 UTC" in text
    assert "by what was known on 2 January 2026, 03:05 UTC: consent history bbbbbbbbbbbb." in text
    assert "tutela consent snapshot visits --run 20260102T030405-0a1b2c3d" in text
    assert "b" * 64 in text
    assert "Who may be read was decided as valid on" in text
    assert "Who may be read was decided" not in read(passed_run()).text


def test_what_people_kept_back_is_told_by_category() -> None:
    """The largest first; a hidden count stays hidden."""
    assert "Health: 78 people; Gender: fewer than 10 people." in read(compared_run()).text


HOSTILE = "</style></title><script>alert('x')</script>\"'><svg onload=alert(1)>&amp;"


def test_hostile_text_is_shown_and_never_obeyed() -> None:
    """Text from a policy or a check stays text wherever it stands."""
    policy = make_policy()
    hostile = policy.model_copy(
        update={
            "title": HOSTILE,
            "controller": policy.controller.model_copy(update={"name": HOSTILE}),
            "outlets": {
                name: outlet.model_copy(update={"recipient": HOSTILE})
                for name, outlet in policy.outlets.items()
            },
        }
    )
    reference = comparing_policy().population.reference
    assert reference is not None
    population = hostile.population.model_copy(
        update={"reference": reference.model_copy(update={"source": HOSTILE})}
    )
    hostile = hostile.model_copy(update={"population": population})
    groups: JSON = [{"group": HOSTILE, "people": HOSTILE, "auc": None, "selection_rate": None}]
    entries = make_entries(
        *GATHERED,
        note_check(HOSTILE, "refused", HOSTILE),
        ("measure", "utility.auc", 0.7),
        ("table", "utility.groups.sex", groups),
        ("table", "representation.age", [make_row(HOSTILE, 0.2, 0.4), make_row("b", 0.8, 0.6)]),
        note_check("representation", "warned"),
        ("duration", HOSTILE, 1.0),
        ("decision", "refused", {"check": HOSTILE, "reason": f"refused: {HOSTILE}: no"}),
    )

    page = Page(render_report(summarize(make_record("refused"), hostile, entries)))

    assert not page.all("script")
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert page.texts["h1"] == [HOSTILE]


@RUNS
def test_every_check_appears_with_all_that_it_says(run: MakeRun) -> None:
    """Asked, measured, verdict and power of each check stand on the page."""
    summary = summarize(*run())
    page = Page(render_report(summary))

    for check in summary.checks:
        for words in (check.name, check.asked, check.measured, check.power, str(check.verdict)):
            assert words in page.text


def test_passed_run_says_who_receives_what_with_its_limits() -> None:
    """Claim and limits stand together for every recipient."""
    summary = summarize(*passed_run())
    page = Page(render_report(summary))

    assert "All 3 checks passed. A model goes to Ward 7; a table goes to Partner." in page.text
    for outlet in summary.outlets:
        assert str(outlet.claim) in page.text
        assert outlet.limits in page.text


def test_refused_run_begins_with_what_has_to_change() -> None:
    """Reason, asked, reached and remedy come before anything else."""
    text = read(refused_run()).text

    order = [
        "Nothing was handed over. The check “membership” stopped the run.",
        "membership asked",
        "membership measured",
        "membership remedy",
        "Who receives what",
    ]
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    assert "differentially private" not in text
    assert "Look first at" not in text


def test_refusal_outside_a_check_gives_its_reason() -> None:
    """A run that was refused before any check says why."""
    body: JSON = {"check": "legal basis", "reason": "legal basis: 12 people withdrew; run again"}
    entries = make_entries(("decision", "refused", body))
    page = read((make_record("refused"), make_policy(), entries))

    assert "The check “legal basis” stopped the run" in page.text
    assert "12 people withdrew; run again" in page.text


def test_failed_run_says_that_nothing_left_and_what_broke() -> None:
    """A failure is told as one, not as a refusal."""
    text = read(failed_run()).text

    assert "Nothing was handed over. Something broke" in text
    assert "step 'train' failed with MemoryError" in text


def test_data_that_do_not_fit_are_told_as_such() -> None:
    """Nothing broke: whoever reads it has to correct the data or the policy."""
    body: JSON = {"reason": "column sex: about 20 values are not declared", "unfit": True}
    run = (make_record("failed"), make_policy(), make_entries(("decision", "failed", body)))
    text = read(run).text

    assert "Stopped: the data do not fit the policy. Nothing was handed over. Correct" in text
    assert text.count("about 20 values are not declared") == 1
    assert "broke" not in text
    assert say_verdict(summarize(*run)) == (
        "Stopped: the data do not fit the policy. Nothing was handed over."
    )


def test_the_check_that_stopped_a_run_is_counted() -> None:
    """Whether it stands among the checks, or refused while it searched; others came no further."""
    found = [note_check(name, "passed") for name in ("one rule", "another")]
    body: JSON = {"check": "k-anonymity", "reason": "k-anonymity: too few people are alike"}
    entries = make_entries(*found, ("decision", "refused", body))
    searched = summarize(make_record("refused"), make_policy(), entries)
    told = count_checks(searched)

    assert (told.value, told.detail) == ("1 of 3", "2 passed. Others were not reached.")
    recorded = summarize(*refused_run())
    assert count_checks(recorded).value == f"1 of {len(recorded.checks)}"


def test_run_of_which_nothing_is_known_still_has_a_report() -> None:
    """A run that was killed at once has a page."""
    text = read((make_record(None), make_policy(), [])).text

    assert "still going on, or it was killed" in text
    assert "The run ended before the first check." in text


@RUNS
def test_counts_are_said_to_be_published_values(run: MakeRun) -> None:
    """The reader is told that parts need not add up."""
    assert "parts need not add up" in read(run()).text


def test_example_data_is_labelled_as_made_up() -> None:
    """What is made up stands beside the verdict."""
    record = make_record("passed", source={"kind": "example", "name": "nhanes"})
    page = read((record, make_policy(), make_entries(PASSED)))

    assert "Example data: names, contacts, notes" in page.text
    assert "Example data" not in read(passed_run()).text


def test_run_can_be_reproduced_from_its_page() -> None:
    """Policy, consent, code and run are named in full, with the commands."""
    text = read(passed_run()).text

    for words in ("5" * 64, "c" * 64, "d" * 64, "c0ffee123456", "tutela run visits"):
        assert words in text


def test_verdict_that_was_reached_with_an_inconclusive_check_says_so() -> None:
    """Nobody reads that all checks passed when one could not have failed."""
    summary = summarize(*passed_run())
    entries = make_entries(*GATHERED, note_check("membership", "inconclusive", "ward"), PASSED)
    found = Page(render_report(summarize(make_record("passed"), make_policy(), entries))).text

    assert "No check failed; 1 could not be judged on this data." in found
    assert len(summary.checks) == 3


def test_warnings_are_named_in_the_first_sentence_and_told_below_it() -> None:
    """A run that passed with a warning does not look as one without."""
    names = ["representation", "b", "c", "d"]
    notes = [note_check(name, "warned") for name in names]
    entries = make_entries(*GATHERED, *notes, PASSED)
    page = Page(render_report(summarize(make_record("passed"), make_policy(), entries)))

    assert "No check failed; 4 warnings." in page.text
    assert "Look first at: representation: representation measured." in page.text
    for name in names:
        assert f"{name}: {name} measured." in page.text
    warned = [attrs for attrs in page.all("span") if attrs.get("class") == "verdict warned"]
    assert len(warned) == 4


def test_near_equal_checks_are_one_row_that_opens() -> None:
    """Five columns of one attack are one matter; each still says all that it found."""
    names = [f"homogeneity of {column} in partner" for column in ("age", "sex", "ill")]
    notes = [note_check(name, "warned", "partner") for name in names]
    run = make_record("passed"), make_policy(), make_entries(*GATHERED, *notes, PASSED)
    page = read(run)
    (folded,) = (s for s in page.texts["summary"] if "homogeneity" in s)
    assert "homogeneity of age, sex and ill in partner" in folded
    assert all(f"{name} measured" in page.text for name in names)
    assert "All or nearly all people of some class share a value, so it is known" in page.text


@given(st.floats(0, 100), st.floats(0, 100), st.booleans())
def test_a_promise_is_drawn_within_its_bar(asked: float, reached: float, least: bool) -> None:
    """What is kept lies on the side of the limit that is shown as kept."""
    drawn = draw_promise(Promise("o", "n", "k", least, asked, reached, CheckVerdict.PASSED))
    assert 0 <= drawn.reached <= 100
    assert 0 <= drawn.asked <= 100
    low, high = drawn.within
    kept = reached >= asked if least else reached <= asked
    assert not kept or low <= drawn.reached <= high


@given(st.lists(st.none() | st.integers(0, 10**9), min_size=1, max_size=6))
def test_funnel_is_drawn_within_its_box(counts: list[int | None]) -> None:
    """Whatever the counts, bars and slopes stay within 100 by 100 and widths follow the counts."""
    rows = draw_funnel([Figure("step", "n", count) for count in counts])
    widths = []
    for row in rows:
        numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", row.bar + row.slope)]
        assert all(0 <= number <= 100 for number in numbers)
        widths.append(numbers[2] - numbers[0])

    order = sorted(range(len(counts)), key=lambda place: counts[place] or 0)
    assert [widths[place] for place in order] == sorted(widths)


def test_funnel_gives_no_share_of_a_hidden_count() -> None:
    """A hidden count says nothing by a percentage either."""
    rows = draw_funnel([Figure("a", "400", 400), Figure("b", "fewer than 10", None)])

    assert [row.share for row in rows] == [1.0, None]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.45, 0.58, "Not shown to be better than chance"), (0.5, 0.6, "Not shown to be better"),
        (0.3, 0.4, "Worse than chance"), (0.51, 0.6, ""), (None, None, ""),
    ],
)  # fmt: skip
def test_a_model_whose_interval_reaches_chance_is_said_to_be_no_better(
    low: float | None, high: float | None, said: str
) -> None:
    """In a sentence, since the figures alone are read as a little better."""
    quality = summarize(*passed_run()).quality
    assert quality is not None
    found = say_chance(replace(quality, auc_low=low, auc_high=high))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_report_card_and_screen_say_that_a_model_is_not_shown_to_beat_chance(home: Home) -> None:
    """Wherever its AUC is read."""
    record, policy, entries = passed_run()
    low: list[Note] = [("measure", "utility.auc", 0.52), ("measure", "utility.auc_low", 0.46)]
    summary = summarize(record, policy, [*entries, *make_entries(*low)])
    model = next(one for one in summary.outlets if one.kind == "model")
    pages = render_report(summary), render_card(summary, model), write_markdown(summary, model)
    for said in (*pages, "\n".join(screen_lines(summary, home))):
        assert "not shown to be better than chance" in " ".join(said.lower().split())


def test_an_audit_in_which_no_group_is_large_enough_says_that_nothing_is_known() -> None:
    """Else a reader takes an empty table for groups that are treated alike."""
    summary = summarize(*passed_run())
    none = replace(summary, audits=(replace(summary.audits[0], groups=(), differences=()),))
    model = next(one for one in none.outlets if one.kind == "model")
    for page in (render_report(none), render_card(none, model), write_markdown(none, model)):
        assert "Nothing can be told of any group" in page
    assert "Nothing can be told of any group" not in render_report(summary)


def test_auc_axis_begins_at_chance_unless_some_auc_is_under_it() -> None:
    """A model that is worse than chance is not drawn at chance."""
    summary = summarize(*passed_run())
    worse = replace(summary.audits[0].groups[0], auc=0.4)

    assert scale_auc(summary.quality, summary.audits).low == 0.5
    assert scale_auc(None, [replace(summary.audits[0], groups=(worse,))]).low == 0


def test_sizes_above_the_largest_class_are_not_drawn() -> None:
    """Empty sizes between classes stay, so that gaps show."""
    sizes = [ClassSize(str(n), classes, "n") for n, classes in enumerate([2, 0, 1, 0, 0])]

    assert [size.classes for size in trim_sizes(sizes)] == [2, 0, 1]


def measure_contrast(one: str, other: str) -> float:
    """Give the contrast ratio of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        digits = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


TEXT: Sequence[str] = (
    "ink page", "ink card", "ink soft", "ink good-soft", "ink bad-soft", "ink warn-soft",
    "muted page", "muted card", "muted soft", "accent page", "accent card", "accent accent-soft",
    "good card", "good good-soft", "bad card", "bad bad-soft", "warn card", "warn warn-soft",
)  # fmt: skip


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_enough_contrast(theme: int) -> None:
    """Text has 4.5 to 1 on what it stands on, drawings 3 to 1 (WCAG 2.2 AA)."""
    styles = Path(reporting.__file__).with_name("page.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", styles, re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]+)", block))

    def contrast(pair: str) -> float:
        return measure_contrast(*(colours[name] for name in pair.split()))

    assert [pair for pair in TEXT if contrast(pair) < 4.5] == []
    assert [n for n in ("", "-2", "-3") if contrast(f"accent{n} card") < 3] == []


@pytest.mark.parametrize("epsilons", [(), (AtEpsilon(1.0, 0.7, 0.6, 0.8),)])
def test_advice_is_captioned_by_what_is_drawn(epsilons: tuple[AtEpsilon, ...]) -> None:
    """One curve is not told as the left of two."""
    found = Advice(1.0, 0.8, (), (Dropped(1, "age", 0.7),), epsilons, "", ())
    text = Page(render_report(replace(summarize(*passed_run()), advice=found))).text
    assert ("Left, the AUC" in text) == ("Right, the AUC" in text) == bool(epsilons)
    assert ("The AUC as columns are dropped" in text) != bool(epsilons)
