"""What stands before a model wherever it predicts: a gate that only its declared columns pass.

A model whose encoder leaves a column alone would still be handed what a policy dropped, and
whoever serves it would go on collecting it. So the gate is the first step of every pipeline, in
training, under attack and when served. It knows names alone, and looks at no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from sklearn.base import BaseEstimator, TransformerMixin

from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Tags


class DeclaredColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Pass frames on that hold the declared `columns` and no other, in the declared order.

    Learns nothing. Raises Refusal that names the columns which are too many, missing or there
    twice, and UsageError for what is no frame with names.
    """

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self.columns = columns

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002, N803  # sklearn's
        """Check the columns; learn nothing."""
        self.transform(X)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:  # noqa: N803  # sklearn's
        """Give the declared columns in their order; Refusal where there are others or fewer."""
        if not hasattr(X, "columns"):
            raise UsageError("this model reads a pandas DataFrame, whose columns have names")
        names = list(X.columns)
        unknown = list(dict.fromkeys(str(name) for name in names if name not in self.columns))
        if unknown:
            raise Refusal(
                "columns of the model",
                f"this model does not read {', '.join(unknown)}; drop "
                f"them, and do not collect them for it: it reads {', '.join(self.columns)}",
            )
        twice = [name for name in self.columns if names.count(name) > 1]
        absent = [name for name in self.columns if name not in names]
        for wrong, said in ((twice, "are there twice"), (absent, "are not in the data")):
            if wrong:
                raise Refusal(
                    "columns of the model",
                    f"{len(wrong)} declared columns {said}: {', '.join(wrong)}; give each once, "
                    "with missing values where a person has none",
                )
        return X[list(self.columns)]

    def get_feature_names_out(self, input_features: object = None) -> list[str]:  # noqa: ARG002  # sklearn's
        """Name the columns, as declared."""
        return list(self.columns)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that nothing is learned, so that no fit is asked for."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags
