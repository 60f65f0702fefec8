"""What `tutela verify` answers: what was compared, what differs, what it proves and what not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.terminal import Answer, wrap
from expectations.errors import Refusal, ServiceError, UsageError

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.handover.shown import Store
    from tasks.verifying.bundle_parts import Checkpoint
    from tasks.verifying.chains import Records
    from tasks.verifying.findings import Difference, Findings
    from tasks.verifying.whole import States

PROVES: Final = (
    "What was compared is what this home wrote: nobody without its keys can have changed it since.",
)
BUNDLE_PROVES: Final = (
    "This proves that whoever has the key signed these files, and not that what they say is true."
)
NOT: Final = (
    "Whoever holds the home's keys can write another record, which this finds in order.",
    "The whole home put back to an older state shows only against an anchor: --anchor PLACE.",
    "That what was written is true is not looked at: the checks of each run are for that.",
)


def verify(  # noqa: PLR0913, PLR0917  # what is typed, and the home
    home: Home,
    keys: Keys,
    run: str | None = None,
    model: str | None = None,
    anchors: Collection[Path] = (),
    signers: Path | None = None,
) -> Answer:
    """Verify a run, a model's run, or all there is; reads alone."""
    from tasks.verifying.whole import Verifier

    verifier = Verifier.of(home, keys, read_signers(signers) if signers else ())
    records = verifier.ledgers(anchors, whole=run is None and model is None)
    store = verifier.store()
    chosen = choose(records, store, run, model)
    verifier.runs(records, store, chosen, find_states(home))
    return tell_found(verifier.found, chosen, anchored=bool(anchors))


def verify_receipt(folder: Path, receipt: Path, key: str) -> Answer:
    """Hold a package against its receipt, and say what that proves; without a home."""
    from tasks.verifying.receipts import check_receipt

    said = check_receipt(folder, receipt, key)["predicate"]
    failed = [one for one in said["checks"] if one["verdict"] != "passed"]
    lines = [
        *wrap(f"{folder} is as it was handed over to {said['recipient']}: {said['claim']}"),
        *wrap(f"Not covered: {said['limits']}"),
        *wrap(f"{len(said['checks'])} checks, {len(failed)} of them warned or inconclusive:"),
    ]
    for one in failed:
        found = f"{one['verdict']}: {one['name']}: {one['reached']} (asked: {one['asked']})"
        lines += wrap(found, "  ", "    ")
    lines += [f"approved by {one['key']}" for one in said["approvals"]]
    lines += ["", *wrap("This proves who signed, not that what is signed is true.")]
    return Answer({"receipt": said}, lines)


def write_bundle(home: Home, keys: Keys, prefix: str, to: Path | None) -> Answer:
    """Write the bundle of a run, and say how it is checked elsewhere."""
    from ledgers.checkpoints import public_key
    from tasks.handover import bundle
    from tasks.handover.delivery import read_run

    run = read_run(home, keys, prefix)
    path = to or Path(f"{run.record.run_id}.zip")
    content = bundle.write_bundle(run)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise UsageError(f"{path} is there already: remove it, or give another name") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    key = public_key(keys)
    lines = [f"{path} is written. Tell its recipient this key on another way:", f"  {key}",
             f"They check it so: tutela verify {path.name} --key {key}"]  # fmt: skip
    return Answer({"bundle": str(path), "key": key}, lines)


def verify_bundle(path: Path, key: str | None) -> Answer:
    """Check a bundle, and say what that proves; without a home."""
    from tasks.verifying.bundles import check_bundle, read_bundle
    from tasks.verifying.findings import Findings, quote, say_compared

    found = Findings()
    manifest = check_bundle(read_bundle(path), key, found)
    lines = [f"Run {quote(manifest.run)} of {quote(manifest.policy)}: {manifest.verdict}"]
    lines += _say_checkpoint(manifest.checkpoint)
    lines += [line for one in found.differences for line in _say_difference(one)]
    lines += [line for text in say_compared(found) for line in wrap(text)]
    lines += ["", *(line for text in (*found.beside, BUNDLE_PROVES) for line in wrap(text))]
    values: dict[str, JSON] = {
        "manifest": manifest.model_dump(),
        "differences": [one.to_json() for one in found.differences],
    }
    refused = None
    if found.differences:
        refused = Refusal("bundle", f"{len(found.differences)} parts are not as they were signed")
    return Answer(values, lines, (), refused)


