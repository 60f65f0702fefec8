"""Tutela's expectations for Great Expectations (GX), all in one place, for anybody's suite.

    import great_expectations as gx
    from expectations.custom_expectations import ExpectColumnToBeTClose, ExpectTableToBeKAnonymous

    known = ["age", "sex"]
    suite = gx.ExpectationSuite("release", [
        ExpectTableToBeKAnonymous(columns=known, k=5),
        ExpectColumnToBeTClose(column="illness", columns=known, t=0.2),
    ])

They run on GX's engines for pandas and SQL, take row conditions, and give counts and
measures and never a value. Importing this module imports GX (seconds) and registers them, so that
a stored suite finds them by their names. `expectations/measures/measures.py` measures without GX.
"""

from expectations.gx.sensitive_expectations import (
    ExpectColumnToBeBetaLike,
    ExpectColumnToBeDeltaDisclosurePrivate,
    ExpectColumnToBeEntropyLDiverse,
    ExpectColumnToBeLDiverse,
    ExpectColumnToBeRecursivelyLDiverse,
    ExpectColumnToBeTClose,
    ExpectColumnValuesToBeAtMostAlphaOfClass,
)
from expectations.gx.table_expectations import (
    ExpectColumnNotToBeReversedBy,
    ExpectColumnValueShareToBeBetween,
    ExpectTableReidentificationRiskToBeAtMost,
    ExpectTableToBeKAnonymous,
    ExpectTableUniqueRowsShareToBeAtMost,
)

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
]
