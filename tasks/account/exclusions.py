"""Why people are left out of a run, in plain words, and what can be done about it.

It holds words alone: who is left out for what is decided under `tasks/consent` and in `population`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NOT_ELIGIBLE: Final = "not eligible"
NOT_OBSERVED: Final = "not observed"
NOT_SAMPLED: Final = "not sampled"
OVER_CAP: Final = "over the cap"
NO_OUTCOME: Final = "outcome not known"
"""Of the selected: no model learns from them, and a table holds them all the same."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a reason says of the people whom it leaves out, and how some of them could be won."""

    why: str
    to_do: str | None = None
    """None where the answer is a no, about which nothing is to be done."""


EXCLUSIONS: Final[Mapping[str, Exclusion]] = {
    "never asked": Exclusion(
        "no answer to this purpose is recorded",
        "ask them, and take their answers in: tutela consent import",
    ),
    "no answer": Exclusion(
        "they were asked, and have not answered",
        "ask them again, and take their answers in: tutela consent import",
    ),
    "not explicit": Exclusion(
        "their consent is not explicit, as it must be for special categories",
        "ask for their explicit consent, and take it in: tutela consent import",
    ),
    "older notice": Exclusion(
        "they consented under a version of the notice that no longer counts",
        "ask them under the notice that counts, and take their answers in",
    ),
    "expired": Exclusion(
        "their consent has expired",
        "ask them again, since their consent has expired",
    ),
    "unknown": Exclusion(
        "their answer is not known",
        "find out what they answered, and take it in: tutela consent import",
    ),
    "refused": Exclusion("they said no"),
    "invalidated": Exclusion("their consent was found to be invalid"),
    "revoked": Exclusion("their consent was revoked by the controller"),
    "withdrawn": Exclusion("they took their consent back"),
    "needs guardian": Exclusion(
        "the wrong person consented: it must be the guardian, or they themselves",
        "ask who may consent for them, and take the answer in",
    ),
    "only in part": Exclusion(
        "they consented to only some of what is read, or not explicitly to special categories; the "
        "policy requires all",
        "basis: on_partial: blank, which reads only what they agreed to; or state `indication: "
        "explicit` of the events, if it was",
    ),
    "objected": Exclusion("they objected (Art. 21 GDPR)"),
    "restricted": Exclusion("their data is restricted (Art. 18 GDPR)"),
    NOT_ELIGIBLE: Exclusion(
        "they do not belong to the policy's population",
        "population: eligible: wider, where the purpose is about them too",
    ),
    NOT_OBSERVED: Exclusion(
        "they have no index, or were not followed to the end of a window after it",
        "complete the follow-up at the source, or look at a shorter window (days_after)",
    ),
    NOT_SAMPLED: Exclusion("the draw did not select them", "population: sample: larger"),
    OVER_CAP: Exclusion(
        "the draw up to the maximum did not select them", "population: at_most: larger"
    ),
    NO_OUTCOME: Exclusion(
        "what the model predicts is not known of them, so they neither train nor test it",
        "complete the outcome at the source",
    ),
}
"""Each reason, by its label: those of `Standing`, of the population, and of the training."""
