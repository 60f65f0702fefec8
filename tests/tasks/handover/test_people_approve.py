"""Nothing of a run leaves before enough people approve it, and what they decline never does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

import tutela
from expectations.errors import UsageError
from expectations.policy.approvals import Approvals
from ledgers.evidence import JSON, RunRecord
from ledgers.home.home import Home
from ledgers.people import starts
from ledgers.people.register import Register
from ledgers.people.signature import public_of, sign
from ledgers.people.statement import Request, Signed, Statement
from ledgers.releases import ReleaseLedger
from tasks.handover import approval, delivery
from tests.conftest import Folder
from tests.runs import Place, Said, _without_prefect
from tests.tasks.handover.test_handing_over import end_process, models

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel

    from tasks.handover.decided_run import DecidedRun

PEOPLE = ("ann", "bob", "cat")
KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n, name in enumerate(PEOPLE)
}
NAMES = {name: public_of(key).fingerprint for name, key in KEYS.items()}


@dataclass
class Office:
    """A home with three people who approve, and a policy that asks two of them."""

    place: Place
    folder: Folder
    path: Path

    def tell(self, *words: object) -> Said:
        """Call `tutela` in the home."""
        return self.place.tell(*map(str, words))

    def key(self, name: str) -> Path:
        """Give somebody's private key as a file."""
        path = self.path / name
        path.write_bytes(
            KEYS[name].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        )
        return path

    def public(self, name: str) -> Path:
        """Give somebody's public key as a file."""
        path = self.path / f"{name}.pub"
        path.write_text(f"{public_of(KEYS[name]).line} {name}\n")
        return path

    def run(
        self, more: str = "", *words: object, changes: tuple[tuple[str, str], ...] = ()
    ) -> Said:
        """Run the small policy, its tables alone unless words say otherwise."""
        by = ", ".join(f"'{NAMES[name]}'" for name in PEOPLE)
        asked = f"approvals: {{of: [hand-over], by: [{by}], quorum: 2, valid: 7 days{more}}}\n"
        new = ("retention_days: 30\n", f"retention_days: 30\n{asked}")
        return self.tell("run", self.folder.write(new, *changes), *(words or ("--tables-only",)))

    def answer(self, name: str, verb: str = "approve", run: str = "2", *words: str) -> Said:
        """Let somebody approve or decline the run that waits, or the one named."""
        waiting = json.loads(self.tell("approvals", "--json").out)["waiting"]
        chosen = waiting[-1]["run"] if run == "2" and waiting else run
        return self.tell(verb, chosen, "--key", self.key(name), *words)

    @property
    def runs(self) -> list[RunRecord]:
        """The runs on record."""
        return self.place.runs

    @property
    def left(self) -> list[Path]:
        """What was handed over as tables."""
        return [path for path in self.place.home.releases.glob("*/*") if path.is_dir()]


@pytest.fixture
def office(home: Home, folder: Folder, tmp_path: Path) -> Office:
    """A home in which three keys are pinned."""
    office = Office(Place(home), folder, tmp_path)
    said = office.tell("signers", "pin", *(office.public(name) for name in PEOPLE))
    assert said.status == 0, said.err
    return office


def test_a_run_waits_and_leaves_with_the_last_approval_that_it_needs(office: Office) -> None:
    """Nothing has left before; each command says how many signed."""
    waits = office.run()
    assert waits.status == 3
    assert "waits for approval: 0 of 2" in waits.err
    assert "Awaiting approval" in waits.out
    assert (office.left, [run.verdict for run in office.runs]) == ([], ["pending"])
    assert office.answer("ann").status == 0
    assert office.left == []
    assert "1 of 2 approvals" in office.tell("approvals").out
    assert office.answer("bob").status == 0
    assert len(office.left) == 1
    assert [run.verdict for run in office.runs] == ["passed"]
    assert office.tell("verify").status == 0


@pytest.mark.parametrize("second", ["ann", "a stranger"])
def test_one_key_is_one_approval_and_a_strangers_is_none(office: Office, second: str) -> None:
    """Neither makes a quorum of two."""
    office.run()
    office.answer("ann")
    if second == "a stranger":
        KEYS["eve"] = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
        said = office.answer("eve")
        assert (said.status, "not among the keys" in said.err) == (2, True)
    else:
        office.answer("ann")
    assert (office.left, [run.verdict for run in office.runs]) == ([], ["pending"])


