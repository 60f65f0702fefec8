"""Consent is asked for once more before anything leaves; then the goods wait, sealed."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Refusal
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.outbox import Outbox
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.generalize import generalize
from tasks.consent.permission import filter_consent
from tasks.handover import readiness as approval
from tasks.handover.readiness import confirm_consent, make_ready, table_content
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.people.population import TEST, select_population
from tasks.validation.validation import check_table, validate
from tests.conftest import Folder, Runner, opened, small_policy


def table(**columns: pa.Array) -> pa.Table:
    """Give a table as it is before release, with its people's keys."""
    rows = len(next(iter(columns.values())))
    keys = pa.array(range(1000, 1000 + rows), pa.uint64())
    return pa.table({RECORD: keys, TEST: pa.array([False] * rows), **columns})


def test_a_released_table_is_plain_text() -> None:
    """Words, numbers as they are written, and `missing`; no key and no side of the split."""
    made = table(
        word=pa.array(["b", None]).dictionary_encode(),
        whole=pa.array([7, None], pa.int64()),
        half=pa.array([0.5, 65.0]),
    )
    assert table_content(made).decode() == (
        '"word","whole","half"\n"b","7","0.5"\n"missing","missing","65"\n'
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 3))), st.randoms())
def test_the_order_of_rows_tells_nothing_of_the_source(
    rows: list[tuple[str, int | None]], order: object
) -> None:
    """People in any order make the same file."""
    shuffled = sorted(rows, key=lambda _: order.random())  # type: ignore[attr-defined]  # Hypothesis's
    texts = [
        table_content(
            table(
                word=pa.array([word for word, _ in some], pa.string()),
                number=pa.array([number for _, number in some], pa.int64()),
            )
        )
        for some in (rows, shuffled)
    ]
    assert texts[0] == texts[1]


def test_a_withdrawal_while_the_run_is_under_way_refuses_it(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consent is read again at the end; then nothing is handed over, and nothing waits."""
    waited: list[list[str]] = []
    asked = approval.refuse_withdrawn

    def withdraw_first(*given: object) -> None:
        waited.append(Outbox(home, Keys.open(home)).pending())
        folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
        folder.write(NO_MODEL)
        asked(*given)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(approval, "refuse_withdrawn", withdraw_first)
    run, error = run_direct(folder.write(NO_MODEL))
    assert isinstance(error, Refusal)
    assert "fewer than 10 of the people used lost their legal basis" in str(error)
    assert waited == [[f"{run}--people-partner", f"{run}-partner"]]
    assert Outbox(home, Keys.open(home)).pending() == []
    assert list(home.releases.iterdir()) == []


def test_an_outlet_may_be_called_people(home: Home, folder: Folder) -> None:
    """What waits for it is its own, apart from the list of who was used."""
    named = (NO_MODEL[0], NO_MODEL[1].replace("partner:", "people:"))
    with opened(folder.write(named)) as run:
        selected = select_population(collect(filter_consent(read_roster())))
        rows = validate(deidentify(selected))
        make_ready(check_table(generalize(rows, "people"), "people"), "people")
        confirm_consent(selected)
        outbox = Outbox(home, run.keys)
        waiting = {name: outbox.take(name) for name in outbox.pending()}
    assert waiting.pop(f"{run.id}-people").startswith(b'"age"\n')
    assert [len(content) for content in waiting.values()] == [478 * 12]


NO_MODEL = (
    small_policy()[small_policy().index("  age:\n") : small_policy().index("retention_days")],
    """\
  age:
    {type: integer, identifiability: quasi, category: dpv-pd:Age, use: [eligibility, release],
     treatment: {kind: bin, edges: [50], labels: [under 50, 50+]}}
outlets:
  partner: {kind: table, recipient: Partner, k: 3, columns: {age: generalize}}
""",
)
"""The small policy with a table alone: nothing is trained."""
