"""What people look at: the report, a model's card, Prefect's page, their words and drawings.

Knows published forms alone: what is not in them cannot be shown.
"""
