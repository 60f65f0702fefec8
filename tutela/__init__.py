"""Tutela from Python: run a policy and look at what came of it, or use its pieces alone.

    import tutela

    result = tutela.run("policy.yaml", frame)
    result.verdict, result.model, result.table

Everything in `__all__` is stable (`docs/api.md` says what that means), and is loaded when it is
first asked for: the import itself loads none of the libraries. Errors are of one family,
`TutelaError`; a refusal by a check is no error, but the verdict of a `Result`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tutela.clash import refuse_clash

refuse_clash()

if TYPE_CHECKING:
    from expectations.custom_expectations import (
        ExpectColumnNotToBeReversedBy,
        ExpectColumnToBeBetaLike,
        ExpectColumnToBeDeltaDisclosurePrivate,
        ExpectColumnToBeEntropyLDiverse,
        ExpectColumnToBeLDiverse,
        ExpectColumnToBeRecursivelyLDiverse,
        ExpectColumnToBeTClose,
        ExpectColumnValueShareToBeBetween,
        ExpectColumnValuesToBeAtMostAlphaOfClass,
        ExpectTableReidentificationRiskToBeAtMost,
        ExpectTableToBeKAnonymous,
        ExpectTableUniqueRowsShareToBeAtMost,
    )
    from expectations.errors import (
        HomeError,
        PolicyError,
        Problem,
        Refusal,
        ServiceError,
        SourceError,
        TutelaError,
        UsageError,
    )
    from expectations.measures.measures import k_anonymity, measure, uniqueness
    from tasks.anonymization.recoding import k_anonymize
    from tasks.consent.alone import consent_standings
    from tasks.training.private_boosting import PrivateBoosting, PrivateBoostingRegressor
    from tasks.training.private_linear import PrivateLinearRegression
    from tasks.training.private_logistic import PrivateLogisticRegression
    from tasks.training.private_network import PrivateNetwork
    from tutela.loading import load_model
    from tutela.result import Result
    from tutela.running import check, init, run, runs

__all__ = [
    "ExpectColumnNotToBeReversedBy",
    "ExpectColumnToBeBetaLike",
    "ExpectColumnToBeDeltaDisclosurePrivate",
    "ExpectColumnToBeEntropyLDiverse",
    "ExpectColumnToBeLDiverse",
    "ExpectColumnToBeRecursivelyLDiverse",
    "ExpectColumnToBeTClose",
    "ExpectColumnValueShareToBeBetween",
    "ExpectColumnValuesToBeAtMostAlphaOfClass",
    "ExpectTableReidentificationRiskToBeAtMost",
    "ExpectTableToBeKAnonymous",
    "ExpectTableUniqueRowsShareToBeAtMost",
    "HomeError",
    "PolicyError",
    "PrivateBoosting",
    "PrivateBoostingRegressor",
    "PrivateLinearRegression",
    "PrivateLogisticRegression",
    "PrivateNetwork",
    "Problem",
    "Refusal",
    "Result",
    "ServiceError",
    "SourceError",
    "TutelaError",
    "UsageError",
    "check",
    "consent_standings",
    "init",
    "k_anonymity",
    "k_anonymize",
    "load_model",
    "measure",
    "run",
    "runs",
    "uniqueness",
]

_ROOMS = {
    "expectations.errors": (
        "HomeError", "PolicyError", "Problem", "Refusal", "ServiceError", "SourceError",
        "TutelaError", "UsageError",
    ),
    "expectations.measures.measures": ("k_anonymity", "measure", "uniqueness"),
    "tasks.anonymization.recoding": ("k_anonymize",),
    "tasks.consent.alone": ("consent_standings",),
    "tasks.training.private_boosting": ("PrivateBoosting", "PrivateBoostingRegressor"),
    "tasks.training.private_linear": ("PrivateLinearRegression",),
    "tasks.training.private_logistic": ("PrivateLogisticRegression",),
    "tasks.training.private_network": ("PrivateNetwork",),
    "tutela.loading": ("load_model",),
    "tutela.result": ("Result",),
    "tutela.running": ("check", "init", "run", "runs"),
}  # fmt: skip
"""Where each name is defined; the expectations, which all begin alike, in a room of their own."""
_HOME = {name: room for room, names in _ROOMS.items() for name in names}
_EXPECTATIONS = "expectations.custom_expectations"


if not TYPE_CHECKING:  # else a type checker would take every name for one that is there

    def __getattr__(name: str) -> object:
        """Load a name of the list when it is first asked for (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module 'tutela' has no attribute {name!r}")
        found: object = getattr(import_module(_HOME.get(name, _EXPECTATIONS)), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Give what there is to find, whether loaded or not."""
    return sorted({*globals(), *__all__})
