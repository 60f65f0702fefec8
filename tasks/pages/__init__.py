"""What people look at: the report, a model's card, Prefect's page, their words and drawings.

Knows published forms and no evidence: what is not in them cannot be shown.
"""
