"""Who was in a release, as the home remembers it: people by a number of their own, and classes.

Not labels, rows or values: the class of a person is a number in the order in which the release
shows its classes, and so are values of sensitive columns. `ledgers.releases` seals it, and removes
it when its days are over. Nothing here knows how rows are chosen or judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from expectations.policy.outlets import TableOutlet
from expectations.policy.privacy_models import PrivacyModel, compares_with_the_table
from ledgers.acts import Acts

if TYPE_CHECKING:
    import pandas as pd

    from ledgers.releases import ReleaseLedger

MODELS = TypeAdapter(dict[str, tuple[PrivacyModel, ...]])


@dataclass(frozen=True)
class HeldPeople:
    """People by rising number, each one's class, and what the release asked of its classes.

    `values` numbers the value of each person by sensitive column; `recipients` are those who are
    said to put their tables together, the release's own among them.
    """

    people: NDArray[np.uint64]
    classes: NDArray[np.int64]
    k: int
    recipients: frozenset[str]
    sensitive: Mapping[str, Sequence[PrivacyModel]] = field(default_factory=dict)
    values: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def from_table(
        cls,
        released: pd.DataFrame,
        numbers: NDArray[np.uint64],
        outlet: TableOutlet,
        recipients: frozenset[str],
    ) -> HeldPeople:
        """Take who is in a table that is to leave from its rows and the people's numbers."""
        import pandas as pd

        order = np.argsort(numbers)
        labels = released[list(outlet.linkable)].iloc[order]
        classes = labels.groupby(list(outlet.linkable), observed=True, dropna=False).ngroup()
        asked = {
            column: [model for model in models if not compares_with_the_table(model)]
            for column, models in outlet.sensitive.items()
        }
        asked = {column: models for column, models in asked.items() if models}
        values = {
            column: pd.factorize(released[column].iloc[order])[0].astype(np.int64)
            for column in asked
        }
        found = np.asarray(classes, dtype=np.int64)
        return cls(numbers[order], found, outlet.k, recipients, asked, values)

    def find(self, numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Give the class of each of some people; -1 for who was not in the release."""
        if not len(self.people):
            return np.full(len(numbers), -1, dtype=np.int64)
        place = np.searchsorted(self.people, numbers).clip(max=len(self.people) - 1)
        return np.where(self.people[place] == numbers, self.classes[place], -1)

    def renamed(self, same: NDArray[np.uint64]) -> HeldPeople:
        """Give them with people by their own numbers who were there by another: `same` is pairs.

        Who was there by both stays twice, so that classes are as large as they were.
        """
        if not len(same):
            return self
        same = same[np.argsort(same[:, 1])]
        place = np.searchsorted(same[:, 1], self.people).clip(max=len(same) - 1)
        other = same[place, 1] == self.people
        people = np.where(other, same[place, 0], self.people)
        order = np.lexsort((other, people))
        values = {column: codes[order] for column, codes in self.values.items()}
        return replace(self, people=people[order], classes=self.classes[order], values=values)

    def without(self, number: int) -> HeldPeople:
        """Leave one person out."""
        stay = self.people != np.uint64(number)
        return replace(
            self,
            people=self.people[stay],
            classes=self.classes[stay],
            values={column: codes[stay] for column, codes in self.values.items()},
        )

    def to_bytes(self) -> bytes:
        """Write them; the same people and classes give the same bytes."""
        asked = {c: [m.model_dump(mode="json") for m in models] for c, models in
                 self.sensitive.items()}  # fmt: skip
        head = {"k": self.k, "recipients": sorted(self.recipients), "sensitive": asked}
        content = BytesIO()
        np.savez(
            content, allow_pickle=False,
            head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
            people=self.people, classes=_shorten(self.classes),
            **{f"value {column}": _shorten(codes) for column, codes in self.values.items()},
        )  # fmt: skip
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> HeldPeople:
        """Read what `to_bytes` wrote."""
        with np.load(BytesIO(content), allow_pickle=False) as read:
            head = json.loads(read["head"].tobytes())
            values = {
                name.removeprefix("value "): read[name].astype(np.int64)
                for name in read.files
                if name.startswith("value ")
            }
            models = MODELS.validate_json(json.dumps(head["sensitive"]))
            classes, recipients = read["classes"].astype(np.int64), frozenset(head["recipients"])
            return cls(read["people"], classes, head["k"], recipients, models, values)


def forget_number(releases: ReleaseLedger, number: int) -> int:
    """Take one person out of what is remembered of every release; say of how many of them.

    It is noted in the journal of acts first, so that no restored backup remembers them again.
    """
    acts = Acts(releases.keys)
    act = acts.note("forgotten", json.dumps(number).encode())
    done = releases.rewrite(lambda held: HeldPeople.from_bytes(held).without(number).to_bytes())
    acts.confirm(act)
    return done


def _shorten(codes: NDArray[np.int64]) -> NDArray[np.int32]:
    """Store numbers of classes and values in half the bytes; there are fewer than two billion."""
    return codes.astype(np.int32)
