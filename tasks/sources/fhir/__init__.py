"""A FHIR R4 bulk export as tables: each is a ViewDefinition (SQL on FHIR 2.0) over NDJSON files.

A view becomes one expression of DuckDB's SQL over the elements that it names; nothing else of a
resource is kept after its line is parsed. It knows FHIR and nothing of the policy.
"""
