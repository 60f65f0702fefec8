"""The servers that a home uses: Prefect's own process, and the pages of Prefect and MLflow.

Knows no policy and no run.
"""