def test_who_declines_ends_the_run_and_it_leaves_no_release(office: Office) -> None:
    """Also where another has approved; a later run is compared with nothing of it."""
    office.run()
    office.answer("ann")
    said = office.answer("bob", "decline", "2", "--reason", "wrong recipient")
    assert said.status == 0
    assert [run.verdict for run in office.runs] == ["refused"]
    assert "wrong recipient" in office.tell("runs", "--json").out
    ledger = ReleaseLedger(office.place.ledger.engine, office.place.keys)
    assert ledger.standing()[0] == ()
    assert office.left == []
    assert office.answer("cat", "approve", office.runs[0].run_id).status == 2


def test_somebody_signs_elsewhere_without_the_home(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes out, the signature comes in; one of another request does not count."""
    office.run()
    office.answer("ann")
    request = office.path / "run.request"
    assert office.tell("approve", office.runs[0].run_id, "--export", request).status == 0
    with monkeypatch.context() as patch:
        patch.setattr(Home, "open", lambda *_: pytest.fail("no home is there"))
        assert office.tell("approve", request, "--key", office.key("bob")).status == 0
    signed = office.path / "run.request.signed"
    forged = office.path / "forged.signed"
    forged.write_text(signed.read_text().replace('"answer":"approve"', '"answer":"decline"'))
    assert office.tell("approvals", "--take", forged).status == 2
    assert office.left == []
    assert office.tell("approvals", "--take", signed).status == 0
    assert len(office.left) == 1


def test_a_withdrawal_while_people_look_ends_the_run_and_the_next_needs_no_new_approval(
    office: Office,
) -> None:
    """Consent is asked again at the quorum; what was signed stands for the same terms."""
    office.run()
    office.answer("ann")
    office.folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
    office.folder.write()
    office.answer("bob")
    assert [run.verdict for run in office.runs] == ["refused"]
    again = office.run()
    assert (again.status, len(office.left)) == (0, 1)
    assert "0 of 2" in office.run().err, "once: the next one is asked about anew"
    assert office.tell("verify", "--all").status == 0
    other = office.run(changes=(("max_suppressed: 0.1", "max_suppressed: 0.11"),))
    assert "0 of 2" in other.err


def test_a_newer_run_takes_the_place_of_one_that_waits(office: Office) -> None:
    """The older one can leave no more, whoever signs it; nor does that count for the newer one."""
    office.run()
    office.answer("bob")
    office.run()
    first = office.runs[0]
    late = office.answer("cat", "approve", first.run_id)
    assert (late.status, "took its place" in late.err) == (1, True)
    assert [run.verdict for run in office.runs] == ["refused", "pending"]
    office.answer("ann")
    assert office.left == []
    assert "1 of 2 approvals" in office.tell("approvals").out


def test_a_run_that_nobody_approves_in_time_is_refused(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next command, whatever it is."""
    office.run()
    judge = approval.refuse_unapproved
    later = "2999-01-01T00:00:00+00:00"
    monkeypatch.setattr(
        approval, "refuse_unapproved", lambda *told: judge(told[0], told[1], told[2], later)
    )
    office.tell("report")
    assert [run.verdict for run in office.runs] == ["refused"]
    assert "0 of 2 approvals came" in office.tell("runs", "--json").out


def test_what_is_signed_when_the_days_are_over_counts_no_more(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no command came between, which would have closed the run."""
    office.run()
    office.answer("ann")
    run = office.runs[0].run_id
    judge = approval.refuse_unapproved
    later = "2999-01-01T00:00:00+00:00"
    monkeypatch.setattr(
        approval, "refuse_unapproved", lambda *told: judge(told[0], told[1], told[2], later)
    )
    office.tell("approve", run, "--key", office.key("bob"))
    assert (office.left, [run.verdict for run in office.runs]) == ([], ["refused"])


def test_what_others_signed_of_a_run_that_was_declined_counts_for_no_other(office: Office) -> None:
    """Else who declines only hands the decision to the next run."""
    office.run()
    office.answer("ann")
    office.answer("bob", "decline", "2", "--reason", "wrong recipient")
    assert "0 of 2" in office.run().err
    office.answer("cat")
    assert office.left == []
    office.answer("ann")
    assert len(office.left) == 1
    assert office.tell("verify", "--all").status == 0


def test_nobody_accepts_a_check_of_which_they_were_not_asked(office: Office) -> None:
    """What is signed of an earlier run holds for what was inconclusive then, and not for more."""
    asked = Approvals.model_validate({
        "of": ("hand-over",), "by": (NAMES["ann"],), "quorum": 1, "valid": "7 days",
    })  # fmt: skip
    acts = Register(office.place.ledger.engine, office.place.keys).acts()
    counts = []
    for then in ([], ["membership inference"], ["memorization", "membership inference"]):
        key = KEYS["ann"]
        request = Request.about("hand-over", "home", "2999", run="1", terms="", accepts=[*then])
        statement = Statement.of(request, "approve", public_of(key), "few people, and known")
        signed = Signed(request, statement, public_of(key), sign(statement.message, key))
        answers = [approval.Answer("2998", signed)]
        now = Request.about(
            "hand-over", "home", "2999", run="2", terms="", accepts=["memorization"]
        )
        counts.append(len(approval.count_answers(asked, now, answers, acts)))
    assert counts == [0, 0, 1]


def sign_start(office: Office, name: str, days: int, digest: str = "0" * 64) -> Signed:
    """Let somebody sign the start of a policy for some days."""
    request = starts.ask_start(office.place.keys, "small", digest, days)
    statement = Statement.of(request, "approve", public_of(KEYS[name]))
    return Signed(
        request, statement, public_of(KEYS[name]), sign(statement.message, KEYS[name])
    )  # fmt: skip


def test_a_start_by_hand_needs_a_signature_of_its_own(office: Office) -> None:
    """Who signed the schedule starts its runs alone: nobody starts one in their name."""
    keys, digest = office.place.keys, "0" * 64
    for name, days in (("ann", 365), ("bob", 365), ("cat", -1)):
        starts.keep_start(keys, sign_start(office, name, days))
    assert starts.find_start(keys, "small", digest, None).key.fingerprint == NAMES["bob"]
    own = sign_start(office, "cat", 1)
    assert starts.find_start(keys, "small", digest, [own]) is own
    for by_hand, why in (([], "sign its start"), ([sign_start(office, "cat", -1)], "lapsed")):
        with pytest.raises(UsageError, match=why):
            starts.find_start(keys, "small", digest, by_hand)
    with pytest.raises(UsageError, match="was changed since"):
        starts.find_start(keys, "small", "1" * 64, None)


def test_python_starts_nothing_that_a_schedules_signer_signed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key of one's own it does, and that one is who started it."""
    monkeypatch.setenv("TUTELA_HOME", str(office.place.home.root))
    office.run(", not_by: starter", "--tables-only", "--key", office.key("ann"))
    policy = office.folder.path / "small.yaml"
    office.answer("ann", "decline", "2", "--reason", "only to know the text's digest")
    digest = str(office.runs[0].facts["policy_sha256"])
    starts.keep_start(office.place.keys, sign_start(office, "ann", 365, digest))
    with pytest.raises(UsageError, match="with which key"):
        tutela.run(policy, tables_only=True, progress=False)
    with _without_prefect(), pytest.raises(approval.AwaitingApproval):
        tutela.run(policy, tables_only=True, progress=False, key=office.key("cat"))
    own = office.answer("cat")
    assert (own.status, "started this run" in own.err) == (2, True)
    assert office.answer("ann").status == 0


def test_what_was_signed_of_few_doubts_stands_for_no_run_with_more() -> None:
    """A check that warns now and did not then was looked at by nobody."""
    said: dict[str, JSON] = {"terms": "t", "accepts": []}
    then = {**said, "checks": [{"name": "drift", "verdict": "warned"}]}
    more = {**said, "checks": [*then["checks"], {"name": "leak", "verdict": "warned"}]}
    assert approval.stands_for(then, then)
    assert approval.stands_for(more, then)
    assert not approval.stands_for(then, more)
    assert not approval.stands_for(then, {**then, "outlets": [{"claim": "a stronger one"}]})


@pytest.mark.parametrize("where", ["hand_over", "write_report"])
def test_a_run_that_was_killed_waits_as_others_do(
    office: Office, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Before it could ask, or before its report was written: the next command sees to both."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, where, end_process)
        assert office.run().status
    assert office.left == []
    office.tell("report")
    assert [run.verdict for run in office.runs] == ["pending"]
    assert list(office.place.home.reports.glob("*.html"))
    office.answer("ann")
    office.answer("bob")
    assert ([run.verdict for run in office.runs], len(office.left)) == (["passed"], 1)


def test_a_process_that_is_killed_over_the_last_approval_loses_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signature is on record, and the next command hands over, once."""
    office.run()
    office.answer("ann")
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "record_run", end_process)
        assert office.answer("bob").status
    assert office.left == []
    office.tell("report")
    assert ([run.verdict for run in office.runs], len(office.left)) == (["passed"], 1)


def test_who_starts_a_run_cannot_approve_it(office: Office) -> None:
    """And where that counts nobody starts it unsigned."""
    unsigned = office.run(", not_by: starter")
    assert (unsigned.status, "say with which key" in unsigned.err) == (2, True)
    assert office.runs == []
    started = office.run(", not_by: starter", "--tables-only", "--key", office.key("ann"))
    assert started.status == 3
    own = office.answer("ann")
    assert (own.status, "started this run" in own.err) == (2, True)
    again = office.run(", not_by: starter", "--tables-only", "--key", office.key("ann"))
    assert again.status == 3
    assert office.answer("ann", "decline", "2", "--reason", "begun by mistake").status == 0
    assert {run.verdict for run in office.runs} == {"refused"}
    office.run(", not_by: starter", "--tables-only", "--key", office.key("ann"))
    office.answer("bob")
    office.answer("cat")
    assert office.runs[-1].verdict == "passed"


def test_what_comes_past_the_command_counts_no_more_than_it_should(office: Office) -> None:
    """A key that was never enrolled, and the starter's, though both signatures are on record."""
    KEYS["eve"] = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
    NAMES["eve"] = public_of(KEYS["eve"]).fingerprint
    asked = Approvals.model_validate({
        "of": ("hand-over",), "by": tuple(NAMES[name] for name in ("ann", "bob", "eve")),
        "quorum": 1, "valid": "7 days", "not_by": "starter",
    })  # fmt: skip
    request = Request.about("hand-over", "home", "2999", run="1", terms="", accepts=[])
    answers = []
    for name in ("ann", "bob", "eve"):
        key = KEYS[name]
        statement = Statement.of(request, "approve", public_of(key))
        signed = Signed(request, statement, public_of(key), sign(statement.message, key))
        answers.append(approval.Answer("2998", signed))
    acts = Register(office.place.ledger.engine, office.place.keys).acts()
    counted = approval.count_answers(asked, request, answers, acts, NAMES["ann"])
    assert set(counted) == {NAMES["bob"]}


def test_a_lost_key_counts_no_more(office: Office) -> None:
    """Not even what it signed before, of a run that still waits."""
    office.run()
    office.answer("ann")
    asked = office.path / "lost.request"
    office.tell("signers", "lose", office.public("ann"), "--to", asked)
    signed = []
    for name in ("bob", "cat"):
        office.tell("approve", asked, "--key", office.key(name))
        signed.append((office.path / "lost.request.signed").rename(office.path / f"{name}.signed"))
    assert office.tell("signers", "take", *signed).status == 0
    office.answer("bob")
    assert office.left == []
    office.answer("cat")
    assert len(office.left) == 1


def test_an_approved_model_is_named_so_and_the_one_before_is_retired(office: Office) -> None:
    """By aliases that the record knows, so that one that is moved shows."""
    for _ in range(2):
        office.run("", "--json")
        office.answer("ann")
        office.answer("bob")
    (aliases,) = {tuple(sorted(dict(one.aliases).items())) for one in named_models(office)}
    assert aliases == (("approved", 2), ("retired", 1))
    assert office.tell("verify").status == 0
    assert len(models(office.place.home)) == 2


def named_models(office: Office) -> list[RegisteredModel]:
    """Give the registered models with their aliases."""
    from mlflow import MlflowClient

    from tasks.handover.recording import tracking_uri

    client = MlflowClient(tracking_uri(office.place.home))
    return [client.get_registered_model(one.name) for one in client.search_registered_models()]


@pytest.mark.parametrize("end", ["withdrawn", "superseded"])
def test_approvals_that_stand_for_too_much_are_named(
    office: Office, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """By `verify`, where something hands over on what was signed of a run that is not this one."""

    def count_all(run: DecidedRun, _: Request) -> list[approval.Answer]:
        others = (run.ledger.entries(other.run_id) for other in run.others_of_policy())
        return [answer for entries in others for answer in approval.read_answers(entries)]

    monkeypatch.setattr(approval, "list_standing", count_all)
    office.run()
    office.answer("ann")
    if end == "withdrawn":
        office.folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
        office.folder.write()
        office.answer("bob")
        office.run()
        assert office.tell("verify", "--all").status == 0
        office.run()
    else:
        office.run()
        office.answer("bob")
    assert office.runs[-1].verdict == "passed"
    said = office.tell("verify", "--all")
    assert (said.status, "2 approvals" in said.out) == (1, True)
