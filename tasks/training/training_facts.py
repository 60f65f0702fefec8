"""What is put on record of a training: the estimator's parameters, and the noise that it drew.

Parameters are public, so they may be told. Nothing that was learned is looked at, but what follows
from parameters alone.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ledgers.evidence import JSON

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin


def describe_training(classifier: ClassifierMixin) -> dict[str, JSON]:
    """Give a classifier's parameters as words, and its mechanisms, if it has any, as plain values.

    Parameters that are themselves objects are named by their type.
    """
    mechanisms = classifier.mechanisms() if hasattr(classifier, "mechanisms") else ()
    return {
        "parameters": {
            name: _word(value) for name, value in classifier.get_params(deep=False).items()
        },
        "mechanisms": [{"kind": type(one).__name__, **asdict(one)} for one in mechanisms],
    }


def _word(value: object) -> str:
    """Write a plain value, or name what holds more."""
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or isinstance(value, bool | int | str):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(v, int | float | str) for v in value):
        return ", ".join(map(str, value))
    return f"a {type(value).__name__}"
