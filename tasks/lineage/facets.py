"""Facets of our own: for which purpose, on which legal basis, how treated, with which verdict.

`docs/lineage/` has the JSON schema of each, under the name that `_schemaURL` says. A facet that
changes gets another number there.
"""

from __future__ import annotations

from typing import Final

import attr
from openlineage.client.generated.base import DatasetFacet, JobFacet, RunFacet

PRODUCER: Final = "urn:tutela:lineage:1"
"""By which events and facets say who wrote them, and in which version of this form."""


@attr.define
class PurposeJobFacet(JobFacet):
    """What a policy's runs are for, under whose responsibility, and who receives what they make."""

    purpose: str
    controller: str
    recipients: dict[str, str]
    """By outlet."""

    @staticmethod
    def _get_schema() -> str:
        return f"{PRODUCER}:PurposeJobFacet"


@attr.define
class LegalBasisJobFacet(JobFacet):
    """The articles that the processing rests on, and what decides about each person."""

    article6: str | None
    article9: str | None
    decidedBy: str  # noqa: N815 - as names are written in OpenLineage
    """The policy's kind of basis, such as `consent`."""

    @staticmethod
    def _get_schema() -> str:
        return f"{PRODUCER}:LegalBasisJobFacet"


@attr.define
class CheckVerdict:
    """What one check came to, by name."""

    name: str
    verdict: str
    outlet: str | None


@attr.define
class VerdictRunFacet(RunFacet):
    """What a run came to, which check refused it, and what each check came to."""

    verdict: str
    refusedBy: str | None  # noqa: N815
    checks: list[CheckVerdict]

    @staticmethod
    def _get_schema() -> str:
        return f"{PRODUCER}:VerdictRunFacet"


@attr.define
class TreatedColumn:
    """What a policy says of a column."""

    treatment: str
    identifiability: str
    category: str
    use: list[str]


@attr.define
class TreatmentDatasetFacet(DatasetFacet):
    """What was done to each column of a data set, in the policy's words."""

    columns: dict[str, TreatedColumn]

    @staticmethod
    def _get_schema() -> str:
        return f"{PRODUCER}:TreatmentDatasetFacet"
