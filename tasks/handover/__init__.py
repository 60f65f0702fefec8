"""Handing over what a run made: consent asked again, goods made ready, MLflow told, files written.

Decides nothing of its own: what failed a check never comes here.
"""
