"""What a recipient is told says exactly what holds, and beside it what does not."""

from __future__ import annotations

import pytest

from expectations.policy.outlets import DifferentialPrivacy, ModelOutlet, TableOutlet, claim, limits

PLAIN = ModelOutlet(kind="model", recipient="Clinic")
PRIVATE = PLAIN.model_copy(
    update={
        "promise": DifferentialPrivacy(kind="differential-privacy", epsilon=0.5, delta=1e-5),
    }
)
TABLE = TableOutlet(
    kind="table", recipient="Partner", k=5, columns={"age": "generalize", "sex": "keep"}
)
EXEMPT = TABLE.model_copy(update={"not_linkable": {"sex": "because"}})


@pytest.mark.parametrize(
    ("outlet", "claimed", "limited"),
    [
        pytest.param(
            PLAIN, "nothing is promised beyond", "Attacks stronger than those", id="plain"
        ),
        pytest.param(PRIVATE, "(ε = 0.5, δ = 1 in 100,000)", "which ε does not", id="private"),
        pytest.param(
            TABLE,
            "A table that is 5-anonymous over {age, sex}:",
            "what all people of one combination share",
            id="table",
        ),
        pytest.param(
            EXEMPT,
            "over {age}: at least 5 people share each combination of these values. Nothing of that "
            "holds for sex.",
            "on the policy's word: sex (because).",
            id="exempt-column",
        ),
    ],
)
def test_a_claim_names_its_figures_and_its_limits(
    outlet: ModelOutlet | TableOutlet, claimed: str, limited: str
) -> None:
    """Numbers and columns come from the policy; nothing is called anonymous in law."""
    assert claimed in claim(outlet)
    assert limited.lower() in limits(outlet).lower()
    assert "anonymous" not in claim(outlet).replace("-anonymous over", "")
