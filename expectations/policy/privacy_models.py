"""What a table's class of equal people may still tell of their sensitive values, declared.

Each model asks something of every class beyond its size k. `tasks/anonymization/requirement.py`
holds a search to them; `expectations/measures/sensitive_measures.py` judges a release by them
afterwards, without sharing its code. "The table" is the table released: its shares of each
sensitive value are taken as known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import Field

from expectations.policy.declaration import Declaration


class DistinctLDiversity(Declaration):
    """At least l different values in every class; one of them may still be nearly certain.

    Machanavajjhala et al., "l-diversity: privacy beyond k-anonymity" (2007), section 4.
    """

    kind: Literal["distinct-l-diversity"] = "distinct-l-diversity"
    l: int = Field(ge=2)  # noqa: E741  # the field's own name


class EntropyLDiversity(Declaration):
    """The entropy of the values in every class is at least log l (the same, definition 4.1)."""

    kind: Literal["entropy-l-diversity"] = "entropy-l-diversity"
    l: float = Field(gt=1)  # noqa: E741  # the field's own name


class RecursiveLDiversity(Declaration):
    """In every class r1 < c (r_l + ... + r_m), r sorted downward (the same, definition 4.2)."""

    kind: Literal["recursive-l-diversity"] = "recursive-l-diversity"
    c: float = Field(gt=0)
    l: int = Field(ge=2)  # noqa: E741  # the field's own name


class TCloseness(Declaration):
    """The values of every class are at most t away from the table's, 0 to 1.

    Li et al., "t-closeness: privacy beyond k-anonymity and l-diversity" (2007), section 4: the
    earth mover's distance, with all values equally far apart or along their declared order.
    """

    kind: Literal["t-closeness"] = "t-closeness"
    t: float = Field(gt=0, le=1)
    distance: Literal["equal", "ordered"] = "equal"


class BetaLikeness(Declaration):
    """No value is more than 1 + beta times as frequent in a class as in the table.

    Cao and Karras, "Publishing microdata with a robust privacy guarantee" (2012), definitions 2
    and 3; `enhanced` takes the smaller of beta and -ln of the value's share in the table.
    """

    kind: Literal["beta-likeness"] = "beta-likeness"
    beta: float = Field(gt=0)
    enhanced: bool = False


class DeltaDisclosure(Declaration):
    """Every value of the table occurs in every class, and |log of the ratio of shares| < delta.

    Brickell and Shmatikov, "The cost of privacy" (2008), definition 4.
    """

    kind: Literal["delta-disclosure"] = "delta-disclosure"
    delta: float = Field(gt=0)


class AlphaK(Declaration):
    """No value makes up more than the share alpha of a class (Wong et al. 2006, (α,k))."""

    kind: Literal["alpha-k"] = "alpha-k"
    alpha: float = Field(gt=0, lt=1)


PrivacyModel = Annotated[
    DistinctLDiversity
    | EntropyLDiversity
    | RecursiveLDiversity
    | TCloseness
    | BetaLikeness
    | DeltaDisclosure
    | AlphaK,
    Field(discriminator="kind"),
]


def say_stricter(models: Iterable[PrivacyModel]) -> str:
    """Say in words how more can be asked of a column that is held to these models already."""
    asked = {"l" if "l-diversity" in model.kind else _BOUNDS[model.kind] for model in models}
    told = [f"a {'larger' if name == 'l' else 'smaller'} {name}" for name in sorted(asked)]
    return " or ".join([*told, *(["l-diversity as well"] if "l" not in asked else [])])


_BOUNDS: Final = {
    "t-closeness": "t", "beta-likeness": "beta", "delta-disclosure": "delta", "alpha-k": "alpha",
}  # fmt: skip


def describe_model(model: PrivacyModel, column: str) -> str:
    """Say in words what a model asks of every class of equal people."""
    match model:
        case DistinctLDiversity(l=l):
            return f"at least {l} different values of {column}"
        case EntropyLDiversity(l=l):
            return f"values of {column} as uncertain as {l:g} equally frequent ones"
        case RecursiveLDiversity(c=c, l=l):
            return (
                f"a most frequent value of {column} below {c:g} times the sum from the "
                f"{l}. most frequent on"
            )
        case TCloseness(t=t, distance=distance):
            kind = " along their order" * (distance == "ordered")
            return f"values of {column} at most {t:g} away{kind} from the table's"
        case BetaLikeness(beta=beta, enhanced=enhanced):
            rest = ", less for frequent values" * enhanced
            return f"no value of {column} more than {1 + beta:g} times as frequent{rest}"
        case DeltaDisclosure(delta=delta):
            return (
                f"every value of {column}, its share within a factor of {math.exp(delta):.3g} of "
                "the table's"
            )
        case AlphaK(alpha=alpha):
            return f"no value of {column} above a share of {alpha:g}"


def compares_with_the_table(model: PrivacyModel) -> bool:
    """Whether a model keeps classes like the table, and so hides what a model would learn."""
    return isinstance(model, TCloseness | BetaLikeness | DeltaDisclosure)
