"""People as numbered labels: what a model may read of them, in the policy's declared values only.

A labelled feature keeps its labels, a clipped number falls into ten equal public steps, and what
is missing has a label of its own. Which labels there are is read off the policy, never off people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO, Bin, Clip, has_order, public_labels
from expectations.policy.vocabulary import Use

if TYPE_CHECKING:
    import pandas as pd

Codes = NDArray[np.int64]
STEPS: Final = 10
"""Into how many equal steps the range of a number is cut."""


@dataclass(frozen=True)
class Codebook:
    """The labels of each feature, which are in order, and which are a policy's own intervals."""

    labels: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, tuple[float, float]]
    ordered: frozenset[str]
    binned: frozenset[str] = frozenset()

    @classmethod
    def of(cls, policy: Policy) -> Codebook:
        """Read the features of a policy that has a target."""
        labels: dict[str, tuple[str, ...]] = {}
        ranges, ordered = dict[str, tuple[float, float]](), set[str]()
        for name in policy.used_as(Use.FEATURE):
            treatment = policy.treated[name].treatment
            if isinstance(treatment, Clip):
                ranges[name] = (treatment.low, treatment.high)
                labels[name] = tuple(map(str, range(STEPS)))
                ordered.add(name)
            elif found := public_labels(treatment, policy.column_type(name)):
                labels[name] = found
                ordered |= {name} if has_order(treatment) else set()
        binned = {n for n in labels if isinstance(policy.treated[n].treatment, Bin)}
        return cls(labels, ranges, frozenset(ordered), frozenset(binned))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many labels each feature has, the one of what is missing included."""
        return tuple(len(labels) + 1 for labels in self.labels.values())

    def encode(self, frame: pd.DataFrame) -> Codes:
        """Give each person's labels by their places, of shape (people, features)."""
        return np.column_stack([self._encode(frame[name], name) for name in self.labels])

    def _encode(self, values: pd.Series, name: str) -> Codes:
        import pandas as pd

        last = len(self.labels[name])
        if name in self.ranges:
            low, high = self.ranges[name]
            share = (pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan) - low) / (
                high - low
            )
            steps = np.clip(np.nan_to_num(share) * STEPS, 0, STEPS - 1).astype(np.int64)
            return np.where(np.isnan(share), last, steps)
        known = pd.Index(self.labels[name], dtype=object)
        places = known.get_indexer(pd.Index(values.astype(object)))
        return np.where(places < 0, last, places).astype(np.int64)

    def decode(self, codes: Codes) -> pd.DataFrame:
        """Give the labels that codes stand for; a number is the middle of its step."""
        import pandas as pd

        made: dict[str, NDArray[np.object_] | NDArray[np.float64]] = {}
        for place, (name, labels) in enumerate(self.labels.items()):
            if name in self.ranges:
                low, high = self.ranges[name]
                middles = low + (np.arange(STEPS) + 0.5) / STEPS * (high - low)
                made[name] = np.append(middles, np.nan)[codes[:, place]]
            else:
                made[name] = np.array([*labels, None], dtype=object)[codes[:, place]]
        return pd.DataFrame(made)


def encode_target(labels: pd.Series[str]) -> Codes:
    """Give 1 for yes and 0 for no."""
    return (labels == YES_NO[1]).to_numpy().astype(np.int64)