def _say_checkpoint(named: Checkpoint | None) -> list[str]:
    """Say by which line of an anchor the bundle is held against the home's record."""
    if named is None:
        return []
    return wrap(
        f"The record stood at checkpoint {named.number}; in a copy of the checkpoints that line's "
        f"SHA-256 is {named.digest}."
    )


def _say_difference(one: Difference) -> list[str]:
    return wrap(f"differs: {one.where}: {one.name}: expected {one.expected}, found {one.found}")


def read_signers(path: Path) -> list[str]:
    """Name the keys of a file of public keys; UsageError where it has none."""
    from tasks.verifying.people import read_pinned

    try:
        found = read_pinned(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read as a list of public keys") from None
    if not found:
        raise UsageError(f"{path} has no public key: one a line, as in a .pub file")
    return found


def choose(
    records: Records, store: Store | None, run: str | None, model: str | None
) -> Collection[str]:
    """Give the runs that were asked for; UsageError where there is none."""
    if model is not None:
        run = find_run(records, store, model)
    if run is None:
        return [*records.runs]
    found = [one for one in records.runs if one.startswith(run)]
    if not found and any(one.startswith(run) for one in records.ended):
        return []
    if len(found) != 1:
        many = f"{len(found)} runs begin" if found else "no run on record begins"
        raise UsageError(f"{many} with '{run}': see tutela runs")
    return found


def find_run(records: Records, store: Store | None, model: str) -> str:
    """Give the run of a registered model; UsageError where none registered it."""
    from tasks.verifying.whole import list_entries

    if store is None:
        raise ServiceError("MLflow is away, so that nobody knows whose model it is")
    name, _, version = model.removeprefix("models:/").rpartition("/")
    shown = {one.mlflow_run for one in store.models if (one.name, one.version) == (name, version)}
    for run_id in records.runs:
        for entry in list_entries(records, run_id):
            body = entry.body
            if entry.kind == "mlflow" and isinstance(body, dict) and body["run_id"] in shown:
                return run_id
    if not shown:
        raise UsageError(f"MLflow has no {model}: give it as models:/NAME/VERSION")
    raise Refusal("evidence ledger", f"{model} is in MLflow, and no run on record registered it")


def find_states(home: Home) -> States | None:
    """Give what reads states from Prefect's server, where one is named or runs."""
    from deployments.servers.prefect_server import running, set_environment

    url = home.settings.prefect_api_url or running(home)
    if url is None:
        return None
    set_environment(home)
    os.environ["PREFECT_API_URL"] = url
    from flows.ending import read_states

    return read_states


def tell_found(found: Findings, chosen: Collection[str], *, anchored: bool) -> Answer:
    """Say what was found; what differs refuses, what could not be compared fails."""
    refused: Refusal | ServiceError | None = None
    if found.differences:
        number = len(found.differences)
        many = f"{number} things differ" if number > 1 else "1 thing differs"
        refused = Refusal(
            "evidence ledger",
            f"{many} from what was written; rely on none of them, and compare with a backup",
        )
    elif found.left_out:
        refused = ServiceError("not all could be compared: " + "; ".join(found.left_out))
    limits = NOT[:1] + NOT[2:] if anchored else NOT
    plain: dict[str, JSON] = {
        "verdict": "differs" if found.differences else "incomplete" if found.left_out else "whole",
        "runs": [*chosen],
        "compared": {**found.compared},
        "differences": [one.to_json() for one in found.differences],
        "removed": [*found.removed],
        "beside": [*found.beside],
        "left_out": [*found.left_out],
        "proves": [] if found.differences else [*PROVES],
        "does_not_prove": [*limits],
    }
    lines = [part for line in say(found, limits) for part in wrap(line, hanging="  ")]
    return Answer(plain, lines, refused=refused)


def say(found: Findings, limits: Collection[str]) -> Iterator[str]:
    """Say it in words, differences first."""
    for one in found.differences:
        of = f" of run {one.run}" if one.run and one.run not in one.name else ""
        yield f"{one.where}: {one.name}{of}: expected {one.expected}; found {one.found}"
    yield from found.left_out
    yield "Compared: " + ", ".join(f"{what} {n:,}" for what, n in found.compared.items())
    yield from found.removed
    yield from found.beside
    if not found.differences:
        yield from PROVES
    yield "What this does not prove:"
    yield from (f"- {limit}" for limit in limits)
