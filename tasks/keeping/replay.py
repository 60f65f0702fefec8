"""Bringing a restored home to where it stood: acts since its backup, replayed from their journal.

Erased people are erased again, destroyed keys destroyed, what people said and were charged is on
record again. An act that was never confirmed is replayed too, and after all others: it may not have
happened, but if it did people rely on it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from expectations.errors import Refusal, UsageError
from ledgers.acts import BACKUP, DONE, Act, Acts
from ledgers.backup import Manifest
from ledgers.budget.ledger import BudgetLedger
from ledgers.consent.events import unpack_batch
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.key_ledger import KeyLedger
from ledgers.releases import ReleaseLedger
from tasks.anonymization.releases.held_people import forget_number


def find_since(acts: Sequence[Act], manifest: Manifest, path: Path) -> list[Act]:
    """Give the acts since a backup, those that were never confirmed last.

    Refusal where the file does not hold what the backup's home had written there.
    """
    last, link = manifest.acts
    if last and (len(acts) < last or acts[last - 1].link != link):
        raise Refusal(
            "journal of acts",
            f"{path} does not go on from the backup: it is older, or not the one that this home "
            "wrote; find that one",
        )
    confirmed = {act.of: act.seq for act in acts if act.kind == DONE}
    meant = [act for act in acts if act.kind not in {DONE, BACKUP}]
    since = [act for act in meant if confirmed.get(act.seq, last + 1) > last]
    return sorted(since, key=lambda act: (act.seq not in confirmed, act.seq))


def replay(home: Home, keys: Keys, engine: sa.Engine, acts: Sequence[Act]) -> Mapping[str, int]:
    """Do acts again in a home whose database may be written; say how many of each kind.

    Those that meet nothing here, such as a key that is younger than the backup, count as `lost`.
    """
    # Or they would be written to the journal once more.
    quiet = without_journal(home, keys)
    done: Counter[str] = Counter()
    for act in acts:
        try:
            _do(quiet, engine, act)
        except UsageError:
            done["lost"] += 1
        else:
            done[act.kind] += 1
    return done


def mark_ends(home: Home, keys: Keys, engine: sa.Engine) -> None:
    """Note where the ledgers stand now, from which later acts go on."""
    acts, quiet = Acts(keys), without_journal(home, keys)
    said = ConsentLedger(engine, quiet.home, quiet).head()
    charged = BudgetLedger(engine, quiet).head()
    acts.confirm(acts.note("said", b"", {"seq": said.seq, "link": said.link}))
    acts.confirm(acts.note("charge", b"", {"seq": charged.seq, "link": charged.link}))


def without_journal(home: Home, keys: Keys) -> Keys:
    """Give the keys of a home that writes no acts and knows of none."""
    return Keys(replace(home, settings=replace(home.settings, journal=None)), keys.root)


def _do(keys: Keys, engine: sa.Engine, act: Act) -> None:
    """Do one act again; it may have been done. An end that was only marked does nothing."""
    match act.kind:
        case "said" if act.payload:
            ConsentLedger(engine, keys.home, keys).append(*unpack_batch(act.payload))
        case "erased":
            high, low = json.loads(act.payload)
            ConsentLedger(engine, keys.home, keys).erase((high, low))
        case "forgotten":
            forget_number(ReleaseLedger(engine, keys), json.loads(act.payload))
        case "charge" if act.payload:
            BudgetLedger(engine, keys).replay(act.payload)
        case "destroyed":
            purpose, version = json.loads(act.payload)
            KeyLedger(engine, keys).destroy(purpose, version)
