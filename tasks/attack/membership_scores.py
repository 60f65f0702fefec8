"""Three membership attacks: each scores people so that a higher score says "member".

- loss (Yeom et al. 2018, "Privacy Risk in Machine Learning"): the model's confidence alone.
- RMIA (Zarifzadeh, Liu & Shokri 2024, "Low-Cost High-Power Membership Inference Attacks", online):
  the confidence divided by its mean under reference models, half of which saw the person. RMIA
  then ranks that ratio among the ratios of a population; the rank rises with the ratio, so that
  AUC and true-positive rates are those of the ratio itself.
- LiRA (Carlini et al. 2022, "Membership Inference Attacks From First Principles", online): the
  likelihood ratio of the logit of the confidence under two normal distributions, fitted for each
  person to the references that saw them and to those that did not.

Which is the strongest depends on the model: none is known to be best. What was tried on top and
gained nothing on Adult (boosting, 16 references, AUC of RMIA .588): an attack learned on the
references (.585), sharing noise among neighbours (.583), ranks within each label (.585), LiRA with
shrunk variances (.562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.reference_models import LEAST_CONFIDENCE, References

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_FOR_LIRA: Final = 8
"""References on each side under which no normal distribution is fitted to a person."""
FEWEST_FOR_OWN_SPREAD: Final = 32
"""References on each side under which all people share one variance (Carlini et al., VI-B)."""
LEAST_SPREAD: Final = 1e-3


def score_people(
    confidence: NDArray[np.float64], references: References
) -> dict[str, NDArray[np.float64]]:
    """Score each person by each attack that the number of references allows, by name."""
    scores = {
        "loss": confidence,
        "RMIA": confidence / references.confidence.mean(axis=0),
    }
    if len(references.inside) // 2 >= FEWEST_FOR_LIRA:
        scores["LiRA"] = score_by_likelihood(confidence, references)
    return scores


def score_by_likelihood(
    confidence: NDArray[np.float64], references: References
) -> NDArray[np.float64]:
    """Give each person's log likelihood ratio of being a member (see LiRA above)."""
    seen = _logit(confidence)
    logits = _logit(references.confidence)
    return _log_density(seen, logits, references.inside) - _log_density(
        seen, logits, ~references.inside
    )


def _log_density(
    seen: NDArray[np.float64], logits: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Give the normal log density of what was seen, fitted to each person's chosen references."""
    count = chosen.sum(axis=0)
    mean = np.where(chosen, logits, 0.0).sum(axis=0) / count
    squares = np.where(chosen, (logits - mean) ** 2, 0.0).sum(axis=0)
    if count.min() < FEWEST_FOR_OWN_SPREAD:
        # as large as the mean of all people's: their own would be mostly chance
        squares, count = squares.sum(), count.sum()
    deviation = np.maximum(np.sqrt(squares / count), LEAST_SPREAD)
    density: NDArray[np.float64] = -np.log(deviation) - ((seen - mean) / deviation) ** 2 / 2
    return density


def _logit(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the log odds, which are closer to normal than the confidence."""
    bounded = np.clip(confidence, LEAST_CONFIDENCE, 1 - LEAST_CONFIDENCE)
    odds: NDArray[np.float64] = np.log(bounded / (1 - bounded))
    return odds
